"""Rounds: short, contiguous series of runs, the unit that is kept, tainted and resampled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from latbench.timing.clock import Clock, garbage_collection_off
from latbench.timing.probe import Probe
from latbench.timing.protocol import Protocol
from latbench.timing.undisturbed import Digest

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Samples:
    """Consecutive samples of one subject.

    Attributes:
        times_ns: (samples,) elapsed nanoseconds.
        quiet: (samples,) whether the probe found the core undisturbed before and after;
            ``None`` if nothing probed it.
        hidden: whether the clock could leave the host out of all of them, see :class:`Clock`.
    """

    times_ns: IntArray
    quiet: BoolArray | None = None
    hidden: bool = True

    @cached_property
    def used_ns(self) -> IntArray:
        """The quiet samples; all of them if none was quiet or nothing probed."""
        if self.quiet is None or not self.quiet.any():
            return self.times_ns
        return self.times_ns[self.quiet]

    @property
    def used(self) -> int:
        """How many samples are quiet; all of them if nothing probed."""
        return len(self.times_ns) if self.quiet is None else int(self.quiet.sum())


@dataclass(frozen=True, eq=False)
class Round:
    """One round of one subject, as it was measured.

    Attributes:
        process: name of the process it ran in; a resumed subject runs in another one.
        number: its place among the subject's rounds in that process, from 0.
        started: when it began, in Unix seconds.
        inner: runs in one sample.
        samples: the elapsed times, each of ``inner`` runs together.
        taints: causes by which it is left out of the estimate; empty for a clean round.
        sentinel_ms: the sentinel's median just before, if there is a sentinel.
    """

    process: str
    number: int
    started: float
    inner: int
    samples: Samples
    taints: tuple[str, ...] = ()
    sentinel_ms: float | None = None

    @cached_property
    def median_ms(self) -> float:
        """The median latency of one run, over all samples."""
        return float(np.median(self.samples.times_ns)) / self.inner / 1e6

    @cached_property
    def digest(self) -> Digest:
        """What an estimate needs of it."""
        return Digest.of(self.samples.times_ns / self.inner / 1e6, self.samples.used)

    @property
    def runs(self) -> int:
        """How many runs the round holds."""
        return len(self.samples.times_ns) * self.inner


def by_process(rounds: Iterable[Round]) -> dict[str, list[Digest]]:
    """Return the digests of ``rounds`` by process."""
    digests: dict[str, list[Digest]] = {}
    for one in rounds:
        digests.setdefault(one.process, []).append(one.digest)
    return digests


def run_round(
    run_once: Callable[[], object],
    clock: Clock,
    protocol: Protocol,
    inner: int = 1,
    probe: Probe | None = None,
) -> Samples:
    """Run one round after its lead-in and return its samples of ``inner`` runs."""
    with garbage_collection_off():
        lead_in(run_once, clock, protocol, probe)
        return sample(
            run_once,
            clock,
            protocol,
            probe,
            inner=inner,
            least=(protocol.round_runs, protocol.round_ms),
            cap=(protocol.round_runs_min, protocol.round_cap_ms),
        )


def lead_in(
    run_once: Callable[[], object], clock: Clock, protocol: Protocol, probe: Probe | None
) -> None:
    """Run what comes before a round and is discarded.

    It is sampled as the round is, because what comes between the samples has its place in the
    caches too. It ends early once it took ``round_ms``: a long run needs no five rehearsals.
    """
    least, cap = (protocol.lead_in_runs, 0.0), (1, protocol.round_ms)
    sample(run_once, clock, protocol, probe, inner=1, least=least, cap=cap, hurry=True)


def run_block(
    run_once: Callable[[], object], clock: Clock, protocol: Protocol, probe: Probe | None = None
) -> Samples:
    """Run one warm-up block and return its samples of single runs."""
    with garbage_collection_off():
        least = (protocol.warmup_block_runs, protocol.warmup_block_ms)
        cap = (1, protocol.round_cap_ms)
        return sample(run_once, clock, protocol, probe, inner=1, least=least, cap=cap, hurry=True)


def sample(
    run_once: Callable[[], object],
    clock: Clock,
    protocol: Protocol,
    probe: Probe | None,
    *,
    inner: int,
    least: tuple[int, float],
    cap: tuple[int, float],
    hurry: bool = False,
) -> Samples:
    """Sample until the quiet runs and milliseconds of ``least`` are in, or those of ``cap``.

    Between two looks of the probe lie ``probe_every_ms``, or one sample if that takes longer.
    Where the core is slow the next sample waits up to ``probe_wait_ms`` for a quiet moment; this
    time counts towards ``cap``. In a ``hurry`` nothing waits and every sample counts as quiet.
    """
    taken = _Taken(inner, (least[0], least[1] * 1e6), (cap[0], cap[1] * 1e6), hurry)
    hidden = True
    every_ns = 0.0 if probe is None else protocol.probe_every_ms * 1e6
    wait_ns = 0 if hurry else round(protocol.probe_wait_ms * 1e6)
    before = probe is None or probe.quiet()
    while not taken.enough:
        stretch = [clock.time(run_once, inner)]
        hidden = hidden and clock.hidden
        spent = stretch[0]
        while spent < every_ns:
            stretch.append(clock.time(run_once, inner))
            hidden = hidden and clock.hidden
            spent += stretch[-1]
        after = probe is None or probe.quiet()
        taken.add(stretch, before and after)
        if probe is not None and not after and wait_ns:
            waited_ns = probe.wait(wait_ns)
            taken.waited(waited_ns)
            after = waited_ns < wait_ns
        before = after
    times_ns = np.array(taken.times, dtype=np.int64)
    quiet = None if probe is None else np.array(taken.quiet, dtype=np.bool_)
    return Samples(times_ns, quiet, hidden)


class _Taken:
    """The samples so far, and whether they are enough."""

    def __init__(
        self, inner: int, least: tuple[int, float], cap: tuple[int, float], hurry: bool
    ) -> None:
        self.times: list[int] = []
        self.quiet: list[bool] = []
        self._inner = inner
        self._least, self._cap = least, cap
        self._hurry = hurry
        self._counted_runs = self._counted_ns = self._runs = self._ns = 0

    def add(self, stretch: list[int], quiet: bool) -> None:
        """Take in the samples between two looks of the probe."""
        self.times += stretch
        self.quiet += [quiet] * len(stretch)
        runs, spent = len(stretch) * self._inner, sum(stretch)
        self._runs += runs
        self._ns += spent
        if quiet or self._hurry:
            self._counted_runs += runs
            self._counted_ns += spent

    def waited(self, spent_ns: int) -> None:
        """Take in time spent on waiting."""
        self._ns += spent_ns

    @property
    def enough(self) -> bool:
        """Whether the wanted ones are in, or the most that may be."""
        wanted = self._counted_runs >= self._least[0] and self._counted_ns >= self._least[1]
        return wanted or (self._runs >= self._cap[0] and self._ns >= self._cap[1])
