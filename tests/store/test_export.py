"""Tables as files."""

from __future__ import annotations

import json
import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from latbench.errors import StoreError, UsageError
from latbench.store import MeasurementRow, ProcessRow, Store, SubjectRow
from latbench.store.schema import HEAD
from latbench.target import Target

NewJob = Callable[..., str]


def _measure(store: Store, job_id: str, provenance: dict[str, Any] | None = None) -> None:
    store.add_measurement(
        MeasurementRow(
            job_id, "ok", None, 1 / 3, 0.3, 0.1 + 0.2, 0.01, 0.005, provenance=provenance or {}
        )
    )


@pytest.fixture
def filled(store: Store, new_job: NewJob) -> Store:
    """A store with one measured network."""
    job_id = new_job(store)
    store.add_subjects([SubjectRow('{"name":"s"}', "network", '{"a":"b,c"}', "g1:a")])
    store.add_process(ProcessRow(job_id, "w", "fp32"))
    _measure(store, job_id, {"cpu": "Xeon", "load": 0.1})
    return store


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_file_holds_the_table(filled: Store, tmp_path: Path, suffix: str, target: Target) -> None:
    """Every number survives exactly, and the origin goes with it."""
    file = tmp_path / f"out{suffix}"
    assert filled.export(file) == 1
    table = filled.table()
    if suffix == ".parquet":
        read = pd.read_parquet(file)
    else:  # as texts first: older versions of pandas round the numbers that they read
        numbers = table.select_dtypes("number").dtypes.to_dict()
        read = pd.read_csv(file, dtype=str).astype({**numbers, "drift": float})
    assert list(read.columns) == [*table.columns, "drift", "target", "provenance"]
    for name in ("latency_ms", "low_ms", "high_ms", "half_width", "batch", "key", "space"):
        assert list(read[name]) == list(table[name])
    assert list(read["drift"]) == [0.005]
    assert [Target.from_dict(json.loads(text)) for text in read["target"]] == [target]
    assert [json.loads(text) for text in read["provenance"]] == [{"cpu": "Xeon", "load": 0.1}]
    assert list(read["reason"].isna()) == [True]


def test_parquet_says_its_schema(filled: Store, tmp_path: Path) -> None:
    """A file carries a version, and the facts of the machine that measured."""
    filled.export(tmp_path / "out.parquet")
    assert pd.read_parquet(tmp_path / "out.parquet").attrs == {
        "latbench_schema": HEAD,
        "latbench_instances": {"i1:x": {"cores": 2}},
    }


def test_empty_table_is_exported_with_its_types(store: Store, tmp_path: Path) -> None:
    """Nothing measured is a file without rows, not a failure."""
    assert store.export(tmp_path / "out.parquet") == 0
    read = pd.read_parquet(tmp_path / "out.parquet")
    assert str(read["latency_ms"].dtype) == "float64"
    assert len(read) == 0


def test_filters_are_those_of_the_table(filled: Store, new_job: NewJob, tmp_path: Path) -> None:
    """What is not asked for is not written."""
    other = new_job(filled, "g1:b", "aa:1")
    filled.add_measurement(MeasurementRow(other, "failed", "crashed"))
    file = tmp_path / "out.csv"
    assert filled.export(file, campaign="aa:1") == 0
    assert filled.export(file, campaign="aa:1", statuses=("failed",)) == 1
    assert filled.export(file, kind="block") == 0
    assert filled.export(file, kind="network", space={"name": "s"}, instance="i1:x") == 1


@pytest.mark.parametrize(
    ("provenance", "key"),
    [
        ({"engine": {"files": ["a", "/var/cache/x.engine"]}}, r"provenance\.engine\.files\[1\]"),
        ({"site": socket.gethostname()}, r"provenance\.site"),
        ({"site": {"hostname": "other"}}, r"provenance\.site\.hostname"),
    ],
)
def test_leak_is_refused(
    store: Store, new_job: NewJob, tmp_path: Path, provenance: dict[str, Any], key: str
) -> None:
    """The error names the key and the workload, and no file is written."""
    _measure(store, new_job(store), provenance)
    with pytest.raises(StoreError, match=key) as refused:
        store.export(tmp_path / "out.csv")
    assert "g1:a" in str(refused.value)
    assert "/var" not in str(refused.value)
    assert list(tmp_path.glob("*out*")) == []


def test_reason_of_a_failure_is_looked_at(store: Store, new_job: NewJob, tmp_path: Path) -> None:
    """Compilers like to tell paths."""
    row = MeasurementRow(new_job(store), "failed", "no such file: /home/someone/model.onnx")
    store.add_measurement(row)
    with pytest.raises(StoreError, match="reason of workload g1:a holds an absolute path"):
        store.export(tmp_path / "out.csv", statuses=("failed",))


@pytest.mark.parametrize("name", ["out", "out.xlsx", "out.db"])
def test_other_suffixes_are_refused(store: Store, tmp_path: Path, name: str) -> None:
    """The text names those that work."""
    with pytest.raises(UsageError, match=r"\.parquet or \.csv"):
        store.export(tmp_path / name)


def test_missing_folder_is_an_error(store: Store, tmp_path: Path) -> None:
    """It is not created behind the user's back."""
    with pytest.raises(StoreError, match="No such file or directory"):
        store.export(tmp_path / "nowhere" / "out.csv")


@contextmanager
def short_files() -> Iterator[None]:
    """As on a full disk: a write fails half way. For a file's length, root has a limit too.

    No longer than the write itself: pytest's own output may go to a file too.
    """
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_failed_write_leaves_the_old_file(filled: Store, tmp_path: Path, suffix: str) -> None:
    """There is never half a table, nor a left-over."""
    file = tmp_path / f"out{suffix}"
    file.write_text("old")
    # The first table maps SQLite's shared memory, which the limit would forbid.
    filled.table()
    with short_files(), pytest.raises(StoreError, match="cannot be written"):
        filled.export(file)
    assert file.read_text() == "old"
    assert [entry for entry in os.listdir(tmp_path) if "out" in entry] == [file.name]


def test_export_replaces_a_file(filled: Store, tmp_path: Path) -> None:
    """The second export is the whole second export."""
    file = tmp_path / "out.csv"
    file.write_text("x" * 100_000)
    filled.export(file)
    assert len(pd.read_csv(file)) == 1
