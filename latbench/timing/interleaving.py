"""The scheduler: the subjects of a process take turns, so each one's rounds span the whole time."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

import numpy as np

from latbench.errors import UsageError
from latbench.timing.clock import Clock, HostClock, inner_runs
from latbench.timing.counter_files import CounterFiles
from latbench.timing.probe import Probe
from latbench.timing.protocol import Protocol as TimingProtocol
from latbench.timing.rounds import Round, lead_in, run_block, run_round, sample
from latbench.timing.steady import SteadyState, WarmUp
from latbench.timing.stopping import Outcome, StopRule
from latbench.timing.taint import LAUNCHES_SHOWN, Counters, causes
from latbench.timing.undisturbed import Digest, undisturbed_ms

Result = TypeVar("Result")


class Subject(Protocol):
    """What can be timed."""

    @property
    def name(self) -> str:
        """What its rounds are told apart by; unique among the subjects."""
        ...

    def run_once(self) -> object:
        """Do the work once, and return when the clock may be read."""
        ...


def interleave(
    subjects: Sequence[Subject],
    protocol: TimingProtocol,
    *,
    process: str,
    on_warm: Callable[[str, WarmUp], None],
    on_round: Callable[[str, Round], None],
    on_done: Callable[[str, Outcome], None],
    on_failed: Callable[[str, str], None],
    rounds_before: Mapping[str, Iterable[Sequence[Digest]]] | None = None,
    sentinel: Callable[[], object] | None = None,
    on_sentinel: Callable[[Digest], None] = lambda _: None,
    budget_s: float | None = None,
    clock: Clock | None = None,
    clocks: Mapping[str, Clock] | None = None,
    sentinel_clock: Clock | None = None,
    probe: Probe | None = None,
    read_counters: Callable[[], Counters] | None = None,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Warm up all subjects together, then time them in alternating rounds until each is done.

    Every subject ends in exactly one of ``on_done`` and ``on_failed``. What a subject raises is
    reported and the others go on; what a callback or the sentinel raises ends the timing.

    Args:
        subjects: what to time; each pass takes them in another order.
        protocol: how to time it.
        process: name of this process, kept with its rounds; no two processes share one.
        on_warm: told when a subject's warm-up has ended, with or without a steady state.
        on_round: told each round as it ends, so that it can be committed.
        on_done: told why a subject left: ``converged``, ``rounds`` (it had all its rounds) or
            ``budget`` (the time was spent, perhaps before its first round).
        on_failed: told the exception that made a subject leave.
        rounds_before: clean rounds of each earlier process by subject; they count in the stop
            rule.
        sentinel: fixed work, timed before each pass and kept with the pass's rounds.
        on_sentinel: told what each pass measured of it.
        budget_s: seconds after which no further turn begins.
        clock: what measures; the host's clock by default.
        clocks: what measures those subjects that have a clock of their own, by name.
        sentinel_clock: what measures the sentinel, if that has one too.
        probe: what tells whether the core is undisturbed between samples; by default nothing.
        read_counters: what tells disturbances; this machine's counters by default.
        now: monotonic seconds, for the budget and the length of warm-ups and rounds.

    Raises:
        UsageError: two subjects have the same name.
    """
    names = [subject.name for subject in subjects]
    if len(set(names)) < len(names):
        raise UsageError("two subjects have the same name; time each of them once")
    before = rounds_before or {}
    common, own = clock or HostClock(), clocks or {}
    seats = [
        _Seat(
            subject,
            protocol,
            StopRule(protocol, before.get(subject.name, ())),
            own.get(subject.name, common),
        )
        for subject in subjects
    ]
    turns = _Turns(
        seats=seats,
        protocol=protocol,
        process=process,
        sentinel_clock=sentinel_clock or common,
        probe=probe,
        read_counters=read_counters or CounterFiles().read,
        now=now,
        on_failed=on_failed,
        budget_s=budget_s,
    )
    turns.warm_up(on_warm)
    turns.take_rounds(on_round, on_done, sentinel, on_sentinel)


class _Seat:
    """One subject and how far it has got."""

    def __init__(
        self, subject: Subject, protocol: TimingProtocol, rule: StopRule, clock: Clock
    ) -> None:
        self.name = subject.name
        self.clock = clock
        self.run_once = subject.run_once
        self.steady = SteadyState(protocol)
        self.rule = rule
        self.began_s = math.nan
        self.first_run_ms = math.nan
        self.rounds = 0

    def warm_up(self) -> WarmUp:
        """Return what its warm-up has shown so far."""
        steady = self.steady
        return WarmUp(
            steady.state, steady.estimate_ms, self.first_run_ms, steady.blocks, steady.spent_ms
        )


