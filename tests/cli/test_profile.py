"""``latbench profile``: what it prints, what it takes again, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

QUICK = ("--space", "digits-mobilenet", "--protocol", "quick")


def test_document(measured: Any) -> None:
    """The keys that scripts rely on, one row a subject, each with its whole target."""
    found = measured.profiled
    assert set(found) >= {"targets", "measured", "reused", "failed", "rows"}
    assert (found["failed"], found["reused"]) == ([], 0)
    assert len(found["rows"]) == 22 + 12
    assert found["measured"] == 22 + 12 + 8
    for row in found["rows"]:
        assert set(row) >= {"workload", "arch", "target", "low_ms", "high_ms", "p90_ms", "status"}
        assert set(row["target"]) >= {"device", "runtime", "precision", "batch", "threads"}
        assert row["low_ms"] <= row["latency_ms"] <= row["high_ms"]
        assert (row["arch"] is not None) == (row["kind"] == "network")


def test_what_is_there_is_not_measured_again(
    run: Run, measured: Any, copy_of: Callable[[str], str]
) -> None:
    """The same command finds everything in the store, and says the same."""
    url = copy_of(measured.url)
    amount = ("--blocks", "--networks", 12, "--repeats", 8)
    done = run("profile", *QUICK, *amount, "--store", url, "--json")
    again = json.loads(done.out)
    assert (again["measured"], again["reused"]) == (0, 22 + 12 + 8)
    assert again["rows"] == measured.profiled["rows"]


def test_half_of_the_work_is_not_done_twice(
    run: Run, measured: Any, copy_of: Callable[[str], str]
) -> None:
    """A longer draw begins with the networks of a shorter one."""
    url = copy_of(measured.url)
    done = run("profile", *QUICK, "--networks", 13, "--repeats", 0, "--store", url, "--json")
    more = json.loads(done.out)
    assert (more["measured"], more["reused"]) == (1, 12)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--networks 3 --repeats 4", "--repeats 4 is more than the 3 networks"),
        ("--networks -1", "'--networks'"),
        ("--budget 5", "'5' has no unit; write 5ms"),
        ("--model net.onnx --space fbnet", "add --blocks or --networks N"),
        ("--networks 1 --space digits-mobilnet", "did you mean 'digits-mobilenet'?"),
        ("--networks 1 --device v100", "no v100 here"),
        ("--networks 1 --runtime onnxruntime:fp16", "no precision 'fp16'"),
        ("--networks 1 --timeout 5", "'5' has no unit; write 5ms"),
        ("--networks 1 --memory-limit 8", "'8' has no unit; write 8GiB"),
        ("--networks 1 --protocol fast", "'--protocol'"),
        ("--networks 1 --executor slurm", "'--executor': 'slurm' is no place to measure"),
        ("--networks 1 --executor ray://", "write local, ray or ray://HOST:10001"),
        ("--networks 1 --executor ray://head:0", "write local, ray or ray://HOST:10001"),
    ],
)
def test_what_cannot_be_is_one_line(run: Run, arguments: str, says: str) -> None:
    """Bad input is one line that says what is wrong; nothing was written."""
    done = run("profile", *arguments.split())
    assert done.code in (1, 2)
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert says in line
    assert not Path("latbench.db").exists()


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file"), ("no model", "net.onnx"), ("", "net.onnx")]
)
def test_a_file_that_is_no_model_is_refused(run: Run, content: str | None, says: str) -> None:
    """A file that is missing, or is no ONNX, is named."""
    if content is not None:
        Path("net.onnx").write_text(content, encoding="utf-8")
    done = run("profile", "--model", "net.onnx")
    assert (done.code, done.out) == (2, "")
    assert "net.onnx" in done.err.splitlines()[-1]
    assert says in done.err.splitlines()[-1]
