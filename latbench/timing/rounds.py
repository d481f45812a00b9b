"""Rounds: short, contiguous series of runs, the unit that is kept, tainted and resampled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from latbench.timing.clock import Clock, garbage_collection_off
from latbench.timing.protocol import Protocol

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Round:
    """One round of one subject, as it was measured.

    Attributes:
        process: name of the process it ran in; a resumed subject runs in another one.
        number: its place among the subject's rounds in that process, from 0.
        started: when it began, in Unix seconds.
        inner: runs in one sample.
        times_ns: (samples,) elapsed nanoseconds, each of ``inner`` runs together.
        taints: causes by which it is left out of the estimate; empty for a clean round.
        sentinel_ms: the sentinel's median just before, if there is a sentinel.
    """

    process: str
    number: int
    started: float
    inner: int
    times_ns: IntArray
    taints: tuple[str, ...] = ()
    sentinel_ms: float | None = None

    @cached_property
    def median_ms(self) -> float:
        """The median latency of one run."""
        return float(np.median(self.times_ns)) / self.inner / 1e6

    @property
    def runs(self) -> int:
        """How many runs the round holds."""
        return len(self.times_ns) * self.inner


def medians_by_process(rounds: Iterable[Round]) -> dict[str, list[float]]:
    """Return the round medians in milliseconds by process."""
    medians: dict[str, list[float]] = {}
    for one in rounds:
        medians.setdefault(one.process, []).append(one.median_ms)
    return medians


def run_round(
    run_once: Callable[[], object], clock: Clock, protocol: Protocol, inner: int = 1
) -> IntArray:
    """Run one round after its lead-in and return its (samples,) nanoseconds of ``inner`` runs.

    The lead-in ends early once it took ``round_ms``: a long run needs no three rehearsals.
    """
    with garbage_collection_off():
        lead_in_ns = 0
        for _ in range(protocol.lead_in_runs):
            lead_in_ns += clock.time(run_once, 1)
            if lead_in_ns >= protocol.round_ms * 1e6:
                break
        return _samples(
            run_once,
            clock,
            inner,
            least=(protocol.round_runs, protocol.round_ms),
            cap=(protocol.round_runs_min, protocol.round_cap_ms),
        )


def run_block(run_once: Callable[[], object], clock: Clock, protocol: Protocol) -> IntArray:
    """Run one warm-up block and return its (runs,) nanoseconds."""
    with garbage_collection_off():
        return _samples(
            run_once,
            clock,
            inner=1,
            least=(protocol.warmup_block_runs, protocol.warmup_block_ms),
            cap=(1, protocol.round_cap_ms),
        )


def _samples(
    run_once: Callable[[], object],
    clock: Clock,
    inner: int,
    least: tuple[int, float],
    cap: tuple[int, float],
) -> IntArray:
    """Sample until the runs and milliseconds of ``least`` are both reached, or those of ``cap``."""
    least_runs, least_ns = least[0], least[1] * 1e6
    cap_runs, cap_ns = cap[0], cap[1] * 1e6
    times: list[int] = []
    elapsed = runs = 0
    while (runs < least_runs or elapsed < least_ns) and (runs < cap_runs or elapsed < cap_ns):
        sample = clock.time(run_once, inner)
        times.append(sample)
        elapsed += sample
        runs += inner
    return np.array(times, dtype=np.int64)
