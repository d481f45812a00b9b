"""Exported tables as stores that are only read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from latbench import resources
from latbench.errors import ArtefactError, StoreError, UsageError
from latbench.store import (
    ExportedTable,
    InstanceRow,
    MeasurementRow,
    ProcessRow,
    Store,
    SubjectRow,
    dataset,
    open_to_read,
)
from latbench.store.export import export
from latbench.target import Target

NewJob = Callable[..., str]
SPACE = '{"name":"s"}'
ALL: dict[str, Any] = {
    "campaign": None,
    "statuses": ("ok", "unconverged", "unstable", "failed"),
}


@pytest.fixture
def filled(sqlite_url: str, new_job: NewJob) -> Store:
    """A store with a network measured twice, a block that failed, and what is neither."""
    store = Store.open(sqlite_url)
    for number, (workload, campaign) in enumerate(
        [("g1:a", "main"), ("g1:a", "repeat"), ("g1:b", "main"), ("g1:c", "main")]
    ):
        job = new_job(store, workload, campaign)
        store.add_process(ProcessRow(job, "w", "fp32"))
        row = MeasurementRow(job, "ok", None, 1 / 3, 0.1 + 0.2, 0.35, 0.01, 0.005, rounds=12)
        if workload == "g1:b":
            row = MeasurementRow(job, "failed", "None", provenance={"load": [number, 0.5]})
        store.add_measurement(row)
    store.add_subjects(
        [
            SubjectRow(SPACE, "network", '{"a":"b, c"}', "g1:a", arch_hash="a1:x"),
            SubjectRow(SPACE, "block", "NA", "g1:b"),
        ]
    )
    return store


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    "selected",
    [
        {},
        ALL,
        {"kind": "network", "campaign": "repeat"},
        {"kind": "block", "statuses": ("failed",)},
        {"space": {"name": "s"}, "instance": "i1:x"},
        {"space": SPACE, "target": "none"},
        {**ALL, "origin": True},
    ],
)
def test_a_file_gives_the_stores_own_table(
    filled: Store, tmp_path: Path, suffix: str, selected: dict[str, Any]
) -> None:
    """Whatever is selected: the same rows, the same types, every number exactly."""
    file = tmp_path / f"out{suffix}"
    filled.export(file, **ALL)
    with open_to_read(str(file)) as table:
        assert isinstance(table, ExportedTable)
        pd.testing.assert_frame_equal(table.table(**selected), filled.table(**selected))


def test_a_file_knows_targets_and_instances(filled: Store, tmp_path: Path, target: Target) -> None:
    """Parquet keeps the facts of the machine; in CSV there is no place for them."""
    for suffix, facts in ((".parquet", {"cores": 2}), (".csv", {})):
        filled.export(tmp_path / f"out{suffix}")
        table = ExportedTable.open(tmp_path / f"out{suffix}")
        assert table.targets() == [target]
        assert table.instances() == [InstanceRow("i1:x", "cpu", facts)]


def test_a_kernel_is_not_told(filled: Store, tmp_path: Path) -> None:
    """Its release may be named after whoever built it."""
    facts = {"host": {"kernel": "6.1-ours", "libc": "glibc 2.36"}, "card": None}
    export(filled.table(origin=True), tmp_path / "out.parquet", [InstanceRow("i1:x", "cpu", facts)])
    (row,) = ExportedTable.open(tmp_path / "out.parquet").instances()
    assert row.facts == {"host": {"libc": "glibc 2.36"}, "card": None}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_is_exported_again(filled: Store, tmp_path: Path, suffix: str) -> None:
    """A part of a table that was handed on can be handed on in turn, with its origin."""
    filled.export(tmp_path / "all.parquet", **ALL)
    ExportedTable.open(tmp_path / "all.parquet").export(tmp_path / f"part{suffix}", "network")
    part = ExportedTable.open(tmp_path / f"part{suffix}")
    pd.testing.assert_frame_equal(part.table(origin=True), filled.table("network", origin=True))


def test_reading_leaves_the_table_as_it_is(filled: Store, tmp_path: Path) -> None:
    """What a caller does with a table reaches no later one."""
    filled.export(tmp_path / "out.parquet")
    table = ExportedTable.open(tmp_path / "out.parquet")
    taken = table.table()
    taken["latency_ms"] = 0.0
    assert (table.table()["latency_ms"] > 0).all()


def test_an_empty_table_is_one(sqlite_url: str, tmp_path: Path) -> None:
    """Without rows there are no targets, and nothing is wrong."""
    with Store.open(sqlite_url) as store:
        for suffix in (".csv", ".parquet"):
            store.export(tmp_path / f"out{suffix}")
            table = ExportedTable.open(tmp_path / f"out{suffix}")
            assert table.targets() == []
            pd.testing.assert_frame_equal(table.table(), store.table())


def altered(file: Path, changes: dict[str, Any], row: int = 0) -> None:
    """Change values of one row of a Parquet file."""
    frame = pd.read_parquet(file)
    attrs = frame.attrs
    frame = frame.astype({name: object for name in changes})
    for name, value in changes.items():
        frame.loc[row, name] = value
    frame = frame.infer_objects()
    frame.attrs = attrs
    frame.to_parquet(file, index=False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"latency_ms": -1.0}, "latency_ms in row 1 is not finite and above zero; it is -1.0"),
        ({"latency_ms": float("inf")}, "is not finite"),
        ({"latency_ms": 99.0}, "is not in its interval"),
        ({"latency_ms": None}, "is empty where the status promises one"),
        ({"rounds": 1.5}, "holds in rounds what is no whole number"),
        ({"created": None}, "created in row 1 is empty"),
        ({"status": "fine"}, "status in row 1 is none of ok, unconverged, unstable, failed"),
        ({"status": "failed"}, "stands beside the status failed"),
        ({"kind": "model"}, "kind in row 1 is none of network, block"),
        ({"campaign": None}, "campaign in row 1 is empty"),
        ({"threads": 2}, "threads in row 1 is not that of the row's target, 1"),
        ({"target_key": "t1:x"}, "target_key in row 1 is not that of the row's target"),
        ({"target": "{}"}, "a target has the fields"),
        ({"target": "[1]"}, "holds a target that cannot be read"),
        ({"provenance": "{"}, "holds in provenance what is no JSON"),
    ],
)
def test_what_was_changed_is_refused(
    filled: Store, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    """The text names the file, the row and the value."""
    file = tmp_path / "out.parquet"
    filled.export(file)
    altered(file, changes)
    with pytest.raises(ArtefactError) as refused:
        ExportedTable.open(file)
    assert str(file) in str(refused.value)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_numbers_that_are_texts_are_refused(filled: Store, tmp_path: Path) -> None:
    """A column of the wrong type is named."""
    filled.export(tmp_path / "out.csv")
    text = (tmp_path / "out.csv").read_text(encoding="utf-8")
    (tmp_path / "out.csv").write_text(text.replace(",12,", ",twelve,"), encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"holds in rounds what is none: .*twelve"):
        ExportedTable.open(tmp_path / "out.csv")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_other_columns_are_refused(filled: Store, tmp_path: Path, suffix: str) -> None:
    """A table of another origin is no export; those that lack or add a column are named."""
    file = tmp_path / f"out{suffix}"
    filled.export(file)
    frame = pd.read_parquet(file) if suffix == ".parquet" else pd.read_csv(file)
    for changed, said in (
        (frame.drop(columns=["target", "p90_ms"]), "it lacks the columns p90_ms, target"),
        (frame.assign(extra=1), "holds columns that latbench does not know: extra"),
    ):
        changed.attrs = frame.attrs
        if suffix == ".parquet":
            changed.to_parquet(file, index=False)
        else:
            changed.to_csv(file, index=False)
        with pytest.raises(ArtefactError, match=said):
            ExportedTable.open(file)


@pytest.mark.parametrize(
    ("attrs", "said"),
    [
        ({}, "no table that latbench exported: it carries no latbench_schema"),
        ({"latbench_schema": "0999"}, "has the schema '0999' and this latbench reads '0001'"),
        ({"latbench_schema": "0001", "latbench_instances": [1]}, "what is no mapping"),
    ],
)
def test_other_schemas_are_refused(
    filled: Store, tmp_path: Path, attrs: dict[Any, Any], said: str
) -> None:
    """A file of another version is not guessed at."""
    file = tmp_path / "out.parquet"
    filled.export(file)
    frame = pd.read_parquet(file)
    frame.attrs = attrs
    frame.to_parquet(file, index=False)
    with pytest.raises(ArtefactError, match=said):
        ExportedTable.open(file)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"PAR1 and no more PAR1", b"a,b\n1\n"])
def test_what_is_no_table_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    """Anything may be called .parquet."""
    (tmp_path / f"x{suffix}").write_bytes(content)
    with pytest.raises(ArtefactError, match="export the measurements again"):
        ExportedTable.open(tmp_path / f"x{suffix}")


def test_a_truncated_file_is_refused(filled: Store, tmp_path: Path) -> None:
    """Half a file is none."""
    file = tmp_path / "out.parquet"
    filled.export(file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ArtefactError, match="is no Parquet file"):
        ExportedTable.open(file)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """Nothing is created in its place."""
    with pytest.raises(StoreError, match="No such file or directory; name a table"):
        open_to_read(str(tmp_path / "none.parquet"), create=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["data.parquet", "some/data.csv", "dataset:any"])
def test_a_table_is_no_place_to_measure_into(where: str) -> None:
    """The text says what to give instead."""
    with pytest.raises(UsageError, match="a table, which is only read; give a database") as refused:
        Store.open(where)
    assert "sqlite:///FILE" in str(refused.value)


def test_a_database_is_opened_by_its_url(filled: Store, sqlite_url: str) -> None:
    """Whoever only reads need not know in what measurements are kept."""
    with open_to_read(sqlite_url) as opened:
        assert isinstance(opened, Store)
        assert not opened.read_only
        assert len(opened.table()) == 2


@pytest.fixture
def bundled(filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a data set in a folder that stands in for the bundled one."""
    folder = tmp_path / "datasets"
    (folder / "s-cpu-onnxruntime").mkdir(parents=True)
    (folder / "README.md").write_text("Data sets", encoding="utf-8")
    (folder / "unfinished").mkdir()
    filled.export(folder / "s-cpu-onnxruntime" / "data.parquet", **ALL)
    monkeypatch.setattr(resources, "_folder", lambda kind: tmp_path / kind)
    return "s-cpu-onnxruntime"


