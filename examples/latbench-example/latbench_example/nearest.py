"""A predictor: the measured networks that are most alike tell the latency of a new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from latbench.errors import UsageError
from latbench.prediction.inputs import FloatArray, IntArray, Space
from latbench.predictor import Predictor


class NearestNetworks(Predictor):
    """The mean latency of the ``neighbours`` measured networks that share the most choices.

    ``coverage_of`` is the share of its choices that the nearest measured network makes alike.
    """

    kind: ClassVar[str] = "nearest"
    X_: IntArray
    y_: FloatArray

    def __init__(self, space: Space, neighbours: int = 3) -> None:
        """Store the parameters."""
        super().__init__(space)
        self.neighbours = neighbours

    def _fit(self, X: IntArray, y: FloatArray) -> None:
        if self.neighbours < 1:
            raise UsageError(f"neighbours is {self.neighbours}; it must be at least 1")
        self.X_, self.y_ = X.copy(), y.copy()

    def _predict(self, X: IntArray) -> FloatArray:
        order = np.argsort(-self._alike(X), axis=1, kind="stable")
        mean_ms: FloatArray = self.y_[order[:, : self.neighbours]].mean(axis=1)
        return mean_ms

    def _coverage(self, X: IntArray) -> FloatArray:
        nearest: FloatArray = self._alike(X).max(axis=1)
        return nearest

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        return {"X": self.X_, "y": self.y_}

    def _restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.X_, self.y_ = state["X"], state["y"]

    def _alike(self, X: IntArray) -> FloatArray:
        """Return the share of equal choices with each measured network, (n, measured)."""
        equal: FloatArray = self.space.one_hot(X) @ self.space.one_hot(self.X_).T
        return equal / len(self.space.choices)
