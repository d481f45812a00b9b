"""The far end of a task: what it keeps, what it runs, and what it says of itself."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import latbench
from latbench.profiling.channel import Message
from latbench.profiling.child import Limits
from latbench.profiling.process import Task, models, request
from latbench.profiling.station import CopyError, Station, limits_message
from latbench.profiling.subjects import Subject
from latbench.target import Target
from latbench.timing import Protocol

ROOT = Path(latbench.__file__).parents[1]
PATIENCE_S = 60.0


def name_of(model: bytes) -> str:
    return f"{hashlib.sha256(model).hexdigest()}.onnx"


def all_of(station: Station) -> list[Message]:
    """Return everything that a station says until its task has ended."""
    said: list[Message] = []
    deadline = time.monotonic() + PATIENCE_S
    while not said or said[-1]["type"] not in ("ended", "unavailable", "broken"):
        assert time.monotonic() < deadline
        said += station.messages(1.0)
    return said


def test_only_what_is_missing_has_to_be_sent(tmp_path: Path) -> None:
    """A model is kept for later tasks, and known by its content alone."""
    one, other = name_of(b"one"), name_of(b"other")
    station = Station(tmp_path / "models")
    assert station.missing([one, other]) == [one, other]
    station.keep(one, b"one")
    assert Station(tmp_path / "models").missing([one, other]) == [other]


def test_a_model_that_changed_on_its_way_is_refused(tmp_path: Path) -> None:
    """Nothing is kept under a name that its content does not have."""
    station = Station(tmp_path)
    with pytest.raises(CopyError, match="did not arrive as it was sent"):
        station.keep(name_of(b"one"), b"onf")
    assert list(tmp_path.iterdir()) == []


def test_models_that_nobody_asked_for_in_a_month_are_removed(tmp_path: Path) -> None:
    """What is asked for is kept on."""
    station = Station(tmp_path)
    for model in (b"old", b"wanted"):
        station.keep(name_of(model), model)
        os.utime(tmp_path / name_of(model), (0, 0))
    station.missing([name_of(b"wanted")])
    Station(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name_of(b"wanted")]


def test_a_task_is_run_as_a_local_one_is(
    odd: Target, fast: Protocol, named: Callable[..., Subject], tmp_path: Path
) -> None:
    """Its messages are those of the worker, between where it runs and how it ended."""
    good, fixed = named("good").workload, named("sentinel").workload
    task = Task(odd, "i1:station", fast, {"job": good}, {"job": {}}, fixed)
    station = Station(tmp_path)
    for name, model in models(task):
        station.keep(name, model)
    station.start(request(task, "p", Path()), limits_message(Limits()), "i1:station")
    said = all_of(station)
    assert said[0]["type"] == "began"
    assert said[0]["provenance"]["target"] == odd.to_dict()
    assert said[-1] == {"type": "ended", "death": None}
    assert {"compiled", "warm", "round", "done"} <= {message["type"] for message in said}


def test_a_machine_that_cannot_run_it_is_no_result(
    odd: Target,
    fast: Protocol,
    named: Callable[..., Subject],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the machine lacks is told apart from what a worker does."""

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("latbench.profiling.station.run_child", full)
    task = Task(odd, "i1:station", fast, {}, {}, named("sentinel").workload)
    station = Station(tmp_path)
    station.start(request(task, "p", Path()), limits_message(Limits()), "i1:station")
    reason = "OSError: [Errno 28] No space left on device"
    assert all_of(station) == [{"type": "broken", "reason": reason}]


def test_a_runtime_that_does_not_work_is_told(
    odd: Target, fast: Protocol, named: Callable[..., Subject], tmp_path: Path
) -> None:
    """It is no result, and nothing that a second trial would change."""
    lacking, fixed = named("lack at compile").workload, named("sentinel").workload
    task = Task(odd, "i1:station", fast, {"job": lacking}, {"job": {}}, fixed)
    station = Station(tmp_path)
    for name, model in models(task):
        station.keep(name, model)
    station.start(request(task, "p", Path()), limits_message(Limits()), "i1:station")
    reason = "the runtime odd does not work here: no engine"
    assert all_of(station)[-1] == {"type": "unavailable", "reason": reason}


def test_the_environment_is_that_of_the_machine() -> None:
    """What was set later on does not reach a worker, nor what Ray set for its own processes."""
    program = (
        "import json, os; os.environ.update(CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1');"
        "from latbench.profiling.station import environment_at_start;"
        "print(json.dumps(environment_at_start()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "3", "RAY_JOB_ID": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)
    assert said["CUDA_VISIBLE_DEVICES"] == "3"
    assert not {"OMP_NUM_THREADS", "RAY_JOB_ID"} & set(said)
