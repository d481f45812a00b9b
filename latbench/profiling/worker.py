"""A worker process: compiles a group of subjects, times them in turns, reports as it goes.

Or it compiles one workload and tells the kernels that it became.

Started by :mod:`latbench.profiling.child`; whatever happens here, the sweep survives it.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latbench.errors import LatbenchError, UnavailableError
from latbench.profiling.card_counters import counters_of
from latbench.profiling.channel import Channel, Message, pack_times
from latbench.registry import RUNTIMES, load
from latbench.runtimes import Runtime, Session, random_inputs
from latbench.runtimes.numerics import difference, require_finite
from latbench.runtimes.runtime import is_processor
from latbench.spaces.workload import TensorSpec, Workload
from latbench.target import Target
from latbench.timing import (
    Clock,
    CoreProbe,
    Digest,
    HostClock,
    Outcome,
    Protocol,
    Round,
    WarmUp,
    interleave,
)

if TYPE_CHECKING:
    from latbench.devices import CardWatch

_SENTINEL = "the sentinel"
_SENTINEL_WARM_UP = 30
_HEARTBEAT_S = 10.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Timed:
    """A compiled subject as the timing sees it."""

    name: str
    session: Session

    @property
    def run_once(self) -> Callable[[], None]:
        """What the clock of the session wants to be called for a run."""
        return self.session.run_once if self.session.clock is None else self.session.begin


class _Alive:
    """A clock that lets it be known between two samples that work goes on.

    The warm-up of a group of slow subjects reports nothing for longer than one hang is given.
    """

    def __init__(self, clock: Clock, channel: Channel) -> None:
        self._clock = clock
        self._channel = channel
        self._told_s = time.monotonic()
        self.resolution_ns, self.overhead_ns = clock.resolution_ns, clock.overhead_ns

    @property
    def hidden(self) -> bool:
        return self._clock.hidden

    def time(self, run_once: Callable[[], object], inner: int) -> int:
        elapsed_ns = self._clock.time(run_once, inner)
        if time.monotonic() - self._told_s > _HEARTBEAT_S:
            self._told_s = time.monotonic()
            self._channel.send({"type": "working"})
        return elapsed_ns


def serve(channel: Channel) -> None:
    """Do the one task that comes over ``channel``, then say so and return.

    Raises:
        UnavailableError: the runtime does not work on this machine.
    """
    task = channel.receive()
    if task is None:
        return
    folder = Path(task["folder"])
    if "describe" in task:
        _describe(channel, task, folder)
        return
    target = Target.from_dict(task["target"])
    protocol = Protocol.from_dict(task["protocol"])
    runtime = load(RUNTIMES, target.runtime)()
    if target.threads == 1:
        _stay_on_one_cpu()
    # It comes first, so that there is fixed work to try the process by when a subject fails.
    sentinel = _sentinel(runtime, _workload(task["sentinel"], folder), target)

    def failed(job: str, reason: str) -> None:
        channel.send({"type": "failed", "job": job, "reason": reason})
        # Some errors of a device stay with its process, and would be told of all who come after:
        # what this raises ends it, and the others are timed in processes of their own.
        sentinel.session.run_once()

    def compiled(message: Message) -> Session | None:
        channel.send({"type": "compiling", "job": message["job"]})
        start = time.perf_counter()
        try:
            workload = _workload(message, folder)
            session: Session = runtime.compile(workload, target)
            session.run_once()
            compile_ms = (time.perf_counter() - start) * 1e3
            numerics = _numerics(runtime, session, workload, target)
        except UnavailableError:
            raise  # whatever there is to compile: it is no subject's result
        # An engine can refuse a workload with any exception; that is this subject's result.
        except Exception as failure:  # noqa: BLE001
            reason = _reason(failure)
        else:
            channel.send(
                {
                    "type": "compiled",
                    "job": message["job"],
                    "compile_ms": compile_ms,
                    "precision_run": str(session.precision_run),
                    "numerics": numerics,
                    "build": dict(session.build),
                }
            )
            return session
        failed(message["job"], reason)
        return None

    subjects = []
    for message in task["subjects"]:
        session = compiled(message)
        if session is not None:
            subjects.append(Timed(message["job"], session))
    sessions = {subject.name: subject.session for subject in subjects}
    clocks = {
        one.name: _Alive(one.session.clock, channel)
        for one in (*subjects, sentinel)
        if one.session.clock is not None
    }
    watch = _watch(target.device)
    interleave(
        subjects,
        protocol,
        process=task["process"],
        on_warm=lambda job, warm: channel.send(_warm(job, warm, sessions[job], watch)),
        on_round=lambda job, one: channel.send(_round(job, one)),
        on_done=lambda job, outcome: channel.send(_done(job, outcome)),
        on_failed=failed,
        rounds_before={job: _before(processes) for job, processes in task["before"].items()},
        sentinel=sentinel.run_once,
        on_sentinel=lambda one: channel.send({"type": "sentinel", **one.to_dict()}),
        budget_s=task["budget_s"],
        clock=_Alive(HostClock(), channel),
        clocks=clocks,
        sentinel_clock=clocks.get(sentinel.name),
        # What the device times, a neighbour of the host's core does not slow.
        probe=None if target.mode == "device" else CoreProbe(protocol.probe_tolerance),
        read_counters=counters_of(watch),
    )
    channel.send({"type": "end"})


def _describe(channel: Channel, task: Message, folder: Path) -> None:
    """Tell the compiled graph of one workload."""
    target = Target.from_dict(task["target"])
    if target.threads == 1:
        _stay_on_one_cpu()
    try:
        session: Session = load(RUNTIMES, target.runtime)().compile(
            _workload(task["describe"], folder), target
        )
        channel.send({"type": "kernels", "graph": session.kernels(task["runs"]).to_dict()})
    # As for a subject that is timed: whatever the engine raises is the result.
    except Exception as failure:  # noqa: BLE001
        channel.send({"type": "untold", "reason": _reason(failure)})
    channel.send({"type": "end"})


def _numerics(
    runtime: Runtime, session: Session, workload: Workload, target: Target
) -> Mapping[str, Any]:
    """Return how far the outputs are from fp32, where there is a reason to doubt them.

    Networks of a space in fp32 are left out: each would be compiled twice, and the runtimes' own
    checks cover them.

    Raises:
        MeasurementError: the outputs are not finite.
    """
    if target.precision == "fp32" and workload.recipe["kind"] != "file":
        return {}
    inputs = random_inputs(workload.inputs)
    outputs = session.outputs(inputs)
    require_finite(outputs)
    if not outputs:
        return {}
    try:
        reference = runtime.reference(workload, target).outputs(inputs)
    except LatbenchError as failure:
        return {"no_reference": _reason(failure)}
    return difference(outputs, reference)


def _watch(device: str) -> CardWatch | None:
    """Return what watches the card ``device``; nothing where it is none, or does not tell."""
    if is_processor(device):
        return None
    # Only a card is worth the time to load what knows of devices.
    from latbench.devices import watch_card

    watch, _ = watch_card(device)  # the process that started this one has told why there is none
    return watch


def _stay_on_one_cpu() -> None:
    """Keep to one of the CPUs, at random: taints are then told of the CPU that did the work."""
    # One that is chosen for its present calm would be the same for every process of a sweep.
    os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})


def _sentinel(runtime: Runtime, workload: Workload, target: Target) -> Timed:
    session = runtime.compile(workload, target)
    for _ in range(_SENTINEL_WARM_UP):
        session.run_once()
    return Timed(_SENTINEL, session)


def _workload(message: Message, folder: Path) -> Workload:
    inputs = tuple(
        TensorSpec(name, tuple(shape), dtype) for name, shape, dtype in message["inputs"]
    )
    return Workload(
        id=message["workload"],
        name=message["name"],
        inputs=inputs,
        model=(folder / message["model"]).read_bytes(),
        recipe=message["recipe"],
        nodes=message["nodes"],
    )


def _before(processes: list[list[Message]]) -> list[list[Digest]]:
    return [[Digest.from_dict(one) for one in group] for group in processes]


def _warm(job: str, warm: WarmUp, session: Session, watch: CardWatch | None) -> Message:
    times = _run_times(session)
    # The card has been at work until this moment: before the worker began it was idle.
    card = {} if watch is None else watch.state().to_dict()
    return {
        "type": "warm",
        "job": job,
        "steady": warm.state == "steady",
        "first_run_ms": warm.first_run_ms,
        "warmup_ms": warm.spent_ms,
        "run_times": times,
        "card": card,
    }


def _run_times(session: Session) -> Message:
    """Return the times of device, launches and whole, now that it is warm; nothing on the host."""
    try:
        found = session.run_times()
    # Whatever the engine raises: the subject's own runs will tell whether it works at all.
    except Exception as failure:  # noqa: BLE001
        return {"untold": _reason(failure)}
    return {} if found is None else found.to_dict()


def _round(job: str, one: Round) -> Message:
    return {
        "type": "round",
        "job": job,
        "number": one.number,
        "started": one.started,
        "inner": one.inner,
        "times": pack_times(one.samples.times_ns),
        "quiet": None if one.samples.quiet is None else one.samples.quiet.tolist(),
        "taints": list(one.taints),
        "sentinel_ms": one.sentinel_ms,
    }


def _done(job: str, outcome: Outcome) -> Message:
    return {"type": "done", "job": job, "outcome": outcome}


def _reason(failure: Exception) -> str:
    kind = "" if isinstance(failure, LatbenchError) else f"{type(failure).__name__}: "
    return f"{kind}{failure}"


def main() -> None:
    """Serve the socket whose file descriptor is the only argument."""
    # The kernel ends this process with the one that started it, even inside an engine that hangs.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    try:
        serve(channel)
    except UnavailableError as missing:
        channel.send({"type": "unavailable", "reason": str(missing)})
    except BrokenPipeError:
        # Whoever asked is gone: there is nobody left to measure for.
        sys.exit(1)
