"""Architectures within a limit, by the prediction or with confidence."""

from __future__ import annotations

import numpy as np
import pytest

from latbench.errors import UsageError
from latbench.hooks import LatencyFilter
from latbench.predictor import Predictor
from latbench.spaces.space import SearchSpace


def test_the_limit_itself_is_within(lut: Predictor, space: SearchSpace) -> None:
    """A prediction equal to the limit is kept; the least bit above it is not."""
    x = space.sample(np.random.default_rng(2), 1)
    limit_ms = float(lut.predict(x)[0])
    assert LatencyFilter(lut, limit_ms)(x).tolist() == [True]
    assert LatencyFilter(lut, float(np.nextafter(limit_ms, 0)))(x).tolist() == [False]


def test_it_keeps_what_is_predicted_within_and_counts(lut: Predictor, space: SearchSpace) -> None:
    """The mask is the comparison, and the counts add up over calls."""
    X = space.sample(np.random.default_rng(3), 100)
    predicted = lut.predict(X)
    limit_ms = float(np.median(predicted))
    keep = LatencyFilter(lut, limit_ms)
    np.testing.assert_array_equal(keep(X), predicted <= limit_ms)
    keep(X)
    kept = int((predicted <= limit_ms).sum())
    assert (keep.accepted, keep.rejected) == (2 * kept, 2 * (100 - kept))


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.98])
def test_confidence_compares_the_one_sided_bound(
    lut: Predictor, space: SearchSpace, confidence: float
) -> None:
    """With confidence, the bound at that confidence must be within, boundary included."""
    X = space.sample(np.random.default_rng(4), 100)
    bound = lut.predict_upper(X, confidence)
    limit_ms = float(bound[7])
    kept = LatencyFilter(lut, limit_ms, confidence)(X)
    np.testing.assert_array_equal(kept, bound <= limit_ms)
    assert kept[7]


def test_more_confidence_keeps_no_more(lut: Predictor, space: SearchSpace) -> None:
    """What passes at 95 % passes at 60 %, and some only there."""
    X = space.sample(np.random.default_rng(5), 300)
    limit_ms = float(np.median(lut.predict(X)))
    sure, likely = (LatencyFilter(lut, limit_ms, confidence)(X) for confidence in (0.95, 0.6))
    assert (likely | ~sure).all()
    assert sure.sum() < likely.sum()


def test_confidence_beyond_the_data_is_refused(lut: Predictor, space: SearchSpace) -> None:
    """Sixty networks cannot vouch for 99.9 %."""
    keep = LatencyFilter(lut, 5.0, 0.999)
    with pytest.raises(UsageError, match="needs 999 networks"):
        keep(space.sample(np.random.default_rng(0), 1))


@pytest.mark.parametrize(
    ("limit_ms", "confidence"),
    [(0.0, None), (-1.0, None), (float("nan"), None), (float("inf"), None), (5.0, 95), (5.0, 0)],
)
def test_nonsense_is_refused(lut: Predictor, limit_ms: float, confidence: float | None) -> None:
    """No limit above zero, or a percentage for a share, is refused when the filter is made."""
    with pytest.raises(UsageError):
        LatencyFilter(lut, limit_ms, confidence)
