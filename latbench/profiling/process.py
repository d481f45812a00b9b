"""Tasks, what runs them, and the executor that runs them on this machine.

Each group of subjects is timed in a process of its own, which may die alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from latbench.devices import require
from latbench.errors import MeasurementError
from latbench.profiling.channel import Message
from latbench.profiling.child import Limits, run_child
from latbench.profiling.device_lock import device_lock
from latbench.runtimes import CompiledGraph
from latbench.runtimes.runtime import PROFILED_RUNS
from latbench.spaces.workload import Workload
from latbench.target import Target
from latbench.timing import Digest
from latbench.timing import Protocol as TimingProtocol

Before = Mapping[str, Sequence[Digest]]
"""The clean rounds that earlier processes gave, by process."""

Report = Callable[[str, Message], None]
"""Takes the name of the worker process and one of its messages."""

Say = Callable[[str], None]
"""Takes a message for people, such as what is being waited for."""


@dataclass(frozen=True)
class Task:
    """One group for one worker process.

    Attributes:
        target: what to compile for.
        instance: id of the device instance that it is timed on.
        protocol: how to time.
        workloads: by job id.
        before: rounds that earlier processes gave, by job id.
        sentinel: the fixed workload that is timed between the passes.
        budget_s: seconds for the timing of the whole group, if bounded.
    """

    target: Target
    instance: str
    protocol: TimingProtocol
    workloads: Mapping[str, Workload]
    before: Mapping[str, Before]
    sentinel: Workload
    budget_s: float | None = None

    def only(self, jobs: Sequence[str]) -> Task:
        """Return the task of some of its jobs."""
        return dataclasses.replace(
            self,
            workloads={job: self.workloads[job] for job in jobs},
            before={job: self.before[job] for job in jobs},
        )


class Executor(Protocol):
    """What runs tasks: worker processes here, or elsewhere."""

    def run(self, task: Task, report: Report) -> str | None:
        """Run ``task`` in a new process, calling ``report`` for each of its messages.

        Returns:
            None if the worker came to its end, else what became of it, in one line: of a worker
            that somebody else killed, :data:`latbench.profiling.child.KILLED`.

        Raises:
            LatbenchError: it cannot be run now, through no fault of its subjects.
        """
        ...


class Describer(Protocol):
    """What tells how a workload was compiled."""

    def describe(
        self, workload: Workload, target: Target, runs: int = PROFILED_RUNS
    ) -> CompiledGraph:
        """Return the compiled graph of ``workload``, from ``runs`` profiled runs in a new process.

        Raises:
            MeasurementError: the runtime does not tell its kernels, or failed; the text is why.
        """
        ...


class LocalExecutor:
    """Runs tasks on this machine, one at a time: subjects must not disturb each other.

    The device is locked for each task, so that several executors take turns.
    """

    def __init__(self, limits: Limits | None = None, say: Say = warnings.warn) -> None:
        """Stop a worker that exceeds ``limits``, and ``say`` what is being waited for."""
        self._limits = limits or Limits()
        self._say = say

    def run(self, task: Task, report: Report) -> str | None:
        """See :class:`Executor`."""
        process = new_process()
        with (
            tempfile.TemporaryDirectory(prefix="latbench-") as folder,
            device_lock(task.instance, self._say),
        ):
            for name, model in models(task):
                (Path(folder) / name).write_bytes(model)
            return run_child(
                request(task, process, Path(folder)),
                self._limits,
                lambda message: report(process, message),
            )

    def describe(
        self, workload: Workload, target: Target, runs: int = PROFILED_RUNS
    ) -> CompiledGraph:
        """See :class:`Describer`; the device is locked as it is for a task.

        Raises:
            UnavailableError: the device is not here.
        """
        told: list[Message] = []
        with (
            tempfile.TemporaryDirectory(prefix="latbench-") as folder,
            device_lock(require(target.device).instance, self._say),
        ):
            (Path(folder) / _file_name(workload)).write_bytes(workload.model)
            task: Message = {
                "folder": folder,
                "target": target.to_dict(),
                "subjects": [],
                "describe": _described(workload),
                "runs": runs,
            }
            end = run_child(task, self._limits, told.append)
        for message in told:
            if message["type"] == "kernels":
                return CompiledGraph.from_dict(message["graph"])
            if message["type"] == "untold":
                end = message["reason"]
        reason = " ".join((end or "the worker said nothing").split())
        raise MeasurementError(f"its kernels are not known: {reason}")


def new_process() -> str:
    """Return a name for a worker process that no other has."""
    return uuid.uuid4().hex[:12]


def models(task: Task) -> Iterator[tuple[str, bytes]]:
    """Yield the models of ``task`` with the file name that each has in the worker's folder.

    The name is made of the content, so that a file which is there need not be copied again.
    """
    for workload in (*task.workloads.values(), task.sentinel):
        yield _file_name(workload), workload.model


def request(task: Task, process: str, folder: Path) -> Message:
    """Return what a worker is told of ``task``.

    Args:
        task: the task.
        process: the worker's name.
        folder: holds the files of :func:`models`, on the machine of the worker.
    """
    return {
        "process": process,
        "folder": str(folder),
        "target": task.target.to_dict(),
        "protocol": task.protocol.to_dict(),
        "subjects": [
            {"job": job, **_described(workload)} for job, workload in task.workloads.items()
        ],
        "before": {
            job: [[one.to_dict() for one in group] for group in before.values()]
            for job, before in task.before.items()
        },
        "sentinel": _described(task.sentinel),
        "budget_s": task.budget_s,
    }


def _file_name(workload: Workload) -> str:
    return f"{hashlib.sha256(workload.model).hexdigest()}.onnx"


def _described(workload: Workload) -> Message:
    return {
        "workload": workload.id,
        "name": workload.name,
        "inputs": [[spec.name, list(spec.shape), spec.dtype] for spec in workload.inputs],
        "model": _file_name(workload),
        "recipe": dict(workload.recipe),
        "nodes": workload.nodes,
    }
