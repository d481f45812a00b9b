"""Clocks for work on a GPU, which begins and ends on its own while the host goes on.

The time between two events in a stream is that of the work between them only if the GPU never had
to wait for the host there. So the stream is held, by a kernel that does nothing for a while, until
the host has put events and work into it (the launch gate of NVIDIA's nvbench); and whether that
was long enough is looked at, because the first event must not have happened by then.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Protocol

from latbench.timing import HostClock

_STEP_NS = 500.0
"""Events of CUDA tell their time in steps of about half a microsecond."""
_LEAST_HOLD_NS = 20_000
_LONGEST_HOLD_NS = 20_000_000
_MARGIN = 1.5
_REMEMBERED = 8
_IN_A_ROW = 3
"""So often the host is not late by chance: the stream takes no more launches."""
_PROBES = 20


class Event(Protocol):
    """A mark in a stream, which happens when all that is before it is done."""

    def record(self) -> None:
        """Put the mark into its stream, as the next work."""
        ...

    def happened(self) -> bool:
        """Return whether the GPU has come to the mark."""
        ...

    def ms_since(self, earlier: Event) -> float:
        """Return the milliseconds between ``earlier`` and this; both must have happened."""
        ...


class Lane(Protocol):
    """A stream of a GPU as its clocks need it."""

    def event(self) -> Event:
        """Return a new event of this stream."""
        ...

    def hold(self, ns: int) -> None:
        """Keep the stream busy for about ``ns`` nanoseconds, leaving memory and caches alone."""
        ...

    def flush(self) -> None:
        """Write over the whole L2 cache, as the next work."""
        ...

    def wait(self) -> None:
        """Return when all work of the stream is done."""
        ...


class GpuClock:
    """Times runs that the host only begins, by two events on the GPU around them.

    Attributes:
        resolution_ns: see :class:`latbench.timing.Clock`.
        overhead_ns: see :class:`latbench.timing.Clock`.
        hidden: whether the host had put the last runs into the stream before the first began, so
            that no time of the host is in theirs.

    A hold has an end, and a stream takes a limited number of launches: the host waits with the next
    and then comes too late. Runs that are too many for either stand in several holds, each between
    events of its own.
    """

    def __init__(self, lane: Lane, cold: bool = False) -> None:
        """Time what runs in ``lane``; ``cold``: with a flushed L2 cache before each run."""
        self._lane = lane
        self._cold = cold
        self._before, self._after = lane.event(), lane.event()
        # Of one run, by the host, lately; the longest is how long the stream has to be held.
        self._launches_ns: deque[float] = deque([_LEAST_HOLD_NS], maxlen=_REMEMBERED)
        self._fitting = sys.maxsize
        self._shown = 0
        self.hidden = True
        overhead_ns = float(median(self._between(_nothing, 1) for _ in range(_PROBES)))
        # Runs that each stand between events of their own blur no less when there are more.
        self.resolution_ns, self.overhead_ns = (1.0, 0.0) if cold else (_STEP_NS, overhead_ns)

    def time(self, run_once: Callable[[], object], inner: int) -> int:
        """Return the nanoseconds that ``inner`` runs took on the GPU, one right after the other.

        ``run_once`` begins a run and need not wait for it.
        """
        hidden, total_ns, left = True, 0, inner
        while left:
            if self._cold:
                self._lane.flush()
            holds = left if self._cold else math.ceil(left / self._most_runs())
            runs = math.ceil(left / holds)
            total_ns += self._between(run_once, runs)
            hidden = hidden and self.hidden
            left -= runs
        self.hidden = hidden
        return total_ns

    def _most_runs(self) -> int:
        """Return how many runs the host can launch within one hold."""
        launch_ns = _MARGIN * max(*self._launches_ns, 1.0)
        return max(1, min(self._fitting, int(_LONGEST_HOLD_NS / launch_ns)))

    def _between(self, begin: Callable[[], object], runs: int) -> int:
        launch_ns = _MARGIN * max(self._launches_ns) * runs
        self._lane.hold(round(min(max(launch_ns, _LEAST_HOLD_NS), _LONGEST_HOLD_NS)))
        start = time.perf_counter_ns()
        self._before.record()
        for _ in range(runs):
            begin()
        self._after.record()
        self._launches_ns.append((time.perf_counter_ns() - start) / runs)
        self.hidden = not self._before.happened()
        if runs > 1:  # one alone cannot be parted
            self._shown = 0 if self.hidden else self._shown + 1
        if self._shown == _IN_A_ROW:
            self._fitting, self._shown = runs // 2, 0
        self._lane.wait()
        return round(self._after.ms_since(self._before) * 1e6)


class ColdHostClock:
    """The host's clock around runs before each of which the L2 cache was flushed.

    Attributes:
        resolution_ns: see :class:`latbench.timing.Clock`.
        overhead_ns: see :class:`latbench.timing.Clock`.
    """

    hidden = True  # the launches are part of what it times

    def __init__(self, lane: Lane) -> None:
        """Time what runs in ``lane``."""
        self._lane = lane
        host = HostClock()
        self.resolution_ns, self.overhead_ns = host.resolution_ns, host.overhead_ns

    def time(self, run_once: Callable[[], object], inner: int) -> int:
        """Return the wall time of ``inner`` runs with the wait for the end of each."""
        lane, total_ns = self._lane, 0
        for _ in range(inner):
            lane.flush()
            lane.wait()
            start = time.perf_counter_ns()
            run_once()
            lane.wait()
            total_ns += time.perf_counter_ns() - start
        return total_ns


def _nothing() -> None:
    return None
