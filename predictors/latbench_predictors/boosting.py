"""LightGBM on relative errors, with losses that LightGBM does not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from latbench.prediction import conformal
from latbench.prediction.inputs import FloatArray, IntArray
from latbench_predictors import robust_ridge

if TYPE_CHECKING:
    from lightgbm import Booster, Dataset

FEWEST = 60
"""Different networks that boosting takes; fewer would fill no tree of three leaves."""
MOST_ROUNDS = 300

_STEP = 20
_FOLDS = 4
_LEAF = 20  # networks a leaf holds at least
_LEAST_CURVATURE = 1e-2  # keeps the step of a leaf finite where no error has any


class Loss(Protocol):
    """What an error costs."""

    def __call__(self, errors: FloatArray) -> FloatArray:
        """Return the loss of each error (n,)."""

    def slopes(self, errors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return by how much, and how steeply, trees should lower each error; both (n,).

        The second stands for the curvature, by which boosting divides: that of the square with the
        weights of iterated reweighting, which other than the true one is never negative.
        """


@dataclass(frozen=True)
class Huber:
    """The square of errors up to ``bound``, a line beyond (Huber, 1964).

    The base gives up what lies far off. Its trees do not: networks that they can tell from others
    are no outliers to them.
    """

    bound: float

    def __call__(self, errors: FloatArray) -> FloatArray:
        """See :class:`Loss`."""
        size = np.abs(errors)
        loss: FloatArray = np.where(
            size <= self.bound, size**2 / 2, self.bound * (size - self.bound / 2)
        )
        return loss

    def slopes(self, errors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See :class:`Loss`."""
        weights = robust_ridge.huber_weights(errors, self.bound)
        return weights * errors, weights


@dataclass(frozen=True)
class Within:
    """A smooth share of errors beyond ``tolerance``.

    Errors up to half of it cost nothing, those far beyond all the same (Welsch's loss with a dead
    zone): predictions settle where most networks lie within the tolerance, not where the typical
    error is least.
    """

    tolerance: float

    def __call__(self, errors: FloatArray) -> FloatArray:
        """See :class:`Loss`."""
        return 1 - robust_ridge.welsch_weights(self._beyond(errors), self.tolerance)

    def slopes(self, errors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See :class:`Loss`."""
        beyond = self._beyond(errors)
        weights = robust_ridge.welsch_weights(beyond, self.tolerance)
        return weights * beyond, weights * (beyond != 0) + _LEAST_CURVATURE

    def _beyond(self, errors: FloatArray) -> FloatArray:
        outside = np.maximum(np.abs(errors) - self.tolerance / 2, 0.0)
        return np.sign(errors) * outside


def loss_of(errors: FloatArray, tolerance: float | None) -> Loss:
    """Return :class:`Within` where there is a tolerance, else :class:`Huber` for such errors."""
    if tolerance is not None:
        return Within(tolerance)
    return Huber(robust_ridge.HUBER * robust_ridge.spread(errors))


def best_rounds(
    columns: FloatArray, errors: FloatArray, groups: IntArray, loss: Loss, **params: Any
) -> int:
    """Return the number of rounds that cross-validation wants, which may be 0.

    It is the fewest whose loss is within one standard error of the least, network by network
    (Hastie et al., *The Elements of Statistical Learning*, 7.10).
    """
    fold = conformal.folds(groups, _FOLDS, seed=0)
    tried = range(0, MOST_ROUNDS + 1, _STEP)
    losses = np.empty((len(errors), len(tried)))
    for number in range(fold.max() + 1):
        out = fold == number
        trees = boosted(columns[~out], errors[~out], MOST_ROUNDS, loss, **params)
        left = errors[out]
        for place, start in enumerate(tried):
            losses[out, place] = loss(left)
            left = left - predicted(trees, columns[out], start, _STEP)
    worse = losses - losses[:, [np.argmin(losses.mean(axis=0))]]
    close = worse.mean(axis=0) <= worse.std(axis=0) / np.sqrt(len(errors))
    return tried[int(np.argmax(close))]


def boosted(
    columns: FloatArray, errors: FloatArray, rounds: int, loss: Loss, **params: Any
) -> Booster:
    """Return trees that predict ``errors`` (n,) from ``columns`` (n, columns), on one thread."""
    import lightgbm

    def objective(predictions: FloatArray, data: Dataset) -> tuple[FloatArray, FloatArray]:
        return loss.slopes(predictions - errors)

    settings = {
        "objective": objective,
        "learning_rate": 0.05,
        "min_data_in_leaf": _LEAF,
        "min_sum_hessian_in_leaf": 1e-3,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "max_bin": 63,
        "min_data_in_bin": 1,
        "feature_pre_filter": False,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbose": -1,
        **params,
    }
    return lightgbm.train(settings, lightgbm.Dataset(columns, errors), rounds)


def predicted(trees: Booster, columns: FloatArray, start: int = 0, rounds: int = -1) -> FloatArray:
    """Return what ``rounds`` of the trees from ``start`` on add up to, (n,)."""
    found: Any = trees.predict(columns, start_iteration=start, num_iteration=rounds, num_threads=1)
    return np.asarray(found, dtype=np.float64)
