"""A ridge on relative errors that few wrong or odd measurements cannot bend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latbench.prediction.inputs import FloatArray
from latbench_predictors.regression import relative_weights

ALPHAS: FloatArray = np.logspace(4, -8, 25)
"""Strengths of the shrinkage that are tried."""
EXACT = 1e-9
"""Relative errors below it are rounding."""
HUBER = 1.345
"""Standard deviations at which Huber's loss is 95 % efficient where errors are normal."""

_WELSCH = 2.985  # the same for Welsch's
_MAD_TO_DEVIATION = 1.4826
_ROUNDS = 5


def relative_to(latency_ms: FloatArray, floor_ms: float) -> FloatArray:
    """Return what errors of these latencies (n,) are relative to: themselves, or the floor."""
    return np.maximum(latency_ms, floor_ms)


def spread(errors: FloatArray) -> float:
    """Return the standard deviation of ``errors`` (n,) by their median size, wild ones aside."""
    return float(_MAD_TO_DEVIATION * np.median(np.abs(errors)))


def huber_weights(errors: FloatArray, bound: float) -> FloatArray:
    """Return weights (n,) that make a square a line beyond ``bound`` (Huber, 1964)."""
    weights: FloatArray = bound / np.maximum(np.abs(errors), bound)
    return weights


def welsch_weights(errors: FloatArray, reach: float) -> FloatArray:
    """Return weights (n,) ``exp(-(errors / reach)^2)`` (Holland and Welsch, 1977)."""
    weights: FloatArray = np.exp(-((errors / reach) ** 2))
    return weights


@dataclass(frozen=True)
class Solution:
    """A fitted ridge.

    Attributes:
        intercept_ms: what is predicted where every column is 0.
        coefficients: ms for one unit of each column (columns,).
        left_out_ms: what each row (n,) would be predicted at had the fit not seen it.
    """

    intercept_ms: float
    coefficients: FloatArray
    left_out_ms: FloatArray


def fit(columns: FloatArray, y: FloatArray, floor_ms: float, tolerance: float | None) -> Solution:
    """Return a ridge on ``columns`` (n, columns) for latencies ``y`` (n,), fitted by reweighting.

    Squared errors are relative to the latency. Five rounds weight them as Huber (*Robust estimation
    of a location parameter*, 1964) does; from there five start with Welsch's weights (Holland and
    Welsch, *Robust regression using iteratively reweighted least-squares*, 1977), which give up
    what lies far off, such as networks that computed next to nothing, and settle on the more
    frequent of two levels. Each round takes the strength of the shrinkage with the least error on
    rows left out one at a time; of a network that occurs twice, one row at a time.

    Args:
        columns: 0 and 1, or of that order of size: shrinkage depends on it.
        y: latencies in ms.
        floor_ms: smaller latencies count as this one.
        tolerance: the error beyond which a network counts less and less in the end; by default
            2.985 standard deviations, with which the fit is 95 % efficient where errors are normal.
    """
    found = _ridge(columns, y, relative_weights(y))
    for number in range(2 * _ROUNDS):
        # Networks far faster than predicted are odd, not exact: they must not weigh more for it.
        unit = relative_to(np.maximum(y, found.left_out_ms / 2), floor_ms)
        errors = (y - found.left_out_ms) / unit
        if spread(errors) < EXACT:
            break
        if number < _ROUNDS:
            weights = huber_weights(errors, HUBER * spread(errors))
        else:
            # Never quite zero, or a fit on two levels could lose every row of a column.
            weights = welsch_weights(errors, tolerance or _WELSCH * spread(errors)) + 1e-6
        weights = weights * unit**-2.0
        found = _ridge(columns, y, weights / weights.mean())
    return found


def _ridge(columns: FloatArray, y: FloatArray, weights: FloatArray) -> Solution:
    """Return the weighted ridge whose alpha leaves the least error on rows left out.

    One eigendecomposition of the Gram matrix gives every alpha its errors, ``e / (1 - h)`` with
    ``h`` the leverage of the row (Hastie et al., *The Elements of Statistical Learning*, 7.10.1);
    the intercept is not shrunk.
    """
    share, root = weights / weights.sum(), np.sqrt(weights)
    centre, level_ms = share @ columns, float(share @ y)
    rows, target = (columns - centre) * root[:, None], (y - level_ms) * root
    values, vectors = np.linalg.eigh(rows.T @ rows)
    # Rounding puts eigenvalues of zero a hair below it.
    shrunk = 1 / (np.maximum(values, 0.0) + ALPHAS[:, None])
    turned = rows @ vectors
    along = turned.T @ target
    leverage = shrunk @ (turned**2).T + share
    # A row that alone fixes its prediction has no error of its own; rounding puts it past 1.
    errors = (target - (shrunk * along) @ turned.T) / np.maximum(1 - leverage, 1e-9)
    best = int(np.argmin((errors**2).sum(axis=1)))
    coefficients = vectors @ (shrunk[best] * along)
    return Solution(float(level_ms - centre @ coefficients), coefficients, y - errors[best] / root)
