"""Scores agree with their definitions and with scipy and scikit-learn."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mean_absolute_percentage_error, r2_score, root_mean_squared_error

from latbench.errors import UsageError
from latbench.prediction import metrics

# Few different values among many, so that ties occur.
LATENCY = st.one_of(st.floats(1e-3, 1e4), st.sampled_from([1.0, 2.0, 3.0]))
PAIRS = st.lists(st.tuples(LATENCY, LATENCY), min_size=2, max_size=30)


def columns(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    measured, predicted = zip(*pairs, strict=True)
    return list(measured), list(predicted)


@given(PAIRS)
def test_errors_agree_with_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    """MAPE (in percent) and RMSE are scikit-learn's."""
    y, p = columns(pairs)
    assert metrics.mape(y, p) == pytest.approx(100 * mean_absolute_percentage_error(y, p))
    assert metrics.rmse_ms(y, p) == pytest.approx(root_mean_squared_error(y, p))


@given(PAIRS)
def test_r2_agrees_with_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    """The coefficient of determination is scikit-learn's, where it is defined."""
    y, p = columns(pairs)
    if len(set(y)) == 1:
        assert math.isnan(metrics.r2(y, p))
    else:
        assert metrics.r2(y, p) == pytest.approx(r2_score(y, p), rel=1e-6)


@given(PAIRS)
def test_rank_correlations_agree_with_scipy(pairs: list[tuple[float, float]]) -> None:
    """Spearman with mid-ranks and Kendall's tau-b are scipy's, where they are defined."""
    y, p = columns(pairs)
    if len(set(y)) == 1 or len(set(p)) == 1:
        assert math.isnan(metrics.spearman(y, p))
        assert math.isnan(metrics.kendall(y, p))
    else:
        assert metrics.spearman(y, p) == pytest.approx(stats.spearmanr(y, p).statistic, abs=1e-12)
        assert metrics.kendall(y, p) == pytest.approx(stats.kendalltau(y, p).statistic, abs=1e-12)


@given(PAIRS, st.floats(0, 200))
def test_within_counts_networks(pairs: list[tuple[float, float]], percent: float) -> None:
    """``within`` is the share whose error relative to the measurement is at most that."""
    hits = sum(abs(y - p) / y <= percent / 100 for y, p in pairs)
    assert metrics.within(*columns(pairs), percent) == pytest.approx(100 * hits / len(pairs))


def test_shares_by_hand() -> None:
    """Errors of 5, 10 and 20 % of 100 ms; the boundary counts as within."""
    y, p = [100.0, 100.0, 100.0], [105.0, 90.0, 120.0]
    assert metrics.within(y, p, 5) == pytest.approx(100 / 3)
    assert metrics.within(y, p, 10) == pytest.approx(200 / 3)
    assert metrics.mape(y, p) == pytest.approx(35 / 3)
    assert metrics.bias(y, p) == pytest.approx(5)
    assert metrics.interval_coverage(y, [90, 100, 101], [100, 120, 130]) == pytest.approx(200 / 3)


def test_a_share_relative_to_the_prediction_is_another() -> None:
    """110.5 ms predicted at 100 is off by 9.5 % of itself, and by 10.5 % of the prediction."""
    y, p = [110.5, 90.5, 100.0], [100.0, 100.0, 90.0]
    assert metrics.within(y, p, 10) == pytest.approx(200 / 3)
    assert metrics.within_predicted(y, p, 10) == pytest.approx(100 / 3)
    assert metrics.within_predicted(y, p, 20) == 100


def test_errors_are_relative_to_what_was_measured() -> None:
    """1.09 ms predicted for 1 ms is 9 % off, though it is 8.3 % of the prediction."""
    assert metrics.within([1.0], [1.09], 8.5) == 0


def test_summary_is_json_without_nan() -> None:
    """An undefined correlation is null, not NaN, which JSON does not have."""
    scores = metrics.summary([1.0, 2.0], [3.0, 3.0])
    assert scores["spearman"] is None
    assert set(json.loads(json.dumps(scores, allow_nan=False))) == {
        "mape",
        "bias",
        "rmse_ms",
        "within_1",
        "within_5",
        "within_10",
        "spearman",
        "kendall",
    }


@pytest.mark.parametrize(
    ("measured", "predicted", "message"),
    [
        ([], [], "shapes"),
        ([1.0, 2.0], [1.0], "shapes"),
        ([1.0, 0.0], [1.0, 1.0], "row 1"),
        ([math.nan], [1.0], "row 0"),
        ([1.0], [math.inf], "row 0"),
    ],
)
def test_no_score_of_what_is_no_latency(
    measured: list[float], predicted: list[float], message: str
) -> None:
    """Rows that cannot be scored are refused by number instead of spoiling the mean."""
    with pytest.raises(UsageError, match=message):
        metrics.mape(measured, predicted)
