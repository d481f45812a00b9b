"""The suite for eager PyTorch, whose weights are drawn by torch and whose nodes are layers."""

from __future__ import annotations

from typing import ClassVar

from onnx import ModelProto

from latbench.runtimes import CompiledGraph, Runtime
from latbench.runtimes.torch import TorchRuntime, module_of
from latbench.runtimes.torch_profile import layers
from latbench.spaces import Workload
from latbench.spaces.exporting import export_module
from latbench.target import Target
from latbench.testing.runtimes import RuntimeSuite


class TorchSuite(RuntimeSuite):
    """Eager PyTorch, in the precision and with the options of the class."""

    reads_onnx: ClassVar[bool] = False
    precision: ClassVar[str] = "fp32"
    options: ClassVar[dict[str, str]] = {}

    def make_runtime(self) -> Runtime:
        return TorchRuntime()

    def make_target(self, runtime: Runtime, batch: int = 1) -> Target:
        return runtime.target(self.device, self.precision, batch, options=self.options)

    def reference(self, workload: Workload) -> ModelProto:
        return export_module(module_of(workload), tuple(spec.shape for spec in workload.inputs))

    def nodes(self, workload: Workload, told: CompiledGraph) -> list[str]:
        module = module_of(workload)
        parents = {
            name or type(module).__name__
            for name, child in module.named_modules()
            if any(child.children())
        }
        sums = [kernel.name for kernel in told.kernels if kernel.name in parents]
        return [*layers(module), *sums]