class _Turns:
    """The subjects that are still here, and the turns they take."""

    def __init__(
        self,
        *,
        seats: list[_Seat],
        protocol: TimingProtocol,
        process: str,
        sentinel_clock: Clock,
        probe: Probe | None,
        read_counters: Callable[[], Counters],
        now: Callable[[], float],
        on_failed: Callable[[str, str], None],
        budget_s: float | None,
    ) -> None:
        self._seats = seats
        self._protocol = protocol
        self._process = process
        self._sentinel_clock = sentinel_clock
        self._probe = probe
        self._read_counters = read_counters
        self._now = now
        self._on_failed = on_failed
        self._deadline = math.inf if budget_s is None else now() + budget_s
        self._epoch = time.time() - now()
        # Each process takes another order, or one subject would always follow the same other.
        self._rng = np.random.default_rng([protocol.seed, zlib.crc32(process.encode())])

    def warm_up(self, on_warm: Callable[[str, WarmUp], None]) -> None:
        """Give every subject blocks in turn until none is warming."""
        while warming := [seat for seat in self._seats if seat.steady.state == "warming"]:
            for seat in self._shuffled(warming):
                if not self._in_time():
                    return
                if self._attempt(seat, self._block) and seat.steady.state != "warming":
                    on_warm(seat.name, seat.warm_up())

    def take_rounds(
        self,
        on_round: Callable[[str, Round], None],
        on_done: Callable[[str, Outcome], None],
        sentinel: Callable[[], object] | None,
        on_sentinel: Callable[[Digest], None],
    ) -> None:
        """Give every subject rounds in turn until each is done or the budget is spent."""
        while self._seats and self._in_time():
            sentinel_ms = None
            if sentinel is not None:
                digest = self._time_sentinel(sentinel)
                sentinel_ms = undisturbed_ms([digest])
                on_sentinel(digest)
            for seat in self._shuffled(self._seats):
                if not self._in_time():
                    break
                one = self._attempt(seat, partial(self._round, sentinel_ms=sentinel_ms))
                if one is None:
                    continue
                on_round(seat.name, one)
                seat.rule.add(one)
                if seat.rule.outcome is not None:
                    self._seats.remove(seat)
                    on_done(seat.name, seat.rule.outcome)
        for seat in self._seats:
            on_done(seat.name, "budget")

    def _block(self, seat: _Seat) -> bool:
        if seat.steady.blocks == 0:
            seat.began_s = self._now()
            seat.first_run_ms = seat.clock.time(seat.run_once, 1) / 1e6
        block = run_block(seat.run_once, seat.clock, self._protocol, self._probe)
        seat.steady.add(
            float(np.median(block.used_ns)) / 1e6,
            at_s=self._now() - seat.began_s,
            spent_ms=float(block.times_ns.sum()) / 1e6,
        )
        return True

    def _round(self, seat: _Seat, sentinel_ms: float | None) -> Round:
        inner = inner_runs(seat.clock, seat.steady.estimate_ms * 1e6)
        before, started = self._read_counters(), self._now()
        samples = run_round(seat.run_once, seat.clock, self._protocol, inner, self._probe)
        elapsed_ms = (self._now() - started) * 1e3
        taints = causes(before, self._read_counters(), elapsed_ms)
        if not samples.hidden:
            taints += (LAUNCHES_SHOWN,)
        seat.rounds += 1
        return Round(
            process=self._process,
            number=seat.rounds - 1,
            started=self._epoch + started,
            inner=inner,
            samples=samples,
            taints=taints,
            sentinel_ms=sentinel_ms,
        )

    def _time_sentinel(self, sentinel: Callable[[], object]) -> Digest:
        runs = self._protocol.sentinel_runs
        how = (self._sentinel_clock, self._protocol, self._probe)
        lead_in(sentinel, *how)
        samples = sample(sentinel, *how, inner=1, least=(runs, 0.0), cap=(3 * runs, 0.0))
        return Digest.of(samples.times_ns / 1e6, samples.used)

    def _attempt(self, seat: _Seat, turn: Callable[[_Seat], Result]) -> Result | None:
        """Return what ``turn`` gives; if the subject raises, report it and let it leave."""
        try:
            return turn(seat)
        # A subject may fail in any way, and its failure is its result; it must not stop the rest.
        except Exception as failure:  # noqa: BLE001
            reason = f"{type(failure).__name__}: {failure}"
        self._seats.remove(seat)
        self._on_failed(seat.name, reason)
        return None

    def _shuffled(self, seats: Sequence[_Seat]) -> list[_Seat]:
        return [seats[index] for index in self._rng.permutation(len(seats))]

    def _in_time(self) -> bool:
        return self._now() < self._deadline
