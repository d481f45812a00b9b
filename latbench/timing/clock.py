"""Clocks: what measures the time of one run, and how many runs it needs to see at once."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise, repeat
from typing import Protocol

_RELATIVE_ERROR = 1e-3
_PROBES = 2000


class Clock(Protocol):
    """What times runs: the host's clock, or a device's events.

    Attributes:
        resolution_ns: smallest step between two readings.
        overhead_ns: what the clock reports for one run that does nothing.
        hidden: False if the last runs held time of the host that a device's clock leaves out.
    """

    @property
    def resolution_ns(self) -> float:
        """Smallest step between two readings in nanoseconds."""
        ...

    @property
    def overhead_ns(self) -> float:
        """Nanoseconds reported for one run that does nothing."""
        ...

    @property
    def hidden(self) -> bool:
        """False if the last runs held time of the host that a device's clock leaves out."""
        ...

    def time(self, run_once: Callable[[], object], inner: int) -> int:
        """Return the nanoseconds that ``inner`` consecutive runs took together."""
        ...


class HostClock:
    """Wall time of the host; ``run_once`` must return only when its work is done."""

    hidden = True  # the host's time is what it is to tell

    def __init__(self) -> None:
        """Measure the clock's own resolution and overhead (about a millisecond)."""
        readings = [time.perf_counter_ns() for _ in range(_PROBES)]
        steps = [b - a for a, b in pairwise(readings) if b > a]
        self.resolution_ns = float(min(steps))
        self.overhead_ns = float(statistics.median(self.time(_nothing, 1) for _ in range(_PROBES)))

    def time(self, run_once: Callable[[], object], inner: int) -> int:
        """Return the wall time of ``inner`` consecutive runs in nanoseconds."""
        turns = repeat(None, inner)
        start = time.perf_counter_ns()
        for _ in turns:
            run_once()
        return time.perf_counter_ns() - start


def inner_runs(clock: Clock, estimate_ns: float) -> int:
    """Return how many runs a sample must hold so that the clock errs by at most 0.1 %.

    ``n = max(1, ceil(1000 * max(resolution, overhead) / estimate))``.
    """
    blur_ns = max(clock.resolution_ns, clock.overhead_ns)
    return max(1, math.ceil(blur_ns / (_RELATIVE_ERROR * max(estimate_ns, 1.0))))


@contextmanager
def garbage_collection_off() -> Iterator[None]:
    """Keep Python's garbage collector from running inside, and restore it afterwards."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _nothing() -> None:
    return None
