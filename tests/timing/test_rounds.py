import gc
from collections.abc import Callable

import numpy as np
import pytest

from latbench.timing import Clock, Protocol, Round
from latbench.timing.rounds import medians_by_process, run_block, run_round

PROTOCOL = Protocol()


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
    times_ns = run_round(run_once, clock, PROTOCOL)
    assert times_ns.dtype == np.int64
    assert times_ns.tolist() == [latency_ms * 1e6] * samples


def test_samples_hold_inner_runs(clock: Clock) -> None:
    """With ten runs a sample, a sample lasts ten times as long and counts ten runs."""
    run_once, _ = constant(0.01)
    times_ns = run_round(run_once, clock, PROTOCOL, inner=10)
    assert times_ns.tolist() == [100_000] * 150


def test_the_lead_in_is_discarded(clock: Clock) -> None:
    """The first three runs of a round, slow after the gap, are not among its samples."""
    slow = iter([4.0, 4.0, 4.0])
    times_ns = run_round(lambda: next(slow, 1.0), clock, PROTOCOL)
    assert set(times_ns) == {1_000_000}


def test_long_runs_get_a_short_lead_in(clock: Clock) -> None:
    """One run of 100 ms is lead-in enough."""
    run_once, runs = constant(100.0)
    run_round(run_once, clock, PROTOCOL)
    assert len(runs) == 1 + PROTOCOL.round_runs_min


@pytest.mark.parametrize(("latency_ms", "runs"), [(0.1, 100), (3.0, 5), (30.0, 2), (200.0, 1)])
def test_a_warm_up_block_is_bounded_too(clock: Clock, latency_ms: float, runs: int) -> None:
    """A block holds five runs and 10 ms, but is cut off at 60 ms."""
    run_once, _ = constant(latency_ms)
    assert len(run_block(run_once, clock, PROTOCOL)) == runs


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
    one = Round("p0", 0, 0.0, 4, np.array([8_000_000, 4_000_000, 40_000_000]))
    assert one.median_ms == 2.0
    assert one.runs == 12


def test_medians_are_grouped_by_process() -> None:
    """Each process keeps its own rounds."""
    rounds = [
        Round(process, 0, 0.0, 1, np.array([ns]))
        for process, ns in (("a", 1_000_000), ("b", 2_000_000), ("a", 3_000_000))
    ]
    assert medians_by_process(rounds) == {"a": [1.0, 3.0], "b": [2.0]}
