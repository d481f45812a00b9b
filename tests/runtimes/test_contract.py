"""Every registered runtime keeps the contract."""

from __future__ import annotations

from typing import ClassVar

import pytest
from onnx import ModelProto

import latbench
from latbench.errors import UnavailableError
from latbench.runtimes import Runtime
from latbench.runtimes.onnxruntime import OnnxRuntime
from latbench.runtimes.onnxruntime_gpu import OnnxRuntimeCuda, OnnxRuntimeTensorRt
from latbench.runtimes.openvino import OpenVino
from latbench.runtimes.torch_compile import TorchCompile
from latbench.spaces import Workload
from latbench.target import Target
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
    precision: ClassVar[str] = "fp32"

    @pytest.fixture(autouse=True)
    def able(self) -> None:
        """Skip what the processor does not compute in."""
        if OpenVino().available() is None:
            try:
                OpenVino().target(self.device, self.precision)
            except UnavailableError as lacking:
                pytest.skip(str(lacking))

    def make_runtime(self) -> Runtime:
        return OpenVino()

    def make_target(self, runtime: Runtime, batch: int = 1) -> Target:
        return runtime.target(self.device, self.precision, batch)

    def test_it_computes_in_what_was_asked_for(self, runtime: Runtime, target: Target) -> None:
        """The precision is read back from the compiled network."""
        space = latbench.space("digits-mobilenet", image_size=16)
        session = runtime.compile(space.network_workload([1] * 8), target)
        assert session.precision_run == self.precision


class TestOpenVinoBf16(TestOpenVino):
    precision: ClassVar[str] = "bf16"
    tolerance: ClassVar[float] = 0.05  # eight bits, and depth adds up their errors


class TestOpenVinoFp16(TestOpenVino):
    precision: ClassVar[str] = "fp16"
    tolerance: ClassVar[float] = 0.01  # eleven bits


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
