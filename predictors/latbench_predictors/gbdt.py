"""Gradient-boosted trees on whole networks, behind a robust linear model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from latbench.errors import ArtefactError, MissingMeasurementsError, UsageError
from latbench.prediction import conformal
from latbench.prediction.inputs import FloatArray, IntArray, Space
from latbench.predictor import Predictor
from latbench_predictors import boosting, known_options, robust_ridge
from latbench_predictors.known_options import BETWEEN, HAD, share
from latbench_predictors.lut import LUT
from latbench_predictors.products import Products
from latbench_predictors.whole_network import Described, WholeNetwork

if TYPE_CHECKING:
    from lightgbm import Booster

# Of the median latency: errors of faster networks are relative to it. The lower it is, the more a
# cell weighs that computes nothing and takes some microseconds, and the fit bends to it.
_FLOOR = 0.25


class GBDT(Predictor):
    """``latency = base * (1 + trees)``.

    The base is a robust ridge (:mod:`latbench_predictors.robust_ridge`): on options and costs, or,
    where a compiler can fuse, on the kernels that are left and on their products
    (:mod:`latbench_predictors.products`). A runtime may compile a network, or run it as it stands;
    so that base is taken which errs less on networks left out or, with a tolerance, errs by more
    than that on fewer. The trees are LightGBM's, on options, costs and the counts of blocks
    (:class:`latbench_predictors.whole_network.Described`), fitted to the relative errors that the
    base makes on networks left out. There are as many as cross-validation wants: none where the
    latency is a sum, or where networks are few. So it is a ridge while it has to be, where trees
    alone would know next to nothing.

    Cells without a path from input to output leave but the output to run, on zeros. They have the
    median latency of those among the fitted networks, if any: it is far below what a fit on the
    others says.

    ``coverage_of`` is the share of an architecture's options that a fitted network had; a quantity
    between those of fitted networks counts as had, and is told apart by ``support_of``.
    """

    kind: ClassVar[str] = "gbdt"
    # With 150 of Accel-NASBench's networks intervals from 10 folds held 92 % instead of 90.
    folds: ClassVar[int] = 20
    intercept_ms_: float
    coefficients_: FloatArray
    products_: Products | None
    least_ms_: float
    idle_ms_: float
    seen_: known_options.Known
    model_: str

    def __init__(
        self,
        space: Space,
        blocks: Mapping[str, float] | None = None,
        tolerance: float | None = None,
        rounds: int | Literal["auto"] = "auto",
        leaves: int = 7,
        seed: int = 0,
    ) -> None:
        """Store the parameters.

        Args:
            space: whose architectures it takes.
            blocks: measured latency in ms by block key, of every block of the space, or None.
            tolerance: None makes the typical error small. A share such as 0.1 puts as many networks
                as it can within 10 %, at the price of a larger typical error; it matters where the
                noise has two levels, or long tails.
            rounds: trees, or ``"auto"``.
            leaves: of a tree, at most.
            seed: of what LightGBM draws.
        """
        super().__init__(space)
        self.blocks = blocks
        self.tolerance = tolerance
        self.rounds = rounds
        self.leaves = leaves
        self.seed = seed

    @classmethod
    def for_table(cls, space: Space, block_ms: Mapping[str, float] | None, **params: Any) -> GBDT:
        """Return an unfitted predictor; it uses ``block_ms`` if every block of the space is there.

        See :meth:`Predictor.for_table`.
        """
        cls._check_names(params)
        whole = bool(block_ms) and not LUT(space, block_ms or {}).missing()
        return cls(space, **{"blocks": block_ms if whole else None, **params})

    def _fit(self, X: IntArray, y: FloatArray) -> None:
        self._check()
        found = self._network(X)
        self.idle_ms_ = float(np.median(y[found.idle])) if found.idle.any() else math.nan
        self.least_ms_ = _FLOOR * float(np.median(y))
        ridge = self._base(found, y)
        self.seen_ = known_options.known(self.space, X)
        base_ms = robust_ridge.relative_to(ridge.left_out_ms, self.least_ms_)
        self.model_ = self._boosted(X, found.every, (y - ridge.left_out_ms) / base_ms)

    def _base(self, found: Described, y: FloatArray) -> robust_ridge.Solution:
        """Fit and keep the base that errs less on networks left out, and return it."""
        weights, products = self._network.weights(found), Products.over(found.kernels)

        def fitted(columns: FloatArray) -> robust_ridge.Solution:
            return robust_ridge.fit(columns, y, self.least_ms_, self.tolerance)

        ridge = fitted(found.linear * weights)
        self.products_, coefficients = None, ridge.coefficients * weights
        if found.kernels.shape[1]:
            other = fitted(products(found.kernels))
            if self._error(other.left_out_ms, y) < self._error(ridge.left_out_ms, y):
                ridge, self.products_, coefficients = other, products, other.coefficients
        self.intercept_ms_, self.coefficients_ = ridge.intercept_ms, coefficients
        return ridge

    def _error(self, left_out_ms: FloatArray, y: FloatArray) -> float:
        """Return the typical error, or the share of networks beyond the tolerance."""
        errors = (y - left_out_ms) / robust_ridge.relative_to(y, self.least_ms_)
        if self.tolerance is None:
            return robust_ridge.spread(errors)
        return float(np.mean(np.abs(errors) > self.tolerance))

    def _boosted(self, X: IntArray, columns: FloatArray, errors: FloatArray) -> str:
        """Return trees for the relative ``errors`` (n,) of the base as LightGBM's text, or ""."""
        groups = conformal.different(X)[1]
        few = groups.max() + 1 < boosting.FEWEST
        if few or robust_ridge.spread(errors) < robust_ridge.EXACT:
            return ""
        loss = boosting.loss_of(errors, self.tolerance)
        params = {"num_leaves": self.leaves, "seed": self.seed}
        rounds = self.rounds
        if rounds == "auto":
            rounds = boosting.best_rounds(columns, errors, groups, loss, **params)
        if not rounds:
            return ""
        return boosting.boosted(columns, errors, rounds, loss, **params).model_to_string()

    def _predict(self, X: IntArray) -> FloatArray:
        found = self._network(X)
        known = found.idle & math.isfinite(self.idle_ms_)
        return np.where(known, self.idle_ms_, self._running_ms(found))

    def _running_ms(self, found: Described) -> FloatArray:
        columns = self.products_(found.kernels) if self.products_ else found.linear
        base_ms: FloatArray = self.intercept_ms_ + columns @ self.coefficients_
        if self._trees is None:
            return base_ms
        errors = boosting.predicted(self._trees, found.every)
        return base_ms + errors * robust_ridge.relative_to(base_ms, self.least_ms_)

    def _coverage(self, X: IntArray) -> FloatArray:
        return share(self.seen_, self.space, X, HAD, BETWEEN)

    def _interpolated(self, X: IntArray) -> FloatArray:
        return share(self.seen_, self.space, X, BETWEEN)

    def _unknown(self, X: IntArray) -> list[str]:
        return known_options.unknown(self.seen_, self.space, X)

    @cached_property
    def _network(self) -> WholeNetwork:
        return WholeNetwork(self.space, self.blocks)

    @cached_property
    def _trees(self) -> Booster | None:
        """The trees as read from their text, so that a saved predictor predicts as this one."""
        import lightgbm

        if not self.model_:
            return None
        try:
            return lightgbm.Booster(model_str=self.model_)
        except lightgbm.basic.LightGBMError as failure:
            raise ArtefactError(
                f"LightGBM cannot read the trees ({failure}); fit again"
            ) from failure

    def _check(self) -> None:
        if self.blocks and (missing := LUT(self.space, self.blocks).missing()):
            raise MissingMeasurementsError(
                f"gbdt uses the latencies of all blocks or of none, and {len(missing)} have none "
                f"({missing[0]}, ...); leave blocks out, or measure them"
            )
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            raise UsageError(f"the tolerance is {self.tolerance!r}; give a share such as 0.1")
        if self.rounds != "auto" and not (isinstance(self.rounds, int) and self.rounds >= 0):
            raise UsageError(f'rounds is {self.rounds!r}; give a whole number, or "auto"')
        if not (isinstance(self.leaves, int) and self.leaves >= 2):
            raise UsageError(f"leaves is {self.leaves!r}; a tree has at least 2")
        if not (isinstance(self.seed, int) and self.seed >= 0):
            raise UsageError(f"seed is {self.seed!r}; give a whole number from 0")

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "base": np.array([self.intercept_ms_, self.least_ms_, self.idle_ms_]),
            "coefficients": self.coefficients_,
            "products": self.products_.to_array() if self.products_ else np.empty((2, 0)),
            "columns": np.array(self._network.names),
            "seen": self.seen_,
            "model": np.array(self.model_),
        }

    def _restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        if tuple(state["columns"]) != self._network.names:
            raise ArtefactError(
                "this gbdt was fitted on other columns than this latbench makes of a network; fit "
                "again"
            )
        self.intercept_ms_, self.least_ms_, self.idle_ms_ = map(float, state["base"])
        self.coefficients_, self.seen_ = state["coefficients"], state["seen"]
        self.products_ = Products(*state["products"]) if state["products"].size else None
        self.model_ = str(state["model"])
        _ = self._trees  # read at once, so that what is no tree is refused now
