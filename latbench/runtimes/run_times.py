"""The three times of a run on a GPU, which answer different questions and are never mixed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from latbench.runtimes.gpu_clock import GpuClock, Lane
from latbench.timing.clock import inner_runs

_LEAD_IN = 5
"""Runs that come first and are not counted: clocks rise, and modules are loaded."""
_ENQUEUE_BOUND = 0.8


@dataclass(frozen=True)
class RunTimes:
    """Three times of each run, in milliseconds.

    Attributes:
        gpu_ms: on the GPU, between two events around runs that the host had launched before.
        enqueue_ms: until the host had launched the run.
        e2e_ms: until the host knew that the run had ended; nothing was held, and no event is in it.
        hidden: whether all launches came before the work of ``gpu_ms`` began.
    """

    gpu_ms: tuple[float, ...]
    enqueue_ms: tuple[float, ...]
    e2e_ms: tuple[float, ...]
    hidden: bool

    @property
    def enqueue_bound(self) -> bool:
        """Whether the GPU waits for the host where nothing holds it, as in a user's program."""
        return median(self.enqueue_ms) > _ENQUEUE_BOUND * median(self.gpu_ms)

    def to_dict(self) -> dict[str, Any]:
        """Return the medians, and what the runs tell, as JSON values."""
        return {
            "gpu_ms": median(self.gpu_ms),
            "enqueue_ms": median(self.enqueue_ms),
            "e2e_ms": median(self.e2e_ms),
            "hidden": self.hidden,
            "enqueue_bound": self.enqueue_bound,
            "runs": len(self.e2e_ms),
        }


def run_times(lane: Lane, begin: Callable[[], object], runs: int) -> RunTimes:
    """Return the times of ``runs`` runs in ``lane``, each begun by ``begin``.

    Where a run is short for the steps of events, several stand between two of them.
    """
    clock = GpuClock(lane)
    estimate_ns = min(clock.time(begin, 1) for _ in range(_LEAD_IN))
    inner = inner_runs(clock, estimate_ns)
    clock.time(begin, inner)
    gpu_ms, hidden = [], True
    for _ in range(runs):
        gpu_ms.append(clock.time(begin, inner) / inner / 1e6)
        hidden = hidden and clock.hidden
    told = [_by_the_host(lane, begin) for _ in range(_LEAD_IN + runs)][_LEAD_IN:]
    enqueue_ms, e2e_ms = zip(*told, strict=True)
    return RunTimes(tuple(gpu_ms), enqueue_ms, e2e_ms, hidden)


def _by_the_host(lane: Lane, begin: Callable[[], object]) -> tuple[float, float]:
    start = time.perf_counter_ns()
    begin()
    enqueued = time.perf_counter_ns()
    lane.wait()
    return (enqueued - start) / 1e6, (time.perf_counter_ns() - start) / 1e6
