import gc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from latbench.timing import Clock, Protocol, Round, Samples
from latbench.timing.rounds import by_process, run_block, run_round

PROTOCOL = Protocol(round_runs=30, round_ms=15.0, round_cap_ms=60.0)


def constant(latency_ms: float) -> tuple[Callable[[], float], list[float]]:
    """Return work of that latency, and the list that grows with each run of it."""
    runs: list[float] = []

    def run_once() -> float:
        runs.append(latency_ms)
        return latency_ms

    return run_once, runs


@pytest.mark.parametrize(
    ("latency_ms", "samples"),
    [
        (0.1, 150),  # the time asks for more than 30 runs
        (1.0, 30),  # the runs ask for more than 15 ms
        (4.0, 15),  # the cap of 60 ms ends it before 30 runs
        (100.0, 5),  # even the cap leaves five runs
    ],
)
def test_a_round_is_bounded_by_runs_and_time(clock: Clock, latency_ms: float, samples: int) -> None:
    """A round holds 30 runs and 15 ms, but ends at 60 ms once it holds five runs."""
    run_once, _ = constant(latency_ms)
    times_ns = run_round(run_once, clock, PROTOCOL).times_ns
    assert times_ns.dtype == np.int64
    assert times_ns.tolist() == [latency_ms * 1e6] * samples


def test_samples_hold_inner_runs(clock: Clock) -> None:
    """With ten runs a sample, a sample lasts ten times as long and counts ten runs."""
    run_once, _ = constant(0.01)
    times_ns = run_round(run_once, clock, PROTOCOL, inner=10).times_ns
    assert times_ns.tolist() == [100_000] * 150


def test_the_lead_in_is_discarded(clock: Clock) -> None:
    """The first three runs of a round, slow after the gap, are not among its samples."""
    slow = iter([4.0, 4.0, 4.0])
    times_ns = run_round(lambda: next(slow, 1.0), clock, PROTOCOL).times_ns
    assert set(times_ns) == {1_000_000}


@pytest.mark.parametrize(("late", "hidden"), [(2, True), (3, False), (10, False), (32, False)])
def test_a_round_tells_whether_the_clock_left_the_host_out(late: int, hidden: bool) -> None:
    """One of its samples that it could not free of the host is enough; the lead-in's are none."""

    class Late:
        resolution_ns = overhead_ns = 1.0

        def __init__(self) -> None:
            self.hidden = True
            self.samples = 0

        def time(self, run_once: Callable[[], object], inner: int) -> int:
            self.hidden = self.samples != late
            self.samples += 1
            return 1_000_000

    protocol = replace(PROTOCOL, lead_in_runs=3)
    samples = run_round(lambda: None, Late(), protocol)
    assert len(samples.times_ns) == 30
    assert samples.hidden is hidden


def test_long_runs_get_a_short_lead_in(clock: Clock) -> None:
    """One run of 100 ms is lead-in enough."""
    run_once, runs = constant(100.0)
    run_round(run_once, clock, PROTOCOL)
    assert len(runs) == 1 + PROTOCOL.round_runs_min


@pytest.mark.parametrize(("latency_ms", "runs"), [(0.1, 100), (3.0, 5), (30.0, 2), (200.0, 1)])
def test_a_warm_up_block_is_bounded_too(clock: Clock, latency_ms: float, runs: int) -> None:
    """A block holds five runs and 10 ms, but is cut off at 60 ms."""
    run_once, _ = constant(latency_ms)
    assert len(run_block(run_once, clock, PROTOCOL).times_ns) == runs


def test_no_garbage_is_collected_during_a_round(clock: Clock) -> None:
    """The collector is off in every run and on again afterwards."""
    states: list[bool] = []

    def run_once() -> float:
        states.append(gc.isenabled())
        return 1.0

    assert gc.isenabled()
    run_round(run_once, clock, PROTOCOL)
    assert not any(states)
    assert gc.isenabled()


def test_the_median_of_a_round_is_that_of_one_run() -> None:
    """Samples of four runs give the latency of one."""
    one = Round("p0", 0, 0.0, 4, Samples(np.array([8_000_000, 4_000_000, 40_000_000])))
    assert one.median_ms == 2.0
    assert one.runs == 12


def test_rounds_are_grouped_by_process() -> None:
    """Each process keeps its own rounds."""
    rounds = [
        Round(process, 0, 0.0, 1, Samples(np.array([ns])))
        for process, ns in (("a", 1_000_000), ("b", 2_000_000), ("a", 3_000_000))
    ]
    values = {name: [one.values_ms for one in group] for name, group in by_process(rounds).items()}
    assert values == {"a": [(1.0,), (3.0,)], "b": [(2.0,)]}


class Host:
    """A core that is slow in its second half, and the probe that sees it, on the test's clock."""

    def __init__(self, slow_runs: range, waiting_helps: bool = False) -> None:
        self.runs = 0
        self.waits = 0
        self._slow = slow_runs
        self._helps = waiting_helps

    def run_once(self) -> float:
        self.runs += 1
        return 1.5 if self.runs in self._slow else 1.0

    def quiet(self) -> bool:
        return self.runs not in self._slow

    def wait(self, longest_ns: int) -> int:
        self.waits += 1
        if not self._helps:
            return longest_ns
        self._slow = range(0)
        return longest_ns // 2


def test_what_ran_on_a_slow_core_is_kept_but_not_used(clock: Clock) -> None:
    """Samples between two quiet looks make the median; the round goes on until it has enough."""
    host = Host(slow_runs=range(10, 13))
    samples = run_round(host.run_once, clock, PROTOCOL, 1, host)
    assert samples.quiet is not None
    assert samples.used == PROTOCOL.round_runs
    # The lead-in is runs 1 to 5; run 13 ends quietly but began on a core that was slow.
    assert np.flatnonzero(~samples.quiet).tolist() == [4, 5, 6, 7]
    assert set(samples.used_ns) == {1_000_000}


def test_a_round_waits_for_a_quiet_core_and_counts_the_time(clock: Clock) -> None:
    """A wait that helps is followed by quiet samples."""
    host = Host(slow_runs=range(10, 10_000), waiting_helps=True)
    samples = run_round(host.run_once, clock, PROTOCOL, 1, host)
    assert host.waits == 1
    assert samples.used == PROTOCOL.round_runs


def test_a_core_that_stays_slow_ends_the_round_at_its_cap(clock: Clock) -> None:
    """Waits of 5 ms and runs of 1.5 ms fill the 60 ms; nothing is used but nothing is lost."""
    host = Host(slow_runs=range(10_000))
    samples = run_round(host.run_once, clock, PROTOCOL, 1, host)
    assert samples.used == 0
    assert len(samples.times_ns) == 10
    assert samples.used_ns is samples.times_ns


def test_a_warm_up_block_does_not_wait(clock: Clock) -> None:
    """It takes what comes: ten runs of 1 ms at most on a slow core too."""
    host = Host(slow_runs=range(10_000))
    samples = run_block(host.run_once, clock, PROTOCOL, host)
    assert host.waits == 0
    assert len(samples.times_ns) == 7
