import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.timing import Estimate, Levelling, Protocol, Round, Samples

PROTOCOL = Protocol(bootstrap=200)
MEDIANS_NS = st.lists(
    st.lists(st.integers(10**5, 10**8), min_size=1, max_size=9), min_size=1, max_size=3
)


def rounds_of(
    processes: Sequence[Sequence[float]], taints: tuple[str, ...] = (), scale: int = 1
) -> list[Round]:
    """Return one round for each median in nanoseconds, by process."""
    return [
        Round(f"p{p}", number, 0.0, 1, Samples(np.array([round(ns) * scale])), taints)
        for p, group in enumerate(processes)
        for number, ns in enumerate(group)
    ]


def normal(seed: int, sd: float, rounds: int, processes: int = 2) -> list[list[float]]:
    """Return normal round medians around 1 ms in nanoseconds, by process."""
    rng = np.random.default_rng(seed)
    return [(1e6 * rng.normal(1.0, sd, rounds)).tolist() for _ in range(processes)]


@given(MEDIANS_NS)
def test_the_latency_is_the_median_of_round_medians(processes: list[list[int]]) -> None:
    """Rounds of all processes count alike, and the interval holds the latency."""
    found = Estimate.of(rounds_of(processes), PROTOCOL, 0.01)
    expected_ns = np.median([ns for group in processes for ns in group])
    assert found.latency_ms == pytest.approx(expected_ns / 1e6)
    assert 0 <= found.low_ms <= found.latency_ms <= found.high_ms


@given(MEDIANS_NS, st.integers(2, 1000))
def test_the_estimate_scales_with_time(processes: list[list[int]], scale: int) -> None:
    """A device so many times slower gives so many times the latency, and the same width."""
    one = Estimate.of(rounds_of(processes), PROTOCOL, 0.01)
    other = Estimate.of(rounds_of(processes, scale=scale), PROTOCOL, 0.01)
    assert other.latency_ms == pytest.approx(scale * one.latency_ms)
    assert other.low_ms == pytest.approx(scale * one.low_ms)
    assert other.high_ms == pytest.approx(scale * one.high_ms)
    assert other.half_width == pytest.approx(one.half_width)
    assert other.status == one.status


@given(MEDIANS_NS, st.randoms(use_true_random=False))
def test_the_order_of_rounds_does_not_matter(
    processes: list[list[int]], random: np.random.Generator
) -> None:
    """Rounds read back from a store in any order give the same estimate."""
    rounds = rounds_of(processes)
    mixed = list(rounds)
    random.shuffle(mixed)
    assert Estimate.of(mixed, PROTOCOL, 0.01) == Estimate.of(rounds, PROTOCOL, 0.01)


@given(MEDIANS_NS, MEDIANS_NS)
def test_tainted_rounds_never_change_the_number(
    clean: list[list[int]], tainted: list[list[int]]
) -> None:
    """However they measured, they are counted and left out."""
    alone = Estimate.of(rounds_of(clean), PROTOCOL, 0.01)
    both = Estimate.of(rounds_of(clean) + rounds_of(tainted, ("steal",)), PROTOCOL, 0.01)
    assert both.tainted == sum(len(group) for group in tainted)
    assert both.rounds == alone.rounds + both.tainted
    for name in ("latency_ms", "low_ms", "high_ms", "half_width", "p90_ms"):
        assert getattr(both, name) == getattr(alone, name)


@given(MEDIANS_NS, st.floats(0, 0.2), st.floats(0.001, 0.2))
def test_more_drift_is_a_wider_interval(
    processes: list[list[int]], drift: float, more: float
) -> None:
    """The published interval grows with the drift of the device, h does not."""
    calm = Estimate.of(rounds_of(processes), PROTOCOL, drift)
    restless = Estimate.of(rounds_of(processes), PROTOCOL, drift + more)
    assert restless.high_ms > calm.high_ms
    assert restless.low_ms < calm.low_ms or calm.low_ms == 0
    assert restless.half_width == calm.half_width


