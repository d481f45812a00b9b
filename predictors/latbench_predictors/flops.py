"""The baseline everybody has: latency as a line in multiply-accumulates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from latbench.prediction.inputs import FloatArray, IntArray
from latbench.predictor import Predictor
from latbench_predictors.regression import affine


class Flops(Predictor):
    """``latency = a + b * MACs``, a robust line through the measured networks.

    It measures no block, so its predictions rest on measurements as far as their MACs lie within
    those of the networks it was fitted on: ``coverage_of`` is 1 there, ``highest / MACs`` above
    and ``MACs / lowest`` below.
    """

    kind: ClassVar[str] = "flops"
    intercept_ms_: float
    ms_per_mac_: float
    range_: FloatArray

    def _fit(self, X: IntArray, y: FloatArray) -> None:
        macs = self.space.macs(X)
        self.intercept_ms_, self.ms_per_mac_ = affine(macs, y)
        self.range_ = np.array([macs.min(), macs.max()])

    def _predict(self, X: IntArray) -> FloatArray:
        return self.intercept_ms_ + self.ms_per_mac_ * self.space.macs(X)

    def _coverage(self, X: IntArray) -> FloatArray:
        macs = self.space.macs(X)
        lowest, highest = self.range_
        # One of the two is 1: a network is too small or too large, not both.
        share: FloatArray = np.minimum(macs, lowest) / lowest * highest / np.maximum(macs, highest)
        return share

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        return {"line": np.array([self.intercept_ms_, self.ms_per_mac_]), "range": self.range_}

    def _restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.intercept_ms_, self.ms_per_mac_ = map(float, state["line"])
        self.range_ = state["range"]
