"""The baseline in multiply-accumulates."""

from __future__ import annotations

import numpy as np
import pytest

import latbench
from latbench_predictors.flops import Flops
from latbench_predictors.regression import affine


def test_a_line_in_macs_is_recovered() -> None:
    """Latencies that are a line in MACs are predicted to rounding."""
    space = latbench.space("digits-mobilenet")
    X = space.sample(np.random.default_rng(0), 50)
    y = 0.3 + 2e-7 * space.macs(X)
    flops = Flops(space).fit(X, y)
    np.testing.assert_allclose(flops.predict(X), y, rtol=1e-9)
    assert flops.intercept_ms_ == pytest.approx(0.3)
    assert flops.ms_per_mac_ == pytest.approx(2e-7)


def test_coverage_falls_outside_the_fitted_range() -> None:
    """It is 1 between the smallest and the largest network fitted, and a ratio beyond."""
    space = latbench.space("digits-mobilenet")
    X = space.sample(np.random.default_rng(0), 300)
    macs = space.macs(X)
    middle = np.abs(macs / np.median(macs) - 1) < 0.1
    flops = Flops(space).fit(X[middle], 1e-6 * macs[middle])
    lowest, highest = macs[middle].min(), macs[middle].max()
    np.testing.assert_allclose(
        flops.coverage_of(X),
        np.where(macs < lowest, macs / lowest, np.where(macs > highest, highest / macs, 1.0)),
    )
    assert flops.coverage_of(X).min() < 0.9


@pytest.mark.parametrize("x", [[2.0, 2.0, 2.0], [1.0, 2.0, 3.0]])
def test_no_rising_line_goes_through_the_origin(x: list[float]) -> None:
    """One x, or latencies that fall with it, give the median ratio and no intercept."""
    intercept, slope = affine(np.array(x), np.array([6.0, 4.0, 2.0]))
    assert intercept == 0
    assert slope == 2.0
