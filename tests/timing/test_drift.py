import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.timing import Protocol, drift_of, noise, trend

PROTOCOL = Protocol()
LATENCIES = st.lists(st.floats(0.01, 1000), min_size=10, max_size=40)


@given(st.lists(st.floats(0.01, 1000), max_size=1))
def test_no_repeat_gives_the_floor(history_ms: list[float]) -> None:
    """One value repeats nothing."""
    assert drift_of(history_ms, PROTOCOL) == PROTOCOL.drift_floor


def test_a_restless_device_is_told_from_its_first_repeats() -> None:
    """Three values several per cent apart count, a third as much as nine would."""
    restless = [1.0, 1.05, 1.1]
    seen = 1.4826 * float(np.median(np.abs(np.log(restless) - math.log(1.05))))
    expected = math.sqrt((9 * PROTOCOL.drift_floor**2 + 2 * seen**2) / 11)
    assert drift_of(restless, PROTOCOL) == pytest.approx(expected)
    assert expected > 2 * PROTOCOL.drift_floor


@given(LATENCIES, st.floats(0.01, 100))
def test_drift_has_no_unit(history_ms: list[float], factor: float) -> None:
    """Scaling every repeat leaves the drift as it is."""
    scaled = [value * factor for value in history_ms]
    assert drift_of(scaled, PROTOCOL) == pytest.approx(drift_of(history_ms, PROTOCOL), abs=1e-9)


def test_drift_is_the_relative_standard_deviation() -> None:
    """For normal repeats of 2 %, it is 2 %; one wild repeat does not change that."""
    history_ms = np.exp(np.random.default_rng(0).normal(1.0, 0.02, 4000))
    history_ms[0] = 1e6
    assert drift_of(history_ms.tolist(), PROTOCOL) == pytest.approx(0.02, rel=0.05)


def test_a_calm_device_comes_to_drift_less_than_the_floor() -> None:
    """Repeats that agree count as much as the floor at ten, and far more at a thousand."""
    floor = PROTOCOL.drift_floor
    assert drift_of([3.0] * 2, PROTOCOL) == pytest.approx(floor * math.sqrt(0.9))
    assert drift_of([3.0] * 10, PROTOCOL) == pytest.approx(floor * math.sqrt(0.5))
    assert drift_of([3.0] * 1000, PROTOCOL) < floor / 10


@given(LATENCIES)
def test_a_restless_machine_hides_drift_from_its_history(history_ms: list[float]) -> None:
    """The less is quiet the wider, whatever the values of these minutes agree on."""
    calm = drift_of(history_ms, PROTOCOL)
    shares = (1.0, 0.9, 0.6, 0.35)
    drifts = [drift_of(history_ms, PROTOCOL, quiet) for quiet in shares]
    assert drifts[0] == calm
    assert drifts == sorted(drifts)
    hidden = PROTOCOL.drift_floor * (1 / 0.35**2 - 1)
    assert drifts[-1] == pytest.approx(math.hypot(calm, hidden))


def test_no_quiet_sample_at_all_still_gives_a_number() -> None:
    """Below a third the estimate is unstable anyway, and its interval stays finite."""
    assert drift_of([1.0], PROTOCOL, 0.0) == drift_of([1.0], PROTOCOL, 1 / 3)


def test_noise_is_the_mape_of_a_perfect_predictor() -> None:
    """Against one measurement, the true latencies score what two measurements predict."""
    rng = np.random.default_rng(0)
    true_ms = rng.uniform(1.0, 20.0, 20_000)
    first, second = (true_ms * np.exp(rng.normal(0, 0.03, true_ms.size)) for _ in range(2))
    perfect = 100 * np.mean(np.abs(true_ms - first) / first)
    found = noise(first.tolist(), second.tolist())
    assert found.single == pytest.approx(perfect, rel=0.02)
    assert found.within == pytest.approx(perfect, rel=0.02)
    remeasured = 100 * np.mean(np.abs(second - first) / first)
    assert found.difference == pytest.approx(remeasured, rel=0.02)
    assert found.shift == pytest.approx(0.0, abs=0.1)


