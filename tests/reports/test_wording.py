"""Numbers as readers meet them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.reports import wording
from latbench.reports.wording import Unit


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_unknown_is_said(value: float | None) -> None:
    """What is not a number is called not measured, never 0."""
    assert wording.latency(value) == "not measured"
    assert wording.percent(value) == "not measured"
    assert wording.share(value) == "not measured"
    assert wording.measured(value, 1.0, 2.0) == "not measured"
    assert Unit.of([value]).text(value) == "not measured"
    assert Unit.of([value]).value(value) is None
    assert wording.interval(1.0, value) is None


@pytest.mark.parametrize(
    ("value_ms", "text"),
    [
        (5.0, "5\u00a0ms"),
        (0.80123, "801.2\u00a0µs"),
        (-0.25, "\N{MINUS SIGN}250\u00a0µs"),
        (-12.5, "\N{MINUS SIGN}12.5\u00a0ms"),
        (0.0, "0\u00a0µs"),
        (12345.0, "12.35\u00a0s"),
    ],
)
def test_latency(value_ms: float, text: str) -> None:
    """A latency has four digits and the unit that suits its size, whatever its sign."""
    assert wording.latency(value_ms) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.123, "5.1"),
        (0.634, "0.63"),
        (0.0671, "0.07"),
        (37.5, "37.5"),
        (90.0, "90"),
        (99.96, "100"),
        (9.96, "10"),
        (0.0, "0"),
        (-0.0001, "0"),
        (-5.2, "\N{MINUS SIGN}5.2"),
        (1234.4, "1234.4"),
    ],
)
def test_percent(value: float, text: str) -> None:
    """A percentage has the digits it deserves, and no minus before nothing."""
    assert wording.percent(value) == f"{text}\u00a0%"


def test_measured_has_its_interval() -> None:
    """A measurement comes with its interval, or the lack of one is said."""
    assert wording.measured(5, 4.9, 5.2) == "5\u00a0ms (4.9\u00a0ms to 5.2\u00a0ms)"
    assert wording.measured(5, None, 5.2) == "5\u00a0ms (interval not known)"


def test_correlation_of_constants() -> None:
    """A rank correlation that does not exist is called so."""
    assert wording.correlation(None) == "not defined"
    assert wording.correlation(0.98765) == "0.988"


def test_counts() -> None:
    """One network is no networks."""
    assert (wording.count(1, "network"), wording.count(0, "sum")) == (
        "1\u00a0network",
        "0\u00a0sums",
    )


@given(st.lists(st.floats(1e-6, 1e6), min_size=1))
def test_unit_suits_the_largest(values_ms: list[float]) -> None:
    """In its unit the largest value keeps at least two digits and is read without exponent."""
    unit = Unit.of(values_ms)
    largest = max(values_ms)
    assert unit.value(largest) == largest * unit.per_ms
    assert float(unit.text(largest)) == pytest.approx(largest * unit.per_ms, rel=0.05, abs=5e-5)
    assert 0 <= unit.decimals <= 4


def test_unit_of_blocks_and_networks() -> None:
    """Latencies all below a millisecond are shown in microseconds, others not."""
    assert Unit.of([0.02, 0.7]).text(0.02) == "20.0"
    assert Unit.of([0.02, 0.7]).name == "µs"
    assert Unit.of([0.02, 7.0]) == Unit("ms", 1.0, 3)
    assert Unit.of([-0.3, 0.1]).text(-0.3) == "\N{MINUS SIGN}300.0"
