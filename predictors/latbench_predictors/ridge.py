"""Ridge regression on one-hot architectures: needs networks only, no blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.prediction import conformal
from latbench.prediction.expectation import ChoiceSum
from latbench.prediction.inputs import FloatArray, IntArray, Space
from latbench.predictor import Predictor
from latbench_predictors import known_options
from latbench_predictors.known_options import BETWEEN, HAD, share
from latbench_predictors.regression import relative_weights

ALPHAS: FloatArray = np.logspace(-6, 3, 10)
"""What ``alpha="auto"`` chooses from."""


class Ridge(Predictor):
    """``latency = a + sum_c w_c[x_c]`` with ``alpha |w|^2`` added to the weighted squared errors.

    Errors are weighted to be relative by default (see
    :func:`latbench_predictors.regression.relative_weights`). On HELP's tables with 900 labels,
    alpha 1, means of five seeds, that moves the share of networks within 10 % so:

    ===================================  ========  ========
    table and column                     absolute  relative
    ===================================  ========  ========
    FBNet ``samsung_a50`` (slow noise)   74.1      89.3
    FBNet ``gold_6226``                  93.4      94.5
    FBNet ``pixel2``                     63.0      66.0
    cells ``pixel2``                     45.1      48.0
    cells ``gold_6226``                  93.5      93.3
    cells ``raspi4`` (values near zero)  52.3      42.4
    ===================================  ========  ========

    With 50 labels the two differ by under a point on FBNet. Choose ``relative=False`` for a table
    that holds networks which compute next to nothing.

    A choice among quantities also has a slope: options that no network had follow the line.

    ``coverage_of`` is the share of an architecture's options that a fitted network had; a quantity
    between those of fitted networks counts as had, and is told apart by ``support_of``.
    """

    kind: ClassVar[str] = "ridge"
    # Fits are cheap, and where there are hardly more networks than options a tenth fewer of them is
    # felt: with 300 of FBNet's networks intervals from 10 folds held 96 % instead of 90.
    folds: ClassVar[int] = 100
    intercept_ms_: float
    options_ms_: FloatArray
    seen_: known_options.Known
    alpha_: float

    def __init__(
        self, space: Space, alpha: float | Literal["auto"] = 1.0, relative: bool = True
    ) -> None:
        """Store the parameters.

        Args:
            space: whose architectures it takes.
            alpha: strength of the shrinkage, above zero; ``"auto"`` takes the one of
                :data:`ALPHAS` with the least weighted error in cross-validation.
            relative: whether errors count relative to the latency or in ms.
        """
        super().__init__(space)
        self.alpha = alpha
        self.relative = relative

    def _fit(self, X: IntArray, y: FloatArray) -> None:
        if self.alpha != "auto" and not (
            isinstance(self.alpha, float | int) and 0 < self.alpha < np.inf
        ):
            raise UsageError(f'alpha is {self.alpha!r}; give a number above zero, or "auto"')
        quantities = self._quantities()
        encoded = np.hstack([self.space.one_hot(X), quantities[X + self._starts()].sum(axis=1)])
        weights = relative_weights(y) if self.relative else np.ones(len(y))
        self.alpha_ = self._best_alpha(X, encoded, y, weights)
        solution = _solutions(encoded, y, weights, np.array([self.alpha_]))[0]
        options = len(quantities)
        self.intercept_ms_ = float(solution[0])
        self.options_ms_ = solution[1 : 1 + options] + quantities @ solution[1 + options :]
        self.seen_ = known_options.known(self.space, X)

    def _best_alpha(
        self, X: IntArray, encoded: FloatArray, y: FloatArray, weights: FloatArray
    ) -> float:
        if self.alpha != "auto":
            return float(self.alpha)
        fold = conformal.folds(conformal.different(X)[1], 5, seed=0)
        errors = np.zeros(len(ALPHAS))
        for number in range(fold.max() + 1):
            out = fold == number
            solutions = _solutions(encoded[~out], y[~out], weights[~out], ALPHAS)
            predicted = solutions[:, :1] + solutions[:, 1:] @ encoded[out].T
            errors += ((predicted - y[out]) ** 2) @ weights[out]
        return float(ALPHAS[np.argmin(errors)])

    def _predict(self, X: IntArray) -> FloatArray:
        # Summed along each row, so that a prediction does not depend on the batch it is in.
        chosen = self.options_ms_[X + self._starts()]
        total: FloatArray = self.intercept_ms_ + chosen.sum(axis=1)
        return total

    def _coverage(self, X: IntArray) -> FloatArray:
        return share(self.seen_, self.space, X, HAD, BETWEEN)

    def _interpolated(self, X: IntArray) -> FloatArray:
        return share(self.seen_, self.space, X, BETWEEN)

    def _unknown(self, X: IntArray) -> list[str]:
        return known_options.unknown(self.seen_, self.space, X)

    def _quantities(self) -> FloatArray:
        """Return the standardised value of each option, (options, choices with several values).

        It is 0 for the options of all other choices.
        """
        options = sum(len(choice.options) for choice in self.space.choices)
        columns = [np.zeros((options, 0))]
        for choice, start in zip(self.space.choices, self._starts(), strict=True):
            if choice.values is not None and len(choice.values) > 1:
                values = np.asarray(choice.values)
                column = np.zeros((options, 1))
                column[start : start + len(values), 0] = (values - values.mean()) / values.std()
                columns.append(column)
        return np.hstack(columns)

    def _sum_over_choices(self) -> ChoiceSum:
        rows = np.split(self.options_ms_, self._starts()[1:])
        names = (choice.name for choice in self.space.choices)
        return ChoiceSum(self.intercept_ms_, dict(zip(names, rows, strict=True)))

    def _starts(self) -> IntArray:
        sizes = [len(choice.options) for choice in self.space.choices]
        return np.cumsum([0, *sizes[:-1]])

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "intercept_ms": np.array(self.intercept_ms_),
            "options_ms": self.options_ms_,
            "seen": self.seen_,
            "alpha": np.array(self.alpha_),
        }

    def _restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.intercept_ms_ = float(state["intercept_ms"])
        self.options_ms_ = state["options_ms"]
        self.seen_ = state["seen"]
        self.alpha_ = float(state["alpha"])


def _solutions(
    encoded: FloatArray, y: FloatArray, weights: FloatArray, alphas: FloatArray
) -> FloatArray:
    """Return intercept and coefficients, (alphas, 1 + columns), of weighted ridge regressions.

    One eigendecomposition of the weighted Gram matrix serves every alpha (Hastie et al., *The
    Elements of Statistical Learning*, 3.4.1); the intercept is not shrunk.
    """
    share = weights / weights.sum()
    centre, level = share @ encoded, share @ y
    centred = encoded - centre
    weighted = centred * weights[:, None]
    values, vectors = np.linalg.eigh(weighted.T @ centred)
    # Rounding puts eigenvalues of zero a hair below it.
    spectrum = np.maximum(values, 0.0) + alphas[:, None]
    coefficients = ((vectors.T @ (weighted.T @ (y - level))) / spectrum) @ vectors.T
    return np.column_stack([level - coefficients @ centre, coefficients])
