"""The baselines in one cost: multiply-accumulates, or parameters."""

from __future__ import annotations

import numpy as np
import pytest

import latbench
from latbench.spaces.space import SearchSpace
from latbench_predictors.cost_line import CostLine
from latbench_predictors.flops import Flops
from latbench_predictors.params import Params
from latbench_predictors.regression import affine

KINDS = pytest.mark.parametrize("kind", [Flops, Params])


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return latbench.space("digits-mobilenet")


def cost_of(kind: type[CostLine], space: SearchSpace, X: np.ndarray) -> np.ndarray:
    return space.macs(X) if kind is Flops else space.params(X)


@KINDS
def test_a_line_is_recovered(kind: type[CostLine], space: SearchSpace) -> None:
    """Latencies that are a line in the cost are predicted to rounding."""
    X = space.sample(np.random.default_rng(0), 50)
    y = 0.3 + 2e-7 * cost_of(kind, space, X)
    line = kind(space).fit(X, y)
    np.testing.assert_allclose(line.predict(X), y, rtol=1e-9)
    assert line.intercept_ms_ == pytest.approx(0.3)
    assert line.ms_per_unit_ == pytest.approx(2e-7)


@KINDS
def test_coverage_falls_outside_the_fitted_range(kind: type[CostLine], space: SearchSpace) -> None:
    """It is 1 between the smallest and the largest network fitted, and a ratio beyond."""
    X = space.sample(np.random.default_rng(0), 300)
    cost = cost_of(kind, space, X)
    middle = np.abs(cost / np.median(cost) - 1) < 0.1
    line = kind(space).fit(X[middle], 1e-6 * cost[middle])
    lowest, highest = cost[middle].min(), cost[middle].max()
    np.testing.assert_allclose(
        line.coverage_of(X),
        np.where(cost < lowest, cost / lowest, np.where(cost > highest, highest / cost, 1.0)),
    )
    assert line.coverage_of(X).min() < 0.9


def test_the_two_costs_differ(space: SearchSpace) -> None:
    """Parameters are no multiply-accumulates: each fails on a line in the other."""
    X = space.sample(np.random.default_rng(1), 200)
    y = 1e-6 * space.macs(X)
    errors = [np.abs(kind(space).fit(X, y).predict(X) / y - 1).max() for kind in (Flops, Params)]
    assert errors[0] < 1e-9
    assert errors[1] > 0.1


@pytest.mark.parametrize("x", [[2.0, 2.0, 2.0], [1.0, 2.0, 3.0]])
def test_no_rising_line_goes_through_the_origin(x: list[float]) -> None:
    """One x, or latencies that fall with it, give the median ratio and no intercept."""
    intercept, slope = affine(np.array(x), np.array([6.0, 4.0, 2.0]))
    assert intercept == 0
    assert slope == 2.0
