"""Commands that read, on a table that was exported, and those that do not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latbench.profiling.sweep import Sweep

Run = Callable[..., Any]
SPACE = ("--space", "digits-mobilenet")


@pytest.fixture(params=["data.parquet", "data.csv"])
def table(run: Run, measured: Any, request: pytest.FixtureRequest) -> str:
    """All that was measured, in a file."""
    assert run("export", request.param, "--campaign", "all", "--store", measured.url).code == 0
    return str(request.param)


@pytest.fixture(autouse=True)
def _never_measured(monkeypatch: pytest.MonkeyPatch, measured: Any) -> None:
    """Fail where something would be measured."""

    def refuse(*_: object) -> None:
        raise AssertionError("nothing is to be measured")

    monkeypatch.setattr(Sweep, "steps", refuse)


def test_a_predictor_is_fitted_as_from_the_store(run: Run, measured: Any, table: str) -> None:
    """The scores are those of the database, to the last digit; the space goes without saying."""
    for options in (SPACE, ()):
        done = run("fit-predictor", *options, "--out", "lut", "--store", table, "--json")
        found = json.loads(done.out)
        same = set(found) - {"out"}
        assert {key: found[key] for key in same} == {key: measured.fitted[key] for key in same}


def test_a_comparison_takes_what_is_there(run: Run, table: str, measured: Any) -> None:
    """However many networks are asked for, nothing is measured, and a report can be had."""
    options = (*SPACE, "--networks", 500, "--json")
    done = run("compare", *options, "--out", "report.html", "--store", table)
    found = json.loads(done.out)
    assert len(found["rows"]) == 12
    assert found["noise_mape"] == measured.fitted["noise_mape"]
    page = Path("report.html").read_text(encoding="utf-8")
    assert "a table may have been measured on another machine" in page


def test_a_part_is_exported_from_a_table(run: Run, table: str) -> None:
    """A table is cut as a database is."""
    found = json.loads(
        run("export", "b.parquet", "--kind", "block", "--store", table, "--json").out
    )
    assert found["rows"] == 22


@pytest.mark.parametrize(
    "command",
    [
        ("profile", *SPACE),
        ("validate",),
        ("search", *SPACE, "--latency-target", "1ms"),
        ("train", "--arch", "arch.json"),
        ("demo",),
    ],
)
@pytest.mark.parametrize("where", ["data.parquet", "dataset:any"])
def test_what_measures_says_that_a_table_is_only_read(
    run: Run, command: tuple[str, ...], where: str
) -> None:
    """One line, before anything else is done."""
    done = run(*command, "--store", where)
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert f"'{where}' is a table, which is only read; give a database" in line


def test_a_table_of_something_else_is_refused(run: Run) -> None:
    """With the reason."""
    Path("other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    done = run("fit-predictor", "--store", "other.csv")
    assert done.code == 1
    assert "other.csv is no table that latbench exported: it lacks the columns device," in done.err


def test_a_target_that_a_table_lacks_is_told_with_those_it_holds(run: Run, table: str) -> None:
    """The error says what can be asked for."""
    done = run("compare", *SPACE, "--threads", 7, "--store", table)
    assert done.code == 1
    assert "threads 7. It holds those of: cpu, onnxruntime" in done.err
