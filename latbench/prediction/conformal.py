"""Intervals from held-out errors: conformal prediction with folds.

Every network is predicted by a model that was fitted without it; the relative errors of these
predictions, sorted, say how far a prediction for a new network may lie off. The finite-sample
quantile of n errors at a coverage c is the ``ceil((n + 1) c)``-th smallest (Vovk, *Cross-conformal
predictors*, 2015; Barber et al., *Predictive inference with the jackknife+*, 2021).

The errors are put around the prediction of the model fitted on everything, which is the K-fold
form of Barber's jackknife: one prediction a network, not K. It covers as stated where leaving a
fold out changes predictions little; its errors come from models that saw fewer networks, which
makes it err on the wide side. CV+ itself, which keeps the K models, guarantees about ``2c - 1``.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_LARGEST_DENOMINATOR = 10**6


def different(X: IntArray) -> tuple[IntArray, IntArray]:
    """Return the first row of each different row of ``X`` (g,), and the group of each row (n,)."""
    _, first, groups = np.unique(X, axis=0, return_index=True, return_inverse=True)
    return first.astype(np.int64), groups.reshape(-1).astype(np.int64)


def folds(groups: IntArray, count: int, seed: int) -> IntArray:
    """Return the fold of each row (n,), drawn from ``seed``; a group is never split.

    Args:
        groups: group of each row (n,), numbered from 0.
        count: folds wanted; with fewer groups, each group is a fold.
        seed: of the draw.
    """
    total = int(groups.max()) + 1
    shuffled = np.random.default_rng(seed).permutation(total)
    fold: IntArray = (shuffled % min(count, total))[groups]
    return fold


def networks_needed(coverage: float) -> int:
    """Return the fewest errors from which an interval of this coverage can be had."""
    exact = _exact(coverage)
    return math.ceil(exact / (1 - exact))


def quantile(scores: FloatArray, coverage: float) -> float:
    """Return the finite-sample quantile of ascending ``scores`` (n,) at ``coverage``.

    Raises:
        UsageError: ``coverage`` is no share, or so high that n scores cannot bound it, or there is
            none.
    """
    n = len(scores)
    if not n:
        raise UsageError("the predictor was fitted with calibrate=False; fit it again without it")
    if not 0 < coverage < 1:
        raise UsageError(f"{coverage!r} is not a coverage; give a share such as 0.95")
    rank = math.ceil((n + 1) * _exact(coverage))
    if rank > n:
        raise UsageError(
            f"an interval of coverage {coverage:g} needs {networks_needed(coverage)} networks and "
            f"the predictor was fitted on {n}: fit on more, or ask for at most "
            f"{math.floor(1e4 * n / (n + 1)) / 1e4:g}"
        )
    return float(scores[rank - 1])


def _exact(coverage: float) -> Fraction:
    # As it is meant: 0.95 of 20 is 19 and 12/13 of 13 is 12, which floating point may put a hair
    # above it.
    written = Fraction(repr(float(coverage)))
    simple = written.limit_denominator(_LARGEST_DENOMINATOR)
    return simple if float(simple) == coverage else written