def test_the_interval_adds_drift_in_quadrature() -> None:
    """``u = sqrt(h^2 + (1.96 s)^2)``, on both sides."""
    found = Estimate.of(rounds_of(normal(0, 0.005, 6)), PROTOCOL, 0.02)
    u = math.sqrt(found.half_width**2 + (1.959964 * 0.02) ** 2)
    assert found.low_ms == pytest.approx(found.latency_ms * (1 - u))
    assert found.high_ms == pytest.approx(found.latency_ms * (1 + u))


def test_narrow_rounds_of_enough_processes_are_ok() -> None:
    """Twelve rounds of two processes that agree to half a percent need no reason."""
    found = Estimate.of(rounds_of(normal(0, 0.005, 6)), PROTOCOL, 0.01)
    assert (found.status, found.reason) == ("ok", None)
    assert (found.rounds, found.tainted) == (12, 0)


@pytest.mark.parametrize(
    ("processes", "steady", "reason"),
    [
        (normal(0, 0.005, 12, processes=1), True, "only 1 of 2 processes gave clean rounds"),
        (normal(0, 0.001, 4), True, "only 8 of 12 clean rounds were measured"),
        (normal(0, 0.100, 6), True, "is above 1.00%"),
        (normal(0, 0.005, 6), False, "no steady state was reached"),
    ],
)
def test_what_keeps_an_estimate_from_converging_is_named(
    processes: list[list[float]], steady: bool, reason: str
) -> None:
    """The number is still given."""
    found = Estimate.of(rounds_of(processes), PROTOCOL, 0.01, steady=steady)
    assert found.status == "unconverged"
    assert found.reason is not None
    assert reason in found.reason
    assert found.latency_ms == pytest.approx(1.0, rel=0.1)


def test_many_tainted_rounds_are_unstable() -> None:
    """Above 30 % of tainted rounds the status says so and names their causes."""
    clean = rounds_of(normal(0, 0.005, 7))
    at_limit = clean + rounds_of(normal(1, 0.005, 3), ("steal",))
    assert Estimate.of(at_limit, PROTOCOL, 0.01).status == "ok"
    above = at_limit + rounds_of(normal(2, 0.005, 1), ("cpu-pressure", "steal"))
    found = Estimate.of(above, PROTOCOL, 0.01)
    assert found.status == "unstable"
    assert found.reason == "8 of 22 rounds are tainted by cpu-pressure, steal"
    assert found.latency_ms == Estimate.of(clean, PROTOCOL, 0.01).latency_ms


def test_a_core_that_is_disturbed_as_a_rule_is_unstable() -> None:
    """If less than a third of the samples is quiet, that is said."""
    times = np.full(30, 1_000_000)
    for quiet, status in ((9, "unstable"), (10, "ok")):
        rounds = [
            Round(f"p{n % 2}", n, 0.0, 1, Samples(times, np.arange(30) < quiet)) for n in range(12)
        ]
        found = Estimate.of(rounds, PROTOCOL, 0.01)
        assert found.status == status
        if status == "unstable":
            assert found.reason == "the core was quiet for only 30% of the samples"


def test_nothing_but_tainted_rounds_still_gives_a_number() -> None:
    """It comes from all of them, and the reason says that."""
    rounds = rounds_of([[1e6, 2e6, 3e6], [2e6, 2e6, 9e6]], ("steal",))
    found = Estimate.of(rounds, PROTOCOL, 0.01)
    assert found.status == "unstable"
    assert found.latency_ms == 2.0
    assert found.reason is not None
    assert "so the estimate uses them all" in found.reason


def test_no_round_is_a_failure_without_a_number() -> None:
    """What was not measured has no latency, least of all zero."""
    found = Estimate.of([], PROTOCOL, 0.01)
    assert found.status == "failed"
    assert math.isnan(found.latency_ms)
    assert found.reason == "not one round was measured; give a larger budget"


