"""The check of a device: a real process on this processor, and its parts over fakes of a card."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import latbench
from benchmarks import (
    gpu_check,
    gpu_conformance,
    gpu_events,
    gpu_part,
    gpu_runtimes,
    gpu_trtexec,
)
from benchmarks.gpu_part import ROOT, Check, run_part
from latbench import devices
from latbench.devices import CardFacts, visible
from latbench.devices.driver import Card
from latbench.errors import MeasurementError
from latbench.profiling import device_lock
from latbench.store.leaks import leaks
from tests.runtimes.fake_cuda import FakeGpu
from tests.runtimes.fake_torch_cuda import torch_with_cuda
from tests.runtimes.gpu_machine import machine

SMALL: dict[str, Any] = {"image_size": 8, "settings": [[16, 2, 1]]}
NETWORKS = 16


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """A small check of this processor."""
    return Check("cpu", tmp_path, 60.0, "digits-mobilenet", SMALL, NETWORKS, (1,), True)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGpu]:
    """A machine with a V100, TensorRT and PyTorch, all of them fakes."""
    with (
        machine(monkeypatch, tmp_path / "cache", "10.4.0", "v100") as gpu,
        torch_with_cuda(monkeypatch),
    ):
        yield gpu


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
        *("--device", "cpu", "--batch", "1", "--quick"),
        *("--parts", "events,trtexec,runtimes,prediction"),
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
    assert [part["problem"] for part in parts.values()] == [None] * 4
    for part in parts.values():
        for one in part["refused"]:
            assert one["refused"]
            assert "\n" not in one["refused"]

    (missing,) = parts["events"]["refused"]
    assert missing["refused"] == "do_bench times work on a GPU, and a cpu is none"
    (missing,) = parts["trtexec"]["refused"]
    assert missing["refused"] == "trtexec times work on a GPU, and a cpu is none"

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
    assert again.stderr.count("kept from before") == 4
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


# What is kept, and when it is run again


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """A function that gives the command with one small part and returns what it said."""
    (tmp_path / "small_part.py").write_text(
        "def rows(check, before):\n    yield {'before': len(before)}\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(gpu_check, "PARTS", {"small": "small_part"})

    def call(*options: str) -> str:
        command = ["--device", "cpu", "--parts", "small", "--folder", str(tmp_path / "kept")]
        return CliRunner().invoke(gpu_check.main, [*command, *options]).output

    return call


def kept(folder: Path) -> Any:
    return json.loads((folder / "kept" / "small.json").read_text(encoding="utf-8"))


def test_a_part_is_run_again_by_other_versions(
    monkeypatch: pytest.MonkeyPatch, call: Callable[..., str], tmp_path: Path
) -> None:
    """What was installed meanwhile is looked at; each part says by which versions it ran."""
    assert "kept from before" not in call()
    assert kept(tmp_path)["demands"]["packages"]["numpy"]
    assert kept(tmp_path)["demands"]["instance"] == devices.require("cpu").instance
    assert "small: kept from before" in call()
    monkeypatch.setattr(gpu_check, "_version", {"tensorrt": "10.4.0"}.get)
    assert "small: 1 rows" in call()
    assert kept(tmp_path)["demands"]["packages"] == {"tensorrt": "10.4.0"}
    assert "small: kept from before" in call()
    assert "small: 1 rows" in call("--again")


def test_a_call_that_was_cut_off_goes_on(
    monkeypatch: pytest.MonkeyPatch, call: Callable[..., str], tmp_path: Path
) -> None:
    """The next one with the same demands goes on with its rows, one with others begins anew."""

    def cut_off(name: str, module: str, check: Check, goes_on: bool) -> Any:
        (check.folder / "small.jsonl").write_text('{"a": 1}\n{"b": 2}\n{"c"', encoding="utf-8")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(gpu_check, "run_part", cut_off)
        assert "Aborted" in call()
    assert "cut off" in kept(tmp_path)["problem"]
    assert "small: 1 rows" in call()
    assert kept(tmp_path)["rows"] == [{"before": 2}]
    assert "small: 1 rows" in call("--networks", "3")
    assert kept(tmp_path)["rows"] == [{"before": 0}]


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
        f"def rows(check, before):\n    yield {{'value': float('nan')}}\n    {code}\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(check.folder)
    found = run_part("bad", "bad_part", check)
    assert problem in found["problem"]
    assert found["rows"] == [{"value": None}]
    assert not found["ended"]


def test_a_part_that_hangs_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The others have their turn."""
    (tmp_path / "endless_part.py").write_text(
        "import time\ndef rows(check, before):\n    while True:\n        time.sleep(1)\n",
        encoding="utf-8",
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
        "def rows(check, before):\n    yield {'a': 1}\n    yield unfinished('it')\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(check.folder)
    found = run_part("short", "short_part", check)
    assert (found["problem"], found["ended"]) == (None, False)
    assert found["rows"] == [{"a": 1}]


def test_a_part_that_could_not_begin_is_not_done(
    monkeypatch: pytest.MonkeyPatch, check: Check
) -> None:
    """What it lacks is told, and may be there when the command is next given."""
    (check.folder / "lacking_part.py").write_text("import surely_not_installed\n", encoding="utf-8")
    monkeypatch.syspath_prepend(check.folder)
    found = run_part("lacking", "lacking_part", check)
    assert found["refused"][0]["refused"] == "No module named 'surely_not_installed'"
    assert (found["problem"], found["ended"]) == (None, False)


def test_a_part_is_given_what_was_found_before(
    monkeypatch: pytest.MonkeyPatch, check: Check
) -> None:
    """Where the check goes on; what it yields is then all that there is."""
    (check.folder / "steps_part.py").write_text(
        "def rows(check, before):\n"
        "    yield from before\n    yield {'step': len(before)}\n    raise SystemExit(3)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(check.folder)
    steps = [
        [row["step"] for row in run_part("steps", "steps_part", check, goes_on)["rows"]]
        for goes_on in (True, True, False)
    ]
    assert steps == [[0], [0, 1], [0]]


def test_a_part_is_shown_one_card(monkeypatch: pytest.MonkeyPatch, check: Check) -> None:
    """Of two of a model the first, whose instance the rows are of."""
    facts = CardFacts(2**37, "570.1", 700, 1980, "9.0", "Enabled", "Disabled")
    cards = [Card("NVIDIA H200", f"GPU-{name}", facts) for name in "ab"]
    monkeypatch.setattr(visible, "read_cards", lambda: (cards, None))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (check.folder / "shown_part.py").write_text(
        "import os\ndef rows(check, before):\n"
        "    yield {'shown': os.environ.get('CUDA_VISIBLE_DEVICES')}\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(check.folder)
    for device, shown in (("h200", "GPU-a"), ("cpu", None)):
        found = run_part("shown", "shown_part", replace(check, device=device))
        assert found["rows"] == [{"shown": shown}]


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


def is_locked(instance: str) -> bool:
    """Return whether somebody holds the lock of a device."""
    path = device_lock._folder() / f"{instance.replace(':', '-')}.lock"
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.usefixtures("card")
def test_suites_are_run_once(monkeypatch: pytest.MonkeyPatch, check: Check) -> None:
    """Those of an earlier call are not run again, and each holds the lock of the device."""
    instance = devices.require("v100").instance
    run: list[str] = []

    def row_of(check: Check, suite: str) -> gpu_part.Row:
        assert is_locked(instance)
        run.append(suite)
        return {"suite": suite}

    monkeypatch.setattr(gpu_conformance, "row_of", row_of)
    suites = list(gpu_conformance.suites())
    before = [
        {"suite": suites[0], "passed": 7},
        gpu_part.refused(suites[1], "it is not here"),
        gpu_part.unfinished("conformance"),
    ]
    found = list(gpu_conformance.rows(replace(check, device="v100"), before))
    assert found == [*before[:2], *({"suite": suite} for suite in suites[2:])]
    assert run == suites[2:]


# Runtimes beside each other

LATE = """
from latbench.errors import UnavailableError
from latbench.runtimes import Runtime

class Late(Runtime):
    name = "late"
    def available(self): return None
    def version(self): return "1"
    def _compile(self, workload, target):
        raise UnavailableError("its CUDA is newer than the driver's")
"""


def test_a_runtime_that_does_not_start_stands_alone(
    monkeypatch: pytest.MonkeyPatch, check: Check
) -> None:
    """It is refused with its reason, and the others are measured."""
    # Whoever measures on this processor meanwhile is not waited for: nothing is told of times.
    monkeypatch.setattr(device_lock, "_folder", lambda: check.folder)
    (check.folder / "late.py").write_text(LATE, encoding="utf-8")
    metadata = check.folder / "late-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[latbench.runtimes]\nlate = late:Late\n")
    monkeypatch.syspath_prepend(check.folder)
    ways = [gpu_runtimes._Way("Early", "onnxruntime"), gpu_runtimes._Way("Late", "late")]
    monkeypatch.setattr(gpu_runtimes, "_WAYS", ways)
    late, early = gpu_runtimes.rows(replace(check, seconds=600.0), [])
    assert (late["what"], late["batch"]) == ("Late", 1)
    assert late["refused"] == (
        "the runtime late does not work here: its CUDA is newer than the driver's"
    )
    assert early["way"] == "Early"
    assert early["latency_ms"] > 0


# Times by events


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("theirs_ms", [1.0, 1e-6])
def test_events_stand_beside_do_bench(
    monkeypatch: pytest.MonkeyPatch, check: Check, theirs_ms: float
) -> None:
    """Over fakes: each case has both times and their ratio, by turns."""
    turns: list[str] = []
    instance = devices.require("v100").instance

    def do_bench(run: Any, return_mode: str) -> float:
        assert is_locked(instance)
        run()
        turns.append(return_mode)
        return theirs_ms

    monkeypatch.setattr(gpu_events, "_TURNS", 2)
    monkeypatch.setattr(gpu_events, "_RUNS", 2)
    for name in ("triton", "triton.testing"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(do_bench=do_bench))
    found = list(gpu_events.rows(replace(check, device="v100"), []))
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


# Times of NVIDIA's own tool

TRTEXEC = """#!{python}
import fcntl, hashlib, json, pathlib, sys
given = dict(word.partition("=")[::2] for word in sys.argv[1:])
here = pathlib.Path(__file__).parent
plan = pathlib.Path(given.pop("--loadEngine")).read_bytes()
times = pathlib.Path(given.pop("--exportTimes"))
with (here / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps([hashlib.sha256(plan).hexdigest(), given]) + "\\n")
{then}
"""
"""Keeps what it was given, then does what a test wants."""
FIELDS = "startEnqMs endEnqMs startH2dMs endH2dMs startComputeMs endComputeMs computeMs latencyMs"
EXPORTS = f"""
def run(start, ms): return dict.fromkeys({FIELDS.split()}, start) | {{"computeMs": ms}}
times.write_text(json.dumps([run(0.1, 99.0), run(900.0, 2.0), run(902.5, 2.5), run(905.0, 3.0)]))
"""


@pytest.fixture
def put_trtexec(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """A function that puts a program ``trtexec`` into PATH and returns the file of its calls."""
    for name in ("_TURNS", "_RUNS"):
        monkeypatch.setattr(gpu_trtexec, name, 2)
    monkeypatch.setattr(gpu_trtexec, "_DEBIAN", tmp_path / "nowhere" / "trtexec")

    def put(then: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "trtexec"
        program.write_text(TRTEXEC.format(python=sys.executable, then=then), encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
        return folder / "calls.jsonl"

    return put


@pytest.mark.usefixtures("card")
def test_events_stand_beside_trtexec(
    put_trtexec: Callable[[str], Path], check: Check, tmp_path: Path
) -> None:
    """It loads the very engine that is timed, by turns, and its warm-up does not count."""
    calls = put_trtexec(EXPORTS)
    found = list(gpu_trtexec.rows(replace(check, device="v100"), []))
    assert [(row["batch"], row["launch"]) for row in found] == list(gpu_trtexec._CASES)
    for row in found:
        assert row["trtexec_ms"] == 2.5
        assert row["ratios"] == pytest.approx([row["ours_ms"] / 2.5] * 2, rel=0.9)
        assert row["within_goal"] == (abs(row["ratio"] - 1) <= 0.02)
    given = [json.loads(line) for line in calls.read_text(encoding="utf-8").splitlines()]
    assert len(given) == 2 * len(found)
    folder = tmp_path / "cache" / "latbench" / "tensorrt"
    held = {
        hashlib.sha256(path.read_bytes().partition(b"\n")[2]).hexdigest()
        for path in folder.iterdir()
    }
    engines = [sha256 for sha256, _ in given]
    assert set(engines) <= held
    assert engines[0] != engines[2] == engines[4]
    for (_, options), launch in zip(given[::2], ("graph", "graph", "stream"), strict=True):
        expected = {"--warmUp": "500", "--duration": "1", "--noDataTransfers": ""}
        graph = {"--useCudaGraph": ""} if launch == "graph" else {}
        assert options == {**expected, "--useSpinWait": "", **graph}


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (
            "print('[I] Loading'); print('[E] Error Code 6: other version'); print('[I] Bye')\n"
            "sys.exit(1)",
            r"exit status 1 and said '\[E\] Error Code 6: other version'; its TensorRT must be",
        ),
        ("print('&&&& PASSED')", "exit status 0 and said '&&&& PASSED'"),
        ("times.write_text('[1, ')", "what trtexec exported is no JSON: "),
    ],
)
def test_what_trtexec_says_is_not_guessed(
    put_trtexec: Callable[[str], Path], check: Check, then: str, reason: str
) -> None:
    """A failure, or a file that is none, refuses the case and no other."""
    put_trtexec(then)
    found = list(gpu_trtexec.rows(replace(check, device="v100"), []))
    assert [(row["batch"], row["launch"]) for row in found] == list(gpu_trtexec._CASES)
    assert all(re.search(reason, row["refused"]) for row in found)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"computeMs": 1}', "is no list"),
        ("[]", "exported 0 runs"),
        ('[{"startComputeMs": 3.0, "computeMs": 1.0}]', "1 runs, of which 0 began after"),
        ('[{"startComputeMs": 9.0, "computeMs": 0.0}]', "longer than 0 ms, and takes 0"),
        ('[{"startComputeMs": 9.0, "gpuMs": 1.0}]', 'gpuMs": 1.0}, in which computeMs is no'),
        ('[{"computeMs": 1.0}]', "startComputeMs is no number"),
        ('[{"startComputeMs": 9.0, "computeMs": "1"}]', "computeMs is no number"),
        ('[{"startComputeMs": 9.0, "computeMs": Infinity}]', "computeMs is no number"),
        ("[1]", "a run 1, in which startComputeMs is no number"),
    ],
)
def test_exported_times_are_read_strictly(text: str, reason: str) -> None:
    """What was not understood is told."""
    with pytest.raises(MeasurementError, match=re.escape(reason)):
        gpu_trtexec.compute_times_ms(text, 5.0)


@pytest.mark.usefixtures("card")
def test_a_machine_without_trtexec_says_where_it_is_from(
    monkeypatch: pytest.MonkeyPatch, put_trtexec: Callable[[str], Path], check: Check
) -> None:
    """The part is not done then: it may be there the next time."""
    put_trtexec("").with_name("trtexec").unlink()
    monkeypatch.setenv("PATH", str(check.folder / "bin"))
    (found,) = gpu_part._rows("benchmarks.gpu_trtexec", replace(check, device="v100"), [])
    assert found["refused"].startswith("trtexec is neither in PATH nor ")
    assert "put that of TensorRT 10.4.0 into PATH" in found["refused"]
    assert found["unfinished"]
