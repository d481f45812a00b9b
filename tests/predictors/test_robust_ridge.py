"""The robust ridge: errors of rows left out, and what it does not let itself be bent by."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge as ScikitRidge

import latbench
from latbench.spaces.space import SearchSpace
from latbench_predictors import option_sum, robust_ridge
from latbench_predictors.ridge import Ridge


@pytest.fixture(scope="module")
def columns() -> np.ndarray:
    """Sixty rows of 0 and 1 in eight columns."""
    return (np.random.default_rng(0).random((60, 8)) < 0.4).astype(float)


def latencies(columns: np.ndarray, noise: float, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    clean: np.ndarray = 5 + columns @ rng.uniform(0, 2, columns.shape[1])
    return clean * np.exp(rng.normal(0, noise, len(clean)))


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 50.0])
def test_left_out_is_what_a_fit_without_the_row_predicts(
    columns: np.ndarray, alpha: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The formula for leaving one out agrees with fitting again, and the fit with scikit-learn."""
    monkeypatch.setattr(robust_ridge, "ALPHAS", np.array([alpha]))
    y = latencies(columns, 0.1)
    weights = np.random.default_rng(2).uniform(0.5, 2, len(y))
    found = robust_ridge._ridge(columns, y, weights)
    scikit = ScikitRidge(alpha=alpha)
    whole = scikit.fit(columns, y, sample_weight=weights)
    np.testing.assert_allclose(found.coefficients, whole.coef_, rtol=1e-8)
    assert found.intercept_ms == pytest.approx(whole.intercept_)
    # Exact but for the mean of the columns, which the row left out has a share in.
    for row in range(0, 60, 7):
        rest = np.arange(len(y)) != row
        fitted = ScikitRidge(alpha=alpha).fit(columns[rest], y[rest], sample_weight=weights[rest])
        other = fitted.predict(columns[[row]])[0]
        assert found.left_out_ms[row] == pytest.approx(other, rel=2e-3)


def test_wrong_measurements_do_not_bend_it(columns: np.ndarray) -> None:
    """A fifth of the rows timed two to four times too slow moves predictions by under 1 %."""
    clean = latencies(columns, 0.0)
    y = clean.copy()
    y[::5] *= np.random.default_rng(3).uniform(2, 4, 12)
    found = robust_ridge.fit(columns, y, 0.1, None)
    off = np.abs((found.intercept_ms + columns @ found.coefficients) / clean - 1)
    assert off.max() < 0.01


def test_the_more_frequent_level_wins() -> None:
    """Where a third of the networks ran 30 % slower, the fit is at the level of the others."""
    rng = np.random.default_rng(4)
    columns = (rng.random((300, 8)) < 0.4).astype(float)
    clean = latencies(columns, 0.0)
    y = clean * np.where(rng.random(300) < 1 / 3, 1.3, 1.0) * np.exp(rng.normal(0, 0.01, 300))
    found = robust_ridge.fit(columns, y, 0.1, None)
    off = (found.intercept_ms + columns @ found.coefficients) / clean - 1
    assert abs(np.median(off)) < 0.01


def test_networks_near_zero_do_not_rule_it(columns: np.ndarray) -> None:
    """A few that compute next to nothing would weigh everything, were errors relative to them."""
    clean = latencies(columns, 0.01)
    y = clean.copy()
    y[:4] = 1e-3
    found = robust_ridge.fit(columns, y, 0.1 * float(np.median(y)), None)
    off = (found.intercept_ms + columns @ found.coefficients)[4:] / clean[4:] - 1
    assert np.abs(off).max() < 0.05


def test_two_equal_rows_are_enough() -> None:
    """Where nothing can be learned but a level, that level is predicted."""
    found = robust_ridge.fit(np.ones((2, 3)), np.array([2.0, 2.0]), 0.1, None)
    assert found.intercept_ms + found.coefficients.sum() == pytest.approx(2.0)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return latbench.space("mobilenet", image_size=96)


def sums(space: SearchSpace, X: np.ndarray) -> np.ndarray:
    """Latencies that follow the work of blocks, each at an efficiency of its own."""
    rng = np.random.default_rng(5)
    block_ms = [block.macs * 1e-7 * rng.uniform(0.7, 1.3) + 0.02 for block in space.blocks]
    total: np.ndarray = space.path(X) @ np.array(block_ms)
    return total


def test_a_sum_over_options_is_found(space: SearchSpace) -> None:
    """Latencies that are a sum over options are predicted to a millionth."""
    rng = np.random.default_rng(6)
    X, new = space.sample(rng, 400), space.sample(rng, 300)
    found = option_sum.fit(space, X, sums(space, X), 0.1)
    starts = np.cumsum([0, *space.sizes[:-1]])
    predicted = found.intercept_ms + found.options_ms[new + starts].sum(axis=1)
    np.testing.assert_allclose(predicted, sums(space, new), rtol=1e-6)


def test_names_and_costs_help_where_networks_are_few(space: SearchSpace) -> None:
    """With 30 networks its error is less than half of that of a ridge on one-hots."""
    rng = np.random.default_rng(7)
    X, new = space.sample(rng, 30), space.sample(rng, 500)
    found = option_sum.fit(space, X, sums(space, X), 0.1)
    starts = np.cumsum([0, *space.sizes[:-1]])
    true_ms = sums(space, new)
    ours = found.intercept_ms + found.options_ms[new + starts].sum(axis=1)
    plain = Ridge(space, alpha="auto").fit(X, sums(space, X)).predict(new)
    errors = [np.mean(np.abs(predicted / true_ms - 1)) for predicted in (ours, plain)]
    assert errors[0] < errors[1] / 2


def test_costs_that_are_no_sum_are_left_out() -> None:
    """In a cell, what pruning leaves is no sum over edges; the fit rests on options alone."""
    cells = latbench.space("nasbench201", cells=1)
    X = cells.sample(np.random.default_rng(8), 200)
    assert option_sum._costs(cells, X).shape == (30, 0)
    assert option_sum._costs(latbench.space("fbnet"), np.zeros((3, 22), dtype=int)).shape[1] == 4
