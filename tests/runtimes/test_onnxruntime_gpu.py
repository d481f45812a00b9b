"""ONNX Runtime on GPUs, as far as can be told without one."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnxruntime
import pytest

import latbench
from latbench.errors import MeasurementError
from latbench.runtimes import Runtime, random_inputs
from latbench.runtimes.onnxruntime_gpu import OnnxRuntimeCuda, OnnxRuntimeTensorRt
from latbench.spaces import Workload

RUNTIMES = [OnnxRuntimeCuda, OnnxRuntimeTensorRt]
CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"


@pytest.fixture
def workload() -> Workload:
    """A block."""
    space = latbench.space("digits-mobilenet", image_size=16)
    return space.block_workload(space.blocks[1])


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build of ONNX Runtime that says it has both providers."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA])
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")


@pytest.mark.parametrize(
    ("runtime", "provider"), list(zip(RUNTIMES, [CUDA, TENSORRT], strict=True))
)
def test_a_build_without_the_provider_says_which_has_it(
    monkeypatch: pytest.MonkeyPatch, runtime: type[Runtime], provider: str
) -> None:
    """The provider is named, and the package that brings it."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    reason = str(runtime().available())
    assert f"no {provider}" in reason
    assert "pip install onnxruntime-gpu" in reason
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [provider])
    assert runtime().available() is None


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_they_never_serve_a_processor(runtime: type[Runtime]) -> None:
    """What runs on a GPU must not be stored under the name of a processor."""
    assert set(runtime.device_kinds) == {"gpu", "soc"}


@pytest.mark.usefixtures("gpu")
@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="there is a GPU build")
@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_fall_back_to_the_processor_is_a_failure(
    workload: Workload, runtime: type[Runtime]
) -> None:
    """ONNX Runtime would go on without the provider, and the processor would be timed."""
    made = runtime()
    with pytest.raises(MeasurementError, match=r"ExecutionProvider does not start here"):
        made.compile(workload, made.target("v100"))


@pytest.mark.usefixtures("gpu")
def test_options_of_the_providers() -> None:
    """In fp32 no multiplication is rounded to TF32, by neither provider."""
    cuda, tensorrt = OnnxRuntimeCuda(), OnnxRuntimeTensorRt()
    assert cuda.providers(cuda.target("v100")) == [(CUDA, {"use_tf32": "0"})]
    half, _ = tensorrt.providers(tensorrt.target("v100", "fp16"))
    assert half == (TENSORRT, {"trt_fp16_enable": "True"})
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "1"
    full, second = tensorrt.providers(tensorrt.target("v100"))
    assert full == (TENSORRT, {"trt_fp16_enable": "False"})
    assert second[0] == CUDA
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"


@pytest.mark.usefixtures("gpu")
def test_nothing_is_copied_in_a_run(monkeypatch: pytest.MonkeyPatch, workload: Workload) -> None:
    """Inputs and outputs are bound to the device once, and a run waits until it is done."""
    _Gpu.calls = []
    monkeypatch.setattr(onnxruntime, "InferenceSession", _Gpu)
    monkeypatch.setattr(onnxruntime, "OrtValue", _Value)
    runtime = OnnxRuntimeCuda()
    session = runtime.compile(workload, runtime.target("v100"))
    assert _Gpu.calls == ["in input cuda", "out output cuda"]
    _Gpu.calls = []
    session.run_once()
    assert _Gpu.calls == ["run", "wait"]
    (output,) = session.outputs(random_inputs(workload.inputs))
    assert output.tolist() == [1.0]


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    "said",
    [
        "Non-zero status code while running Conv node.\nbfc_arena.cc: Failed to allocate memory",
        "CUDA failure 2: out of memory ; GPU=0",
    ],
)
@pytest.mark.parametrize("step", ["build", "run"])
def test_too_little_memory_is_one_line(
    monkeypatch: pytest.MonkeyPatch, workload: Workload, said: str, step: str
) -> None:
    """In the build and in a run; what to do is said."""

    def fail(*arguments: Any, **options: Any) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail if step == "build" else _Gpu)
    monkeypatch.setattr(onnxruntime, "OrtValue", _Value)
    monkeypatch.setattr(_Gpu, "run_with_iobinding", fail)
    monkeypatch.setattr(_Gpu, "calls", [], raising=False)
    runtime = OnnxRuntimeCuda()
    with pytest.raises(MeasurementError, match="take a smaller batch, or end what") as refused:
        runtime.compile(workload, runtime.target("v100")).run_once()
    assert str(refused.value).startswith("onnxruntime ")
    assert "\n" not in str(refused.value)


class _Named:
    def __init__(self, name: str) -> None:
        self.name = name


class _Value:
    """Stands for memory of the device."""

    def __init__(self, device: str) -> None:
        self.device = device

    @classmethod
    def ortvalue_from_numpy(cls, values: Any, device: str, number: int) -> _Value:
        return cls(device)


class _Gpu:
    """A session and its binding, which write down what is done with them."""

    calls: list[str]

    def __init__(self, model: bytes, settings: Any, providers: list[tuple[str, dict[str, str]]]):
        self._providers = [name for name, _ in providers]

    def get_providers(self) -> list[str]:
        return self._providers

    def get_inputs(self) -> list[_Named]:
        return [_Named("input")]

    def get_outputs(self) -> list[_Named]:
        return [_Named("output")]

    def io_binding(self) -> _Gpu:
        return self

    def bind_ortvalue_input(self, name: str, value: _Value) -> None:
        self.calls.append(f"in {name} {value.device}")

    def bind_output(self, name: str, device: str, number: int) -> None:
        self.calls.append(f"out {name} {device}")

    def run_with_iobinding(self, binding: _Gpu) -> None:
        self.calls.append("run")

    def synchronize_outputs(self) -> None:
        self.calls.append("wait")

    def copy_outputs_to_cpu(self) -> list[Any]:
        return [np.ones(1, np.float32)]
