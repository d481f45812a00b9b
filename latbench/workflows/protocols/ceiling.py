"""What a predictor scores at best that must say the same of all networks of a class."""

from __future__ import annotations

import numpy as np
from scipy import stats

from latbench.spaces import FloatArray, IntArray

_ROUNDING = 1e-12


def within(y: FloatArray, classes: IntArray, percent: float) -> float:
    """Return the most networks, in percent, whose error can be within ``percent``.

    It is the same relative to the prediction and to the measurement: with ``t`` for the share, one
    prediction serves latencies of which the greatest is at most ``(1 + t) / (1 - t)`` times the
    least. A network alone in its class is always within.

    Args:
        y: latencies in ms (n,).
        classes: of each network, numbered from 0.
        percent: below 100.
    """
    share = percent / 100
    order = np.lexsort((y, classes))
    logs = np.log(y[order]) - np.log(y.min())
    # Further apart than any two latencies that one prediction can serve.
    step = np.ptp(logs) + 2 * np.log((1 + share) / (1 - share)) + 1
    place = logs + step * classes[order]
    last = np.searchsorted(place, place + np.log((1 + share) / (1 - share)) + _ROUNDING, "right")
    starts = np.flatnonzero(np.diff(classes[order], prepend=-1))
    return float(100 * np.maximum.reduceat(last - np.arange(len(y)), starts).sum() / len(y))


def mape(y: FloatArray, classes: IntArray) -> float:
    """Return the least mean absolute percentage error, that of the median weighted by ``1 / y``.

    For the arguments see :func:`within`.
    """
    order = np.lexsort((y, classes))
    starts = np.flatnonzero(np.diff(classes[order], prepend=-1))[1:]
    return float(100 * sum(map(_least, np.split(y[order], starts))) / len(y))


def _least(ascending: FloatArray) -> float:
    """Return the least sum of relative errors of one prediction for latencies in that order."""
    weights = np.cumsum(1 / ascending)
    best = ascending[np.searchsorted(weights, weights[-1] / 2)]
    return float((np.abs(ascending - best) / ascending).sum())


def spearman(y: FloatArray, classes: IntArray) -> float:
    """Return a rank correlation that none exceeds: of the ranks with their means by class.

    For the arguments see :func:`within`.
    """
    ranks = stats.rankdata(y)
    sums = np.bincount(classes, ranks)
    means = (sums / np.maximum(np.bincount(classes), 1))[classes]
    return float(np.corrcoef(ranks, means)[0, 1])
