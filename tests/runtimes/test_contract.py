"""Every registered runtime keeps the contract."""

from __future__ import annotations

from typing import ClassVar

import pytest
from onnx import ModelProto

from latbench.runtimes import CompiledGraph, Runtime
from latbench.runtimes.onnxruntime import OnnxRuntime
from latbench.runtimes.onnxruntime_gpu import OnnxRuntimeCuda, OnnxRuntimeTensorRt
from latbench.runtimes.openvino import OpenVino
from latbench.runtimes.torch import TorchRuntime, module_of
from latbench.runtimes.torch_compile import TorchCompile
from latbench.runtimes.torch_profile import layers
from latbench.spaces import Workload
from latbench.spaces.exporting import export_module
from latbench.target import Target
from latbench.testing.runtimes import RuntimeSuite


class TestOnnxRuntime(RuntimeSuite):
    def make_runtime(self) -> Runtime:
        return OnnxRuntime()

    @pytest.mark.parametrize("level", ["disabled", "basic", "extended", "all"])
    def test_levels_of_optimisation_are_targets(self, runtime: Runtime, level: str) -> None:
        """Each level compiles, and is a target of its own."""
        plain, levelled = (
            runtime.target("cpu", options=options) for options in ({}, {"optimisation": level})
        )
        assert plain.key != levelled.key


class TestOnnxRuntimeCuda(RuntimeSuite):
    def make_runtime(self) -> Runtime:
        return OnnxRuntimeCuda()


class TestOnnxRuntimeTensorRt(RuntimeSuite):
    def make_runtime(self) -> Runtime:
        return OnnxRuntimeTensorRt()


class TestOpenVino(RuntimeSuite):
    def make_runtime(self) -> Runtime:
        return OpenVino()


class TestTorch(RuntimeSuite):
    reads_onnx: ClassVar[bool] = False

    def make_runtime(self) -> Runtime:
        return TorchRuntime()

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


class TestTorchAmp(TestTorch):
    tolerance: ClassVar[float] = 0.05  # bfloat16 has eight bits, and depth adds up its errors

    def make_target(self, runtime: Runtime, batch: int = 1) -> Target:
        return runtime.target("cpu", "amp", batch)


class TestTorchCompile(RuntimeSuite):
    reads_onnx: ClassVar[bool] = False
    workloads: ClassVar[tuple[str, ...]] = ("join", "network")

    def make_runtime(self) -> Runtime:
        return TorchCompile()

    def reference(self, workload: Workload) -> ModelProto:
        return TestTorch().reference(workload)
