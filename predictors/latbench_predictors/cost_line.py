"""Latency as a line in one cost of the network: what the one-number baselines share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.prediction.inputs import FloatArray, IntArray
from latbench.predictor import Predictor
from latbench_predictors.regression import affine


class CostLine(Predictor):
    """``latency = a + b * cost``, a robust line through the measured networks.

    A subclass says what the cost is. It measures no block, so its predictions rest on
    measurements as far as their cost lies within those of the networks it was fitted on:
    ``coverage_of`` is 1 there, ``highest / cost`` above and ``cost / lowest`` below, and all of it
    is interpolated.
    """

    intercept_ms_: float
    ms_per_unit_: float
    range_: FloatArray

    @abstractmethod
    def _cost(self, X: IntArray) -> FloatArray:
        """Return the cost (n,) of canonical architectures (n, choices), above zero."""

    def _fit(self, X: IntArray, y: FloatArray) -> None:
        cost = self._cost(X)
        self.intercept_ms_, self.ms_per_unit_ = affine(cost, y)
        self.range_ = np.array([cost.min(), cost.max()])

    def _predict(self, X: IntArray) -> FloatArray:
        return self.intercept_ms_ + self.ms_per_unit_ * self._cost(X)

    def _coverage(self, X: IntArray) -> FloatArray:
        cost = self._cost(X)
        lowest, highest = self.range_
        # One of the two is 1: a network is too small or too large, not both.
        share: FloatArray = np.minimum(cost, lowest) / lowest * highest / np.maximum(cost, highest)
        return share

    def _interpolated(self, X: IntArray) -> FloatArray:
        return self._coverage(X)  # no network is known by itself, only the line between them

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        return {"line": np.array([self.intercept_ms_, self.ms_per_unit_]), "range": self.range_}

    def _restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.intercept_ms_, self.ms_per_unit_ = map(float, state["line"])
        self.range_ = state["range"]
