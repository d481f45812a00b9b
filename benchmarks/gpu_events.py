"""The time of networks on a GPU by our events, beside that of ``triton.testing.do_bench``.

Both put events around one run on a cold L2 cache, and take turns. do_bench does not hold the GPU
until the host has launched the run: where launching takes longer than the work, it times the
launching, which its row then says.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from benchmarks.gpu_part import Check, Row, refused
from latbench import devices
from latbench.errors import LatbenchError
from latbench.profiling.device_lock import device_lock
from latbench.profiling.subjects import network_subjects
from latbench.registry import RUNTIMES, load
from latbench.runtimes import Runtime
from latbench.runtimes.gpu_clock import GpuClock
from latbench.spaces import Workload
from latbench.target import Target
from latbench.workflows.architectures import draw

_NETWORKS, _TURNS, _RUNS = 3, 10, 30
_CASES = ((1, "graph"), (32, "graph"), (32, "stream"))
"""Images a run, and how it is launched."""
_GOAL_PERCENT = 2.0


def rows(check: Check, before: Sequence[Row]) -> Iterator[Row]:
    """Yield a row for each network, batch and way to launch it.

    Raises:
        UnavailableError: PyTorch or triton cannot use the device.
    """
    if devices.profile(check.device).kind != "gpu":
        yield refused("events", f"do_bench times work on a GPU, and a {check.device} is none")
        return
    instance = devices.require(check.device).instance
    runtime: Runtime = load(RUNTIMES, "torch")()
    runtime.target(check.device)
    from triton.testing import do_bench  # an ImportError tells which package is missing

    space = check.build_space()
    X = draw(space, _NETWORKS, seed=0)
    for batch, launch in _CASES:
        options = {"clock": "gpu", "l2": "cold", "launch": launch}
        target = runtime.target(check.device, batch=batch, options=options)
        for subject in network_subjects(space, X, batch):
            case = {"network": subject.key, "batch": batch, "launch": launch}
            try:
                with device_lock(instance, warnings.warn):
                    found = _compared(runtime, subject.workload, target, do_bench)
                yield {**case, **found}
            except LatbenchError as failure:
                yield refused("events", failure, **case)


def _compared(runtime: Runtime, workload: Workload, target: Target, do_bench: Any) -> Row:
    """Return what both say of ``workload``, in turns."""
    session = runtime.compile(workload, target)
    clock = session.clock
    assert isinstance(clock, GpuClock)
    for _ in range(_RUNS):
        clock.time(session.begin, 1)
    ours, theirs, hidden = [], [], True
    for _ in range(_TURNS):
        taken = []
        for _ in range(_RUNS):
            taken.append(clock.time(session.begin, 1) / 1e6)
            hidden = hidden and clock.hidden
        ours.append(median(taken))
        theirs.append(float(do_bench(session.begin, return_mode="median")))
    told = session.run_times()
    session.close()
    return {
        **beside("do_bench", ours, theirs),
        "hidden": hidden,
        # Of warm runs, each launched as in a user's program.
        "enqueue_bound": None if told is None else told.enqueue_bound,
    }


def beside(other: str, ours_ms: Sequence[float], theirs_ms: Sequence[float]) -> Row:
    """Return what our times are to those of ``other``, taken in turns: one of each a turn."""
    ratios = [a / b for a, b in zip(ours_ms, theirs_ms, strict=True)]
    return {
        "ours_ms": median(ours_ms),
        f"{other}_ms": median(theirs_ms),
        "ratio": median(ratios),
        "ratios": ratios,
        "within_goal": abs(median(ratios) - 1) <= _GOAL_PERCENT / 100,
        "goal_percent": _GOAL_PERCENT,
    }
