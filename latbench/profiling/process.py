"""The local executor: each group of subjects in a process of its own, which may die alone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from latbench.errors import MeasurementError
from latbench.profiling.channel import Channel, Message
from latbench.runtimes import CompiledGraph
from latbench.runtimes.runtime import PROFILED_RUNS
from latbench.spaces.workload import Workload
from latbench.target import Target
from latbench.timing import Protocol as TimingProtocol

# Without the second statement Python would look for modules in the current folder before all
# others, whatever lies there.
_PROGRAM = """
import sys
sys.path[:] = filter(None, sys.path)
from latbench.profiling.worker import main
main()
"""
_LAST_WORDS_BYTES = 4096
_TO_END_S = 10.0

Medians = Mapping[str, Sequence[float]]
"""Round medians in ms by process."""

Report = Callable[[str, Message], None]
"""Takes the name of the worker process and one of its messages."""


@dataclass(frozen=True)
class Task:
    """One group for one worker process.

    Attributes:
        target: what to compile for.
        protocol: how to time.
        workloads: by job id.
        before: rounds that earlier processes gave, by job id.
        sentinel: the fixed workload that is timed between the passes.
        budget_s: seconds for the timing of the whole group, if bounded.
    """

    target: Target
    protocol: TimingProtocol
    workloads: Mapping[str, Workload]
    before: Mapping[str, Medians]
    sentinel: Workload
    budget_s: float | None = None


class Executor(Protocol):
    """What runs tasks: worker processes here, or elsewhere."""

    def run(self, task: Task, report: Report) -> str | None:
        """Run ``task`` in a new process, calling ``report`` for each of its messages.

        Returns:
            None if the worker came to its end, else what became of it, in one line.
        """
        ...


class LocalExecutor:
    """Runs tasks on this machine, one at a time: subjects must not disturb each other."""

    def __init__(self, timeout_s: float = 300.0) -> None:
        """Stop a worker that has reported nothing for ``timeout_s`` seconds."""
        self._timeout_s = timeout_s

    def run(self, task: Task, report: Report) -> str | None:
        """See :class:`Executor`."""
        process = uuid.uuid4().hex[:12]
        return self._converse(
            task.target,
            lambda folder: _request(task, process, folder),
            lambda message: report(process, message),
        )

    def describe(
        self, workload: Workload, target: Target, runs: int = PROFILED_RUNS
    ) -> CompiledGraph:
        """Return the compiled graph of ``workload``, from ``runs`` profiled runs in a new process.

        Raises:
            MeasurementError: the runtime does not tell its kernels, or failed; the text is why.
        """
        told: list[Message] = []
        end = self._converse(
            target,
            lambda folder: {
                "describe": _described(workload, folder),
                "target": target.to_dict(),
                "runs": runs,
            },
            told.append,
        )
        for message in told:
            if message["type"] == "kernels":
                return CompiledGraph.from_dict(message["graph"])
            end = message["reason"]
        reason = " ".join((end or "the worker said nothing").split())
        raise MeasurementError(f"its kernels are not known: {reason}")

    def _converse(
        self,
        target: Target,
        request: Callable[[Path], Message],
        report: Callable[[Message], None],
    ) -> str | None:
        """Send ``request(folder)`` to a new worker and report what it says until its end."""
        with (
            tempfile.TemporaryDirectory(prefix="latbench-") as folder,
            tempfile.TemporaryFile() as errors,
            _worker(target, errors) as (child, channel),
        ):
            try:
                channel.send(request(Path(folder)))
                while (message := channel.receive(self._timeout_s)) is not None:
                    if message["type"] == "end":
                        return None
                    report(message)
            except TimeoutError:
                return f"it reported nothing for {self._timeout_s:g} s and was stopped"
            except BrokenPipeError:
                pass  # it died before it had read its task; the next line tells how
            return _end_of(child, errors)


@contextlib.contextmanager
def _worker(target: Target, errors: IO[bytes]) -> Iterator[tuple[subprocess.Popen[bytes], Channel]]:
    ours, theirs = socket.socketpair()
    child = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        env=_environment(target),
        # Ctrl-C is for us; the worker and all it started are stopped together below.
        start_new_session=True,
    )
    theirs.close()
    channel = Channel(ours)
    try:
        yield child, channel
    finally:
        channel.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _environment(target: Target) -> dict[str, str]:
    """Return the worker's environment: our import path, and the target's number of threads."""
    threads = str(target.threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, **dict.fromkeys(names, threads), "PYTHONPATH": path}


def _request(task: Task, process: str, folder: Path) -> Message:
    return {
        "process": process,
        "target": task.target.to_dict(),
        "protocol": task.protocol.to_dict(),
        "subjects": [
            {"job": job, **_described(workload, folder)} for job, workload in task.workloads.items()
        ],
        "before": {job: dict(medians) for job, medians in task.before.items()},
        "sentinel": _described(task.sentinel, folder),
        "budget_s": task.budget_s,
    }


def _described(workload: Workload, folder: Path) -> Message:
    model = folder / f"{workload.id.removeprefix('g1:')}.onnx"
    if not model.exists():
        model.write_bytes(workload.model)
    return {
        "workload": workload.id,
        "name": workload.name,
        "inputs": [[spec.name, list(spec.shape), spec.dtype] for spec in workload.inputs],
        "model": str(model),
        "recipe": dict(workload.recipe),
        "nodes": workload.nodes,
    }


def _end_of(child: subprocess.Popen[bytes], errors: IO[bytes]) -> str:
    try:
        code = child.wait(_TO_END_S)
    except subprocess.TimeoutExpired:
        return f"its process hung up, did not end within {_TO_END_S:g} s and was stopped"
    if code < 0:
        return f"its process was killed by {signal.Signals(-code).name}"
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - _LAST_WORDS_BYTES))
    lines = errors.read().decode(errors="replace").strip().splitlines()
    last = f": {lines[-1]}" if lines else ""
    return f"its process ended with exit code {code}{last}"
