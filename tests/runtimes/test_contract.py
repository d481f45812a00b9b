"""Every registered runtime keeps the contract."""

from __future__ import annotations

from typing import ClassVar

import pytest
from onnx import ModelProto

from latbench.runtimes import Runtime
from latbench.runtimes.onnxruntime import OnnxRuntime
from latbench.runtimes.onnxruntime_gpu import OnnxRuntimeCuda, OnnxRuntimeTensorRt
from latbench.runtimes.openvino import OpenVino
from latbench.runtimes.torch_compile import TorchCompile
from latbench.spaces import Workload
from latbench.testing.runtimes import RuntimeSuite
from tests.runtimes.torch_suite import TorchSuite


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


class TestTorch(TorchSuite):
    pass


class TestTorchAmp(TorchSuite):
    precision: ClassVar[str] = "amp"
    tolerance: ClassVar[float] = 0.05  # bfloat16 has eight bits, and depth adds up its errors


class TestTorchChannelsLast(TorchSuite):
    options: ClassVar[dict[str, str]] = {"layout": "nhwc"}


class TestTorchCompile(RuntimeSuite):
    reads_onnx: ClassVar[bool] = False
    workloads: ClassVar[tuple[str, ...]] = ("join", "network")

    def make_runtime(self) -> Runtime:
        return TorchCompile()

    def reference(self, workload: Workload) -> ModelProto:
        return TorchSuite.reference(TestTorch(), workload)
