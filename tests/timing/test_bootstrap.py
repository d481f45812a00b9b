from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.timing.bootstrap import half_width, latency_interval
from latbench.timing.undisturbed import Digest, Pool

PROCESSES = st.lists(st.lists(st.floats(0.1, 100), min_size=1, max_size=12), min_size=1, max_size=4)


def rounds_of(values: Sequence[float]) -> list[Digest]:
    """Return undisturbed rounds of one sample each."""
    return [Digest((value,), 1, 1) for value in values]


def interval(
    processes: Sequence[Sequence[float]], resamples: int, confidence: float, seed: int
) -> tuple[float, float]:
    """Return the interval of rounds of one sample."""
    rounds = [rounds_of(group) for group in processes]
    return latency_interval(rounds, resamples, confidence, seed)


def width(
    processes: Sequence[Sequence[float]], resamples: int, confidence: float, seed: int
) -> float:
    """Return the half-width of rounds of one sample."""
    return half_width([rounds_of(group) for group in processes], resamples, confidence, seed)


@given(PROCESSES, st.integers(0, 99))
def test_the_interval_holds_the_median(processes: list[list[float]], seed: int) -> None:
    """Whatever the rounds, the pooled median lies inside, and the interval inside the data."""
    values = [value for group in processes for value in group]
    low, high = interval(processes, 200, 0.95, seed)
    assert low <= Pool(rounds_of(values)).latency_ms <= high
    assert min(values) <= low
    assert high <= max(values)


def test_the_interval_holds_the_median_of_very_unequal_processes() -> None:
    """One long process sets the median, though most resamples miss it among its neighbours."""
    low, high = interval([[1.0] * 99, *[[2.0]] * 98], 200, 0.95, 0)
    assert (low, high) == (1.0, 2.0)


@given(PROCESSES, st.randoms(use_true_random=False))
def test_order_does_not_matter(processes: list[list[float]], random: np.random.Generator) -> None:
    """Neither the order of processes nor that of their rounds changes the interval."""
    mixed = [list(group) for group in processes]
    for group in mixed:
        random.shuffle(group)
    random.shuffle(mixed)
    assert interval(mixed, 200, 0.95, 0) == interval(processes, 200, 0.95, 0)


@given(PROCESSES, st.integers(-3, 3))
def test_the_half_width_has_no_unit(processes: list[list[float]], power: int) -> None:
    """Times in another unit give the same relative half-width."""
    scaled = [[value * 2.0**power for value in group] for group in processes]
    assert width(scaled, 200, 0.95, 0) == width(processes, 200, 0.95, 0)


@given(st.floats(0.1, 100))
def test_one_round_says_nothing_of_its_spread(value: float) -> None:
    """A single round has a half-width of the whole value, not of zero."""
    assert width([[value]], 200, 0.95, 0) == 1.0


def test_equal_rounds_have_no_spread() -> None:
    """Rounds that agree exactly leave no width."""
    assert width([[2.0] * 6, [2.0] * 6], 2000, 0.95, 0) == 0.0


def test_processes_that_differ_widen_the_interval() -> None:
    """Rounds that agree within each process but not between them span both processes."""
    low, high = interval([[1.0] * 6, [1.1] * 6], 2000, 0.95, 0)
    assert (low, high) == (1.0, 1.1)


def test_a_higher_confidence_is_wider() -> None:
    """An interval of 99 % holds that of 50 %."""
    rounds = [np.random.default_rng(0).normal(1.0, 0.02, 20).tolist()]
    low, high = interval(rounds, 2000, 0.99, 0)
    inner_low, inner_high = interval(rounds, 2000, 0.50, 0)
    assert low < inner_low < inner_high < high


def test_the_spread_of_a_normal_sample_is_that_of_its_median() -> None:
    """For many rounds of one process, h is ``1.96 * 1.2533 * sd / sqrt(n)``."""
    rng = np.random.default_rng(3)
    widths = [width([rng.normal(1.0, 0.01, 60).tolist()], 2000, 0.95, 0) for _ in range(60)]
    assert np.mean(widths) == pytest.approx(1.96 * 1.2533 * 0.01 / np.sqrt(60), rel=0.12)


def test_the_same_seed_gives_the_same_interval() -> None:
    """The draws are seeded, and another seed draws otherwise."""
    rounds = [np.random.default_rng(0).normal(1.0, 0.02, 9).tolist() for _ in range(2)]
    assert interval(rounds, 50, 0.95, 1) == interval(rounds, 50, 0.95, 1)
    assert len({interval(rounds, 50, 0.95, seed) for seed in range(9)}) > 1
