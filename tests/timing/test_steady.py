import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.timing import Protocol
from latbench.timing.steady import SteadyState, theil_sen

PROTOCOL = Protocol()


def follow(
    median_ms: Callable[[int], float],
    protocol: Protocol = PROTOCOL,
    between_s: float = 0.1,
    spent_ms: float = 20.0,
) -> SteadyState:
    """Return the warm-up of blocks with these medians, as far as it goes in 2000 blocks."""
    steady = SteadyState(protocol)
    for block in range(2000):
        steady.add(median_ms(block), (block + 1) * between_s, spent_ms)
        if steady.state != "warming":
            return steady
    return steady


def test_a_constant_latency_is_steady_after_two_windows() -> None:
    """Ten equal blocks are enough."""
    steady = follow(lambda block: 2.0)
    assert (steady.state, steady.blocks, steady.estimate_ms) == ("steady", 10, 2.0)


def test_nothing_is_steady_before_the_least_time() -> None:
    """With 10 ms from block to block, ten blocks are 0.1 s: the warm-up goes on to 0.3 s."""
    steady = follow(lambda block: 2.0, between_s=0.01)
    assert (steady.state, steady.blocks) == ("steady", 30)


def test_a_fading_start_is_waited_for() -> None:
    """Steady is declared when what is left of a 30 % slow start is below the tolerance."""
    steady = follow(lambda block: 1 + 0.3 * math.exp(-block / 5))
    assert steady.state == "steady"
    assert 0.3 * math.exp(-steady.blocks / 5) < PROTOCOL.warmup_tolerance
    assert steady.estimate_ms == pytest.approx(1.0, abs=0.01)


def test_the_estimate_forgets_the_start() -> None:
    """It is the median of the last window alone."""
    steady = SteadyState(PROTOCOL)
    for block in range(8):
        steady.add(100.0 if block < 3 else 2.0, 0.0, 1.0)
    assert steady.estimate_ms == 2.0


def test_an_endless_slowdown_has_no_steady_state() -> None:
    """Half a percent a block never flattens: the cap on the time spent ends it."""
    steady = follow(lambda block: 1.005**block)
    assert steady.state == "no-steady-state"
    assert steady.spent_ms == PROTOCOL.warmup_cap_ms


def test_other_subjects_turns_do_not_count_towards_the_cap() -> None:
    """Hours between blocks leave a subject as much time of its own as before."""
    assert follow(lambda block: 1.005**block, between_s=3600.0).blocks == 500


def test_a_slow_subject_gets_two_windows_whatever_the_cap() -> None:
    """Runs of 3 s pass the cap of 10 s after four blocks, and are still judged by ten."""
    steady = follow(lambda block: 3000.0, spent_ms=3000.0)
    assert (steady.state, steady.blocks) == ("steady", 10)


def test_noise_alone_does_not_keep_a_subject_warming() -> None:
    """With 10 % noise between blocks, warm-ups end in tens of blocks, not in hundreds."""
    rng = np.random.default_rng(7)
    blocks = [follow(lambda _: float(rng.normal(1.0, 0.1))).blocks for _ in range(40)]
    assert np.median(blocks) < 25
    strict = Protocol(warmup_blur=0.0)
    waited = [follow(lambda _: float(rng.normal(1.0, 0.1)), strict).blocks for _ in range(40)]
    assert np.median(waited) > 40


@given(
    slope=st.floats(-10, 10),
    start=st.floats(-100, 100),
    values=st.integers(2, 30),
)
def test_theil_sen_gives_the_slope_of_a_line(slope: float, start: float, values: int) -> None:
    """On a line it is exact."""
    line = [start + slope * place for place in range(values)]
    assert theil_sen(line) == pytest.approx(slope, abs=1e-10)


@given(
    slope=st.floats(-1, 1),
    where=st.sets(st.integers(0, 9), min_size=2, max_size=2),
    far=st.floats(-1e6, 1e6),
)
def test_theil_sen_bears_outliers(slope: float, where: set[int], far: float) -> None:
    """Two wild values among ten leave the slope of a line as it is."""
    line = slope * np.arange(10.0)
    line[sorted(where)] = far
    assert theil_sen(line) == pytest.approx(slope, abs=1e-9)