def test_a_bundled_data_set_is_found_by_name(bundled: str, filled: Store) -> None:
    """By dataset:NAME where a store is wanted, or by the function."""
    assert resources.datasets() == [bundled]
    for table in (open_to_read(f"dataset:{bundled}"), dataset(bundled)):
        assert table.read_only
        pd.testing.assert_frame_equal(table.table(), filled.table())


def test_an_unknown_data_set_lists_the_known(bundled: str) -> None:
    """A misspelt name is answered with those there are."""
    with pytest.raises(UsageError, match=f"known: {bundled}; did you mean '{bundled}'"):
        dataset("s-cpu-onnxruntme")


def test_without_data_sets_that_is_said(bundled: str, tmp_path: Path) -> None:
    """No list of nothing."""
    shutil.rmtree(tmp_path / "datasets" / bundled)
    with pytest.raises(UsageError, match="came without any"):
        dataset(bundled)


def test_errors_of_a_data_set_call_it_by_its_name(bundled: str, tmp_path: Path) -> None:
    """Not by where the package lies."""
    altered(tmp_path / "datasets" / bundled / "data.parquet", {"status": "fine"})
    with pytest.raises(ArtefactError, match=f"^dataset:{bundled} is damaged"):
        dataset(bundled)


def test_a_machine_is_not_told_by_its_facts(filled: Store, new_job: NewJob, tmp_path: Path) -> None:
    """The facts of an instance go into the file, so they are looked at as all else is."""
    filled.add_instance(InstanceRow("i1:y", "cpu", {"host": {"cores": 2, "hostname": "somebody"}}))
    frame = filled.table(origin=True).assign(instance="i1:y")
    with pytest.raises(StoreError, match=r"i1:y\.host\.hostname holds a host name"):
        export(frame, tmp_path / "out.parquet", filled.instances())
    assert list(tmp_path.glob("*out*")) == []
