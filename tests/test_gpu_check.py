"""The check of a device: a real process on this processor, and its parts over fakes of a card."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

import latbench
from benchmarks import gpu_conformance, gpu_events
from benchmarks.gpu_part import ROOT, Check, run_part
from latbench.store.leaks import leaks
from tests.runtimes.fake_torch_cuda import torch_with_cuda

SMALL: dict[str, Any] = {"image_size": 8, "settings": [[16, 2, 1]]}
NETWORKS = 16


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """A small check of this processor."""
    return Check("cpu", tmp_path, 60.0, "digits-mobilenet", SMALL, NETWORKS, (1,), True)


def checked(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_check", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )


# The command


def test_a_processor_is_checked(tmp_path: Path) -> None:
    """What needs a card says so, the rest is measured; what has ended is not run again."""
    out = tmp_path / "found.json"
    command: list[str | Path] = [
        *("--device", "cpu", "--parts", "events,runtimes,prediction", "--batch", "1", "--quick"),
        *("--space", "digits-mobilenet", "--networks", str(NETWORKS)),
        *(f"--space-option={name}={json.dumps(value)}" for name, value in SMALL.items()),
        *("--folder", tmp_path / "kept", "--out", out),
    ]
    done = checked(*command)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert list(leaks(found, socket.gethostname(), "found")) == []
    assert found["hardware"]["kind"] == "cpu"
    assert {"torch", "onnxruntime", "numpy"} <= set(found["packages"])
    assert found["not_run"] == ["conformance"]
    parts = found["parts"]
    assert [part["problem"] for part in parts.values()] == [None] * 3
    for part in parts.values():
        for one in part["refused"]:
            assert one["refused"]
            assert "\n" not in one["refused"]

    (missing,) = parts["events"]["refused"]
    assert missing["refused"] == "do_bench times work on a GPU, and a cpu is none"

    ways = {row["way"]: row for row in parts["runtimes"]["rows"]}
    assert {"PyTorch FP32", "PyTorch AMP"} <= set(ways)
    assert ways["PyTorch AMP"]["speedup"] > 0
    refusals = {row["what"]: row["refused"] for row in parts["runtimes"]["refused"]}
    if "PyTorch AMP, compiled" in ways:
        assert "launch is an option for GPUs" in refusals["PyTorch AMP, compiled, CUDA graph"]
    assert {"TensorRT FP32", "TensorRT FP16", "ONNX Runtime FP32, CUDA"} <= set(refusals)
    assert len(ways) + len(refusals) == 9

    measured, *scored = parts["prediction"]["rows"]
    blocks = len(latbench.space("digits-mobilenet", **SMALL).blocks)
    # The network that runtimes were compared on is in the store as well.
    networks = measured["networks"]
    assert measured["blocks"] == blocks
    assert NETWORKS <= networks <= NETWORKS + 1
    assert [row["predictor"] for row in scored] == ["lut", "mlp", "gbdt"]
    for row in scored:
        assert row["n_train"] + row["n_test"] == networks
        assert row["mape"] > 0

    again = checked(*command)
    assert again.stderr.count("kept from before") == 3
    assert json.loads(out.read_text(encoding="utf-8"))["parts"] == parts


def test_a_device_that_is_not_here_is_one_message(tmp_path: Path) -> None:
    """What was looked for, what is here, and the two ways on."""
    done = checked("--device", "v100", "--folder", tmp_path / "kept")
    assert done.returncode == 1
    (message,) = done.stderr.splitlines()
    assert message.startswith("Error: no v100 here: looked for ")
    assert "--executor ray://HOST:PORT" in message
    assert not (tmp_path / "kept").exists()


def test_wrong_usage_says_what_there_is(tmp_path: Path) -> None:
    """Parts and spaces have names."""
    folder = ("--device", "cpu", "--folder", tmp_path / "kept")
    parts = checked(*folder, "--parts", "events,speed")
    assert parts.returncode == 2
    assert "'speed' is no part; there are conformance, events" in parts.stderr
    space = checked(*folder, "--space", "mobilnet")
    assert space.returncode == 1
    assert "mobilenet" in space.stderr


# A part in its process


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import os; os._exit(3)", "it ended with exit status 3"),
        ("import os; os.abort()", "it was ended by SIGABRT"),
        ("raise ValueError('odd')", "exit status 1; it said last: ValueError: odd"),
    ],
)
def test_a_part_may_end_badly(
    monkeypatch: pytest.MonkeyPatch, check: Check, code: str, problem: str
) -> None:
    """Rows until then are kept."""
    (check.folder / "bad_part.py").write_text(
        f"def rows(check):\n    yield {{'value': float('nan')}}\n    {code}\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(check.folder)
    found = run_part("bad", "bad_part", check)
    assert problem in found["problem"]
    assert found["rows"] == [{"value": None}]
    assert not found["ended"]


def test_a_part_that_hangs_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The others have their turn."""
    (tmp_path / "endless_part.py").write_text(
        "import time\ndef rows(check):\n    while True:\n        time.sleep(1)\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = run_part("endless", "endless_part", Check("cpu", tmp_path, 0.1))
    assert found["problem"].startswith("it was stopped after 0.1 s")
    assert not found["ended"]


def test_a_part_whose_time_is_over_is_not_done(
    monkeypatch: pytest.MonkeyPatch, check: Check
) -> None:
    """It is run again by the next call."""
    (check.folder / "short_part.py").write_text(
        "from benchmarks.gpu_part import unfinished\n"
        "def rows(check):\n    yield {'a': 1}\n    yield unfinished('it')\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(check.folder)
    found = run_part("short", "short_part", check)
    assert (found["problem"], found["ended"]) == (None, False)
    assert found["rows"] == [{"a": 1}]


def test_a_check_survives_its_way_to_a_part(check: Check) -> None:
    """As JSON."""
    assert Check.from_dict(json.loads(json.dumps(check.to_dict()))) == check


# The contract


def test_suites_run_on_the_device(check: Check) -> None:
    """Real ones, in a process of their own: one that there is, and one that is missing here."""
    one = replace(check, checks="its_version or declared")
    suites = list(gpu_conformance.suites())
    assert {"TestTensorRt", "TestTorch", "TestOnnxRuntimeCuda"} <= set(suites)
    assert gpu_conformance.row_of(one, "TestTorch") == {
        "suite": "TestTorch",
        "passed": 2,
        "failed": [],
        "skipped": {},
    }
    missing = gpu_conformance.row_of(one, "TestOnnxRuntimeCuda")
    assert "onnxruntime-cuda: it does not run on a device of the kind 'cpu'" in missing["refused"]


def test_a_rule_that_is_broken_is_named() -> None:
    """With what pytest says of it; a rule that fails twice, in its end too, is one."""
    report = ElementTree.fromstring(
        "<suite><testcase name='a'/><testcase name='b[x]'><failure message='1 is&#10;not 2'/>"
        "<error message='left'/></testcase><testcase name='c'><skipped message='no card'/>"
        "</testcase></suite>"
    )
    assert gpu_conformance.told("TestIt", list(report)) == {
        "suite": "TestIt",
        "passed": 1,
        "failed": [
            {"check": "b[x]", "reason": "1 is not 2"},
            {"check": "b[x]", "reason": "left"},
        ],
        "skipped": {"no card": 1},
    }


def test_a_runtime_that_is_missing_is_refused() -> None:
    """It says so in the first rule, and all others are left out for one reason."""
    report = ElementTree.fromstring(
        "<suite><testcase name='it says so'/><testcase name='a'><skipped message='no card'/>"
        "</testcase><testcase name='b'><skipped message='no card'/></testcase></suite>"
    )
    assert gpu_conformance.told("TestIt", list(report)) == {"what": "TestIt", "refused": "no card"}


# Times by events


@pytest.mark.parametrize("theirs_ms", [1.0, 1e-6])
def test_events_stand_beside_do_bench(
    monkeypatch: pytest.MonkeyPatch, check: Check, theirs_ms: float
) -> None:
    """Over fakes: each case has both times and their ratio, by turns."""
    turns: list[str] = []

    def do_bench(run: Any, return_mode: str) -> float:
        run()
        turns.append(return_mode)
        return theirs_ms

    monkeypatch.setattr(gpu_events, "_TURNS", 2)
    monkeypatch.setattr(gpu_events, "_RUNS", 2)
    for name in ("triton", "triton.testing"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(do_bench=do_bench))
    with torch_with_cuda(monkeypatch):
        found = list(gpu_events.rows(replace(check, device="v100")))
    assert [(row["batch"], row["launch"]) for row in found[::3]] == [
        (1, "graph"),
        (32, "graph"),
        (32, "stream"),
    ]
    assert turns == ["median"] * 2 * len(found)
    for row in found:
        assert row["ratio"] == pytest.approx(row["ours_ms"] / theirs_ms, rel=0.5)
        assert len(row["ratios"]) == 2
        assert row["within_goal"] == (abs(row["ratio"] - 1) <= 0.02)
