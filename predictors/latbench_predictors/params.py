"""The other baseline everybody has: latency as a line in trainable parameters."""

from __future__ import annotations

from typing import ClassVar

from latbench.prediction.inputs import FloatArray, IntArray
from latbench_predictors.cost_line import CostLine


class Params(CostLine):
    """``latency = a + b * parameters``; see :class:`~latbench_predictors.cost_line.CostLine`."""

    kind: ClassVar[str] = "params"

    def _cost(self, X: IntArray) -> FloatArray:
        return self.space.params(X)
