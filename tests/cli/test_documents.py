"""``--json`` prints exactly one document, with the keys that scripts rely on."""

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench import registry
from latbench.cli.output import plain, progress, table

Run = Callable[..., Any]
Fill = Callable[..., Any]

DATA = os.environ.get("LATBENCH_EVAL_DATA") or None

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts),
)


def document(done: Any) -> dict[str, Any]:
    """Return the only JSON document on stdout of a command that worked."""
    assert done.code == 0, done.err

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    found: dict[str, Any] = json.loads(done.out, parse_constant=refuse)
    return found


def test_devices(run: Run) -> None:
    """Every device says whether it is here; a runtime that does not work says why."""
    devices = {row["name"]: row for row in document(run("devices", "--json"))["devices"]}
    assert devices["cpu"]["present"] is True
    assert {"v100", "cpu"} <= set(devices)
    for device in devices.values():
        for runtime in device["runtimes"]:
            assert set(runtime) == {"name", "available", "reason"}
            assert runtime["available"] is (runtime["reason"] is None)
            assert device["present"] or not runtime["available"]


def test_a_runtime_without_a_module_is_not_part_of_latbench(run: Run) -> None:
    """A runtime that a profile names but nobody registered is told as such."""
    known = registry.names(registry.RUNTIMES)
    rows = [
        runtime
        for device in document(run("devices", "--json"))["devices"]
        for runtime in device["runtimes"]
        if runtime["name"] not in known
    ]
    assert {row["reason"] for row in rows} <= {"not part of this version of latbench"}


