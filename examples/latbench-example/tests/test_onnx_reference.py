"""The runtime keeps its contract."""

from __future__ import annotations

from latbench.runtimes import Runtime
from latbench.testing.runtimes import RuntimeSuite

from latbench_example.onnx_reference import OnnxReference


class TestOnnxReference(RuntimeSuite):
    """Every rule of the contract."""

    def make_runtime(self) -> Runtime:
        """Return the runtime under test."""
        return OnnxReference()
