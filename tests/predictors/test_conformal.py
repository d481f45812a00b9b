"""The quantile is exact, and folds never split a network."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.prediction import conformal

COVERAGES = st.integers(1, 999).map(lambda thousandths: thousandths / 1000)


@given(st.integers(1, 300), COVERAGES)
def test_quantile_is_the_stated_rank(n: int, coverage: float) -> None:
    """Of the scores 1 ... n the quantile is ceil((n + 1) c), or refused where that exceeds n."""
    scores = np.arange(1.0, n + 1)
    rank = -(-(n + 1) * round(1000 * coverage) // 1000)
    if rank > n:
        assert n < conformal.networks_needed(coverage)
        with pytest.raises(UsageError, match=f"{conformal.networks_needed(coverage)} networks"):
            conformal.quantile(scores, coverage)
    else:
        assert n >= conformal.networks_needed(coverage)
        assert conformal.quantile(scores, coverage) == rank


@given(st.integers(1, 5000))
def test_the_highest_coverage_can_be_had(n: int) -> None:
    """n scores bound a coverage of n / (n + 1), whatever floating point makes of that share."""
    assert conformal.quantile(np.arange(1.0, n + 1), n / (n + 1)) == n


@pytest.mark.parametrize(("coverage", "rank"), [(1e-17, 1), (1e-9, 1), (1 - 2.0**-53, None)])
def test_extreme_coverages_are_neither_none_nor_all(coverage: float, rank: int | None) -> None:
    """The least coverage takes the least score; one a hair below 1 is refused."""
    if rank is None:
        with pytest.raises(UsageError, match="needs 9"):
            conformal.quantile(np.arange(1.0, 8), coverage)
    else:
        assert conformal.quantile(np.arange(1.0, 8), coverage) == rank


def test_networks_needed_by_hand() -> None:
    """95 % takes 19 networks, 90 % nine: a new one is the worst of 20, or of ten."""
    assert conformal.networks_needed(0.95) == 19
    assert conformal.networks_needed(0.9) == 9


def test_the_refusal_names_what_can_be_had() -> None:
    """The coverage that the message offers is one that works."""
    scores = np.arange(7.0)
    with pytest.raises(UsageError, match=r"ask for at most 0\.875"):
        conformal.quantile(scores, 0.9)
    assert conformal.quantile(scores, 0.875) == 6


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.1, 95.0, float("nan")])
def test_what_is_no_share_is_refused(coverage: float) -> None:
    """A percentage given for a share is refused, as are the ends."""
    with pytest.raises(UsageError, match="is not a coverage"):
        conformal.quantile(np.arange(100.0), coverage)


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), min_size=1, max_size=40),
    st.integers(1, 12),
    st.integers(0, 5),
)
def test_folds_keep_networks_together_and_are_even(
    rows: list[list[int]], count: int, seed: int
) -> None:
    """Equal rows share a fold; folds differ by at most one in different networks."""
    X = np.array(rows)
    first, groups = conformal.different(X)
    np.testing.assert_array_equal(X[first][groups], X)
    fold = conformal.folds(groups, count, seed)
    np.testing.assert_array_equal(fold[first][groups], fold)
    sizes = np.bincount(fold[first])
    assert len(sizes) == min(count, len(first))
    assert sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(fold, conformal.folds(groups, count, seed))


@pytest.mark.parametrize("coverage", [0.5, 0.0])
def test_without_scores_there_is_no_quantile(coverage: float) -> None:
    """A predictor that was fitted without calibration is told to be fitted with it.

    Also where the most is asked for that it can give, which is 0.
    """
    with pytest.raises(UsageError, match="calibrate=False"):
        conformal.quantile(np.empty(0), coverage)
