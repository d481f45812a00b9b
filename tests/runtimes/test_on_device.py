"""The contract on a card, where there is one: ``LATBENCH_TEST_DEVICE=h200 pytest`` this file.

Runs on fakes are elsewhere; here nothing is. ``python -m benchmarks.gpu_check`` runs these suites
too, each in a process of its own, because a failure of CUDA may spoil all that follows it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import ClassVar

import pytest

import latbench
from latbench import devices
from latbench.errors import UnavailableError, UsageError
from latbench.runtimes import Runtime, random_inputs
from latbench.runtimes.onnxruntime_gpu import OnnxRuntimeCuda, OnnxRuntimeTensorRt
from latbench.runtimes.tensorrt import TensorRt
from latbench.runtimes.torch import TorchRuntime
from latbench.runtimes.torch_compile import TorchCompile
from latbench.target import Target
from latbench.testing.runtimes import RuntimeSuite
from latbench.workflows.availability import obstacle
from tests.runtimes.torch_suite import TorchSuite

DEVICE = os.environ.get("LATBENCH_TEST_DEVICE", "")
if not DEVICE:
    pytest.skip("LATBENCH_TEST_DEVICE names no device, such as h200", allow_module_level=True)


class OnDevice(RuntimeSuite):
    """A suite whose targets are of the device, in the precision and with the options of a class."""

    device = DEVICE
    exact = False
    precision: ClassVar[str] = "fp32"
    options: ClassVar[dict[str, str]] = {}

    def make_target(self, runtime: Runtime, batch: int = 1) -> Target:
        return runtime.target(self.device, self.precision, batch, options=self.options)

    @pytest.fixture
    def runtime(self) -> Runtime:
        """The runtime, if the device is here and it can serve it in this way."""
        runtime = self.make_runtime()
        try:
            devices.require(self.device)
            reason = obstacle(runtime.name, devices.profile(self.device))
            if reason is None:
                self.make_target(runtime)
        except (UnavailableError, UsageError) as refused:
            reason = str(refused)
        if reason is not None:
            pytest.skip(f"{runtime.name}: {reason}")
        return runtime


class TestTorch(OnDevice, TorchSuite):
    pass


class TestTorchInHalfPrecision(TestTorch):
    precision = "amp"
    tolerance = 0.05


class TestTorchInBf16(TestTorch):
    precision = "amp"
    tolerance = 0.2  # eight bits, and depth adds up their errors
    options: ClassVar[dict[str, str]] = {"autocast": "bf16"}


class TestTorchAsAGraph(TestTorch):
    options: ClassVar[dict[str, str]] = {
        "launch": "graph",
        "clock": "gpu",
        "l2": "cold",
        "layout": "nhwc",
    }


class TestTensorRt(OnDevice):
    def make_runtime(self) -> Runtime:
        return TensorRt()


class TestTensorRtInHalfPrecision(TestTensorRt):
    precision = "fp16"
    tolerance = 0.05


class TestTensorRtAsAGraph(TestTensorRt):
    options: ClassVar[dict[str, str]] = {"launch": "graph", "clock": "gpu", "l2": "cold"}


class TestTensorRtWithTransfers(TestTensorRt):
    options: ClassVar[dict[str, str]] = {"transfers": "both"}


class TestOnnxRuntimeCuda(OnDevice):
    def make_runtime(self) -> Runtime:
        return OnnxRuntimeCuda()


class TestOnnxRuntimeTensorRt(OnDevice):
    def make_runtime(self) -> Runtime:
        return OnnxRuntimeTensorRt()


class TestOnnxRuntimeTensorRtInHalfPrecision(TestOnnxRuntimeTensorRt):
    precision = "fp16"
    tolerance = 0.05


class TestTorchCompile(TestTorch):
    workloads = ("join", "network")

    def make_runtime(self) -> Runtime:
        return TorchCompile()


class TestTorchCompileInHalfPrecision(TestTorchCompile):
    precision = "amp"
    tolerance = 0.05


class TestTorchCompileAsAGraph(TestTorchCompile):
    options: ClassVar[dict[str, str]] = {"launch": "graph"}


class TestTorchBesideTensorRt(TestTensorRt):
    """TensorRT in a process in which PyTorch has the card as well: both use its one context."""

    @pytest.fixture(autouse=True)
    def beside(self, runtime: Runtime) -> Iterator[None]:
        """A session of PyTorch that computes the same before and after."""
        torch = TorchRuntime()
        reason = obstacle(torch.name, devices.profile(self.device))
        if reason is not None:
            pytest.skip(f"{torch.name}: {reason}")
        space = latbench.space("digits-mobilenet", image_size=16)
        workload = space.network_workload([1] * 8)
        session = torch.compile(workload, torch.target(self.device))
        inputs = random_inputs(workload.inputs)
        (before,) = session.outputs(inputs)
        yield
        session.run_once()
        self._assert_close(session.outputs(inputs)[0], before)

    def test_runs_of_both_take_turns(self, runtime: Runtime, target: Target) -> None:
        """Neither loses the context, its stream or its memory to the other."""
        torch = TorchRuntime()
        space = latbench.space("digits-mobilenet", image_size=16)
        workload = space.network_workload([1] * 8)
        inputs = random_inputs(workload.inputs)
        sessions = [
            torch.compile(workload, torch.target(self.device)),
            runtime.compile(workload, target),
        ]
        before = [session.outputs(inputs)[0] for session in sessions]
        for _ in range(3):
            for session in sessions:
                session.run_once()
        for session, expected in zip(sessions, before, strict=True):
            assert session.run_times(runs=3) is not None
            self._assert_close(session.outputs(inputs)[0], expected)
        sessions[1].close()
        sessions[0].run_once()
        self._assert_close(sessions[0].outputs(inputs)[0], before[0])