def test_a_package_that_is_installed_in_part_is_no_defect_of_latbench(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every runtime that needs it says so, and the other devices and runtimes are listed."""
    (tmp_path / "onnxruntime").mkdir()
    broken = "raise ImportError('libonnxruntime.so.1: no such file')"
    (tmp_path / "onnxruntime" / "__init__.py").write_text(broken, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    found = document(run("devices", "--json"))["devices"]
    rows = [row for device in found for row in device["runtimes"]]
    of_it = [row["reason"] for row in rows if row["name"].startswith("onnxruntime")]
    assert len(of_it) > 1
    assert all("onnxruntime does not load (ImportError: libonnxr" in reason for reason in of_it)
    assert any(row["available"] for row in rows)


def test_plugins(run: Run) -> None:
    """Every registered plug-in is a row."""
    rows = document(run("plugins", "--json"))["plugins"]
    assert {(row["group"], row["name"]) for row in rows} == {
        (row.group, row.name) for row in registry.listing()
    }


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_export(suffix: str, run: Run, url: str, fill: Fill, tmp_path: Path) -> None:
    """The file holds as many measurements as the document says."""
    fill(url, count=3)
    file = tmp_path / f"table{suffix}"
    assert document(run("--store", url, "export", file, "--json"))["rows"] == 3
    read = pd.read_csv if suffix == ".csv" else pd.read_parquet
    assert len(read(file)) == 3


@pytest.mark.parametrize("options", [["--kind", "network"], ["--space", "fbnet"]])
def test_export_of_nothing_writes_nothing(
    options: list[str], run: Run, url: str, fill: Fill, tmp_path: Path
) -> None:
    """A selection without measurements is an error, not an empty file."""
    fill(url)
    done = run("--store", url, "export", tmp_path / "table.csv", *options)
    assert done.code == 1
    assert "nothing to export" in done.err
    assert not (tmp_path / "table.csv").exists()


def test_the_store_may_be_named_anywhere(
    run: Run, url: str, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--store stands before or after the command, and wins over LATBENCH_STORE."""
    fill(url)
    assert run("--store", url, "export", "a.csv").code == 0
    assert run("export", "a.csv", "--store", url).code == 0
    monkeypatch.setenv("LATBENCH_STORE", url)
    assert run("export", "a.csv").code == 0
    other = "sqlite:///other.db"
    assert run("--store", other, "export", "a.csv").code == 1
    assert run("export", "a.csv", "--store", other).code == 1


def test_doctor(run: Run) -> None:
    """The doctor looks at everything that disturbs, and times one workload twice."""
    checks = document(run("doctor", "--json", "--seconds", "0.1"))["checks"]
    names = [check["name"] for check in checks]
    assert len(set(names)) == len(names)
    looked_at = {"clock resolution", "load", "steal", "governor", "swapping"}
    assert looked_at | {"repeatability", "drift"} <= set(names)
    for check in checks:
        assert set(check) == {"name", "ok", "value", "advice"}
        assert check["ok"] in (True, False, None)
        assert check["advice"] if check["ok"] is False else True


def test_validate(run: Run, url: str, fill: Fill) -> None:
    """A table of made-up latencies, a second each, does not hold."""
    fill(url, count=2, latency_ms=1000.0)
    found = document(run("--store", url, "validate", "--count", "1", "--json"))
    assert set(found) == {"verdict", "stored", "measured", "checks", "rows"}
    (row,) = found["rows"]
    assert row["ratio"] < 0.5
    # On a machine that is too busy to tell, the verdict says so.
    assert found["verdict"] == ("unclear" if row["holds"] is None else "changed")


def test_validate_without_measurements_names_the_command(run: Run, url: str, fill: Fill) -> None:
    """What the store lacks is named with what measures it."""
    fill(url)
    done = run("--store", url, "validate", "--kind", "network", "--space", "fbnet")
    assert done.code == 1
    assert "latbench profile --space fbnet --networks 100" in done.err


@pytest.mark.skipif(DATA is None, reason="LATBENCH_EVAL_DATA names no data")
@pytest.mark.parametrize("protocol", ["help-nb201", "help-fbnet"])
def test_evaluate(protocol: str, run: Run) -> None:
    """Ours stand below the published rows, which name their source."""
    found = document(run("evaluate", protocol, "--labels", "20", "--seeds", "2", "--json"))
    sources = [bool(row["source"]) for row in found["rows"]]
    assert sources == sorted(sources, reverse=True)
    assert set(sources) == {True, False}
    for row in found["rows"]:
        told = [score for score in row["scores"].values() if score is not None]
        # The paper's means are rounded, and not all of them agree with its columns.
        assert row["mean"] == pytest.approx(sum(told) / len(told), abs=3e-3)


@given(JSON)
def test_a_document_never_holds_nan(value: Any) -> None:
    """Whatever a command prints, JSON readers accept it; finite values stay."""
    text = json.dumps(plain({"value": value}), allow_nan=False)
    if not any(word in repr(value) for word in ("nan", "inf")):
        assert json.loads(text) == {"value": value}


def test_numpy_becomes_plain() -> None:
    """Arrays and numbers of NumPy are lists and numbers; what is not finite is null."""
    value = {"a": np.array([1.5, math.nan]), "b": np.int64(3), "c": np.bool_(True)}
    assert plain(value) == {"a": [1.5, None], "b": 3, "c": True}


def test_table_cells() -> None:
    """Numbers stand right with four digits; brackets in a cell are no markup."""
    shown = table("", ["name", "ms"], [["[red]x", 1.23456], ["y", None]])
    assert [column.justify for column in shown.columns] == ["left", "right"]
    assert [str(cell) for column in shown.columns for cell in column.cells] == [
        "[red]x",
        "y",
        "1.235",
        "–",
    ]


def test_progress_of_short_work_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """Where stderr is no terminal, work of under two seconds says nothing."""
    with progress("measuring") as report:
        report(1, 2)
        report(2, 2)
    assert capsys.readouterr().err == ""


def test_progress_of_long_work_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two seconds a line says how far it is and how long it will take, then now and then."""
    now = [0.0]
    monkeypatch.setattr("latbench.cli.output.time.monotonic", lambda: now[0])
    with progress("measuring") as report:
        for second in (1, 5, 6, 7, 25):
            now[0] = second
            report(second, 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "measuring: 5 of 100, about 2 min left",
        "measuring: 25 of 100, about 75 s left",
    ]
