"""The baseline everybody has: latency as a line in multiply-accumulates."""

from __future__ import annotations

from typing import ClassVar

from latbench.prediction.inputs import FloatArray, IntArray
from latbench_predictors.cost_line import CostLine


class Flops(CostLine):
    """``latency = a + b * MACs``; see :class:`~latbench_predictors.cost_line.CostLine`."""

    kind: ClassVar[str] = "flops"

    def _cost(self, X: IntArray) -> FloatArray:
        return self.space.macs(X)