def test_a_failure_keeps_its_reason() -> None:
    """The reason is the one that was given."""
    found = Estimate.failed("ValueError: bad shape")
    assert (found.status, found.reason, found.p90_ms) == ("failed", "ValueError: bad shape", None)


def test_the_tail_is_given_where_runs_suffice() -> None:
    """p90 comes from the runs of clean rounds; one run a round is too few."""
    rng = np.random.default_rng(0)
    rounds = [
        Round(f"p{n % 2}", n, 0.0, 1, Samples((1e6 * rng.gamma(9.0, 1.0, 100)).astype(np.int64)))
        for n in range(12)
    ]
    runs = np.concatenate([one.samples.times_ns for one in rounds])
    found = Estimate.of(rounds, PROTOCOL, 0.01)
    assert found.p90_ms == pytest.approx(np.quantile(runs, 0.9) / 1e6)
    assert Estimate.of(rounds_of(normal(0, 0.01, 6)), PROTOCOL, 0.01).p90_ms is None


@pytest.mark.parametrize("processes", [2, 3])
def test_published_intervals_hold_the_truth(processes: int) -> None:
    """With 1 % between processes and 1 % between rounds, 95 % intervals cover 95 % and more."""
    rng = np.random.default_rng(5)
    covered = within = 0
    trials = 200
    for _ in range(trials):
        levels = 1e6 * np.exp(rng.normal(0.0, 0.01, processes))
        medians = [(level * np.exp(rng.normal(0, 0.01, 8))).tolist() for level in levels]
        found = Estimate.of(rounds_of(medians), PROTOCOL, drift=0.01)
        covered += found.low_ms <= 1.0 <= found.high_ms
        within += abs(found.latency_ms - 1.0) <= found.half_width * found.latency_ms
    assert covered >= 0.95 * trials
    assert within < 0.95 * trials, "h alone would do, and the drift term would be idle"


def test_two_measurements_of_the_same_thing_agree() -> None:
    """In A/A pairs the published intervals overlap, and neither side is favoured."""
    rng = np.random.default_rng(9)
    ratios = []
    for _ in range(150):
        pair = []
        for _ in range(2):
            levels = 1e6 * np.exp(rng.normal(0.0, 0.01, 2))
            medians = [(level * np.exp(rng.normal(0, 0.01, 6))).tolist() for level in levels]
            pair.append(Estimate.of(rounds_of(medians), PROTOCOL, drift=0.01))
        assert pair[0].low_ms <= pair[1].high_ms
        assert pair[1].low_ms <= pair[0].high_ms
        ratios.append(math.log(pair[0].latency_ms / pair[1].latency_ms))
    assert abs(np.mean(ratios)) < 0.003


def test_a_levelled_process_counts_at_the_common_level() -> None:
    """Two processes 4 % apart agree once their company tells that both are so far apart."""
    rounds = rounds_of([[1.02e6] * 6, [0.98e6] * 6])
    apart = Estimate.of(rounds, PROTOCOL, 0.01)
    told = Levelling({"p0": 1.02, "p1": 0.98})
    together = Estimate.of(rounds, PROTOCOL, 0.01, levelling=told)
    assert (apart.status, together.status) == ("unconverged", "ok")
    assert together.latency_ms == pytest.approx(1.0)
    assert together.half_width == pytest.approx(0.0, abs=1e-9)


@given(st.floats(0, 0.1))
def test_what_is_not_known_of_the_levels_widens_the_interval(doubt: float) -> None:
    """The half-width is at least the doubt's, and a large one is told."""
    rounds = rounds_of([[1e6] * 6, [1e6] * 6])
    found = Estimate.of(rounds, PROTOCOL, 0.01, levelling=Levelling(doubt=doubt))
    assert found.half_width == pytest.approx(1.96 * doubt, rel=1e-3, abs=1e-9)
    assert found.high_ms / found.latency_ms - 1 == pytest.approx(
        1.96 * math.hypot(doubt, 0.01), rel=1e-3
    )
    assert (found.status == "ok") == (found.half_width <= PROTOCOL.half_width)