@given(LATENCIES, st.floats(0.5, 2.0))
def test_a_common_shift_is_told_apart(first_ms: list[float], factor: float) -> None:
    """If everything got slower by one factor, all of the difference is that shift."""
    found = noise(first_ms, [value * factor for value in first_ms])
    assert found.shift == pytest.approx(100 * (factor - 1), abs=1e-6)
    assert found.difference == pytest.approx(200 * abs(factor - 1) / (factor + 1), abs=1e-6)
    if len(first_ms) > 1:
        assert found.within == pytest.approx(0.0, abs=1e-6)


def test_the_noise_of_one_sweep_is_that_of_few_pairs_too() -> None:
    """On average: the median that is taken out has come nearer to five pairs than they are true."""
    rng = np.random.default_rng(0)
    first, second = (np.exp(rng.normal(0, 0.02, (2000, 5))) for _ in range(2))
    slower = 1.1 * second
    few = [noise(a.tolist(), b.tolist()).within for a, b in zip(first, slower, strict=True)]
    every = noise(first.ravel().tolist(), slower.ravel().tolist())
    assert np.mean(few) == pytest.approx(every.within, rel=0.05)
    assert every.single > 4 * every.within


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=1))
def test_noise_does_not_depend_on_which_came_first(pairs: list[tuple[float, float]]) -> None:
    """Swapping the sweeps changes neither figure, and they differ by the square root of two."""
    first, second = zip(*pairs, strict=True)
    one, other = noise(first, second), noise(second, first)
    assert one.difference == pytest.approx(other.difference)
    assert one.difference == pytest.approx(one.single * math.sqrt(2))


@pytest.mark.parametrize(
    ("first", "second"),
    [([1.0], [1.0, 2.0]), ([], []), ([1.0], [0.0]), ([math.nan], [1.0])],
)
def test_noise_refuses_what_is_no_pair_of_measurements(
    first: list[float], second: list[float]
) -> None:
    """Different subjects, none, and failed measurements are refused."""
    with pytest.raises(UsageError, match="noise needs"):
        noise(first, second)


@given(st.floats(-5, 5), st.floats(0.01, 1000), st.floats(-1e6, 1e6))
def test_a_steady_growth_is_its_trend(slope: float, first_ms: float, began_s: float) -> None:
    """Percent a minute, wherever the clock begins and however slow the subject is."""
    seconds = [0.0, 3.0, 10.0, 31.0]
    found = trend(
        [began_s + second for second in seconds],
        [first_ms * math.exp(slope / 100 * second / 60) for second in seconds],
    )
    assert found.slope == pytest.approx(slope, abs=1e-4)
    assert found.half_width < 1e-3


@pytest.mark.parametrize("repeats", [3, 5, 15])
def test_the_interval_of_a_trend_holds_it(repeats: int) -> None:
    """In 95 of a hundred noisy series, few repeats or many, the true slope lies in it."""
    rng = np.random.default_rng(repeats)
    times_s = np.sort(rng.uniform(0, 60, repeats))
    held = 0
    for _ in range(2000):
        logs = 0.02 * times_s / 60 + rng.normal(0, 0.01, repeats)
        found = trend(times_s.tolist(), np.exp(logs).tolist())
        held += abs(found.slope - 2.0) <= found.half_width
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("times_s", "latencies_ms"),
    [([], []), ([0.0, 1.0], [1.0, 1.1]), ([0.0, 0.0, 0.0], [1.0, 1.1, 1.2])],
)
def test_two_points_are_no_trend(times_s: list[float], latencies_ms: list[float]) -> None:
    """A line through them would fit without a doubt."""
    with pytest.raises(UsageError, match="a trend needs three latencies"):
        trend(times_s, latencies_ms)
