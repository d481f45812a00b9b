"""A runtime: the reference evaluator that comes with the package onnx. It is slow and plain."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import ClassVar

from latbench.errors import MeasurementError
from latbench.runtimes import Runtime, Session, random_inputs
from latbench.runtimes.inputs import Array
from latbench.spaces import Workload
from latbench.target import Target


class OnnxReference(Runtime):
    """Every operator in NumPy, one after the other."""

    name: ClassVar[str] = "onnx-reference"

    def available(self) -> str | None:
        """Return None, or what is missing and how to get it; raise nothing."""
        if find_spec("onnx") is None:
            return "the package onnx is not installed; run: pip install onnx"
        return None

    def version(self) -> str:
        """Return what a target is told apart by."""
        return version("onnx")

    def _compile(self, workload: Workload, target: Target) -> Session:
        return ReferenceSession(workload)


class ReferenceSession(Session):
    """A model that was checked, with its weights and inputs in place."""

    def __init__(self, workload: Workload) -> None:
        """Load ``workload``; whatever is refused becomes a MeasurementError with the reason."""
        from latbench.spaces.weights import with_weights
        from onnx.checker import check_model
        from onnx.reference import ReferenceEvaluator

        try:
            model = with_weights(workload.model)
            check_model(model)
            self._evaluator = ReferenceEvaluator(model)
        except Exception as failure:
            reason = (str(failure).strip() or type(failure).__name__).splitlines()[0]
            raise MeasurementError(f"onnx refused {workload.name}: {reason}") from failure
        self._inputs = random_inputs(workload.inputs)

    def run_once(self) -> None:
        """Run on the inputs in place, and return when the outputs are there."""
        self._evaluator.run(None, self._inputs)

    def _outputs(self, inputs: Mapping[str, Array]) -> list[Array]:
        """Return the outputs for ``inputs``: what is timed must compute the right thing."""
        return list(self._evaluator.run(None, dict(inputs)))
