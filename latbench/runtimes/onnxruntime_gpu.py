"""ONNX Runtime on NVIDIA GPUs, by its CUDA and its TensorRT execution provider."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

from onnx import TensorProto, helper

from latbench.devices import Fingerprint, require
from latbench.errors import UnavailableError
from latbench.runtimes.onnxruntime import OnnxRuntime
from latbench.runtimes.onnxruntime_gpu_session import EngineSession, GpuSession, Provider
from latbench.runtimes.packages import version_of
from latbench.runtimes.runtime import Session, reason_of
from latbench.spaces.workload import Workload
from latbench.target import Target

_CUDA: Provider = ("CUDAExecutionProvider", {"use_tf32": "0"})  # with TF32 it would be no fp32


class OnnxRuntimeCuda(OnnxRuntime):
    """ONNX Runtime's CUDA execution provider; a model that it takes in part only is refused."""

    distribution: ClassVar[str] = "onnxruntime-gpu"
    name: ClassVar[str] = "onnxruntime-cuda"
    device_kinds: ClassVar[tuple[str, ...]] = ("gpu", "soc")
    options: ClassVar[Mapping[str, str]] = {
        name: told for name, told in OnnxRuntime.options.items() if name != "provider"
    }
    provider: ClassVar[str] = "CUDAExecutionProvider"

    def available(self) -> str | None:
        """See :class:`Runtime`."""
        missing = super().available()
        if missing is not None:
            return missing
        import onnxruntime

        if self.provider not in onnxruntime.get_available_providers():
            return (
                f"the onnxruntime installed here has no {self.provider}; run: pip uninstall -y "
                "onnxruntime && pip install onnxruntime-gpu"
            )
        return None

    def providers(self, target: Target) -> list[Provider]:
        """Return the execution providers for ``target``, the preferred one first."""
        return [_CUDA]

    def _compile(self, workload: Workload, target: Target) -> Session:
        started(self.provider, target.device)
        return GpuSession(workload, target, self.providers(target))


class OnnxRuntimeTensorRt(OnnxRuntimeCuda):
    """ONNX Runtime's TensorRT execution provider; what TensorRT does not take runs on CUDA.

    In fp16, TensorRT may keep single layers in fp32, and the provider does not tell which.
    """

    name: ClassVar[str] = "onnxruntime-tensorrt"
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "fp16")
    provider: ClassVar[str] = "TensorrtExecutionProvider"

    def providers(self, target: Target) -> list[Provider]:
        """See :class:`OnnxRuntimeCuda`."""
        fp16 = target.precision == "fp16"
        if not fp16:
            # The provider has no option for it, and TensorRT takes TF32 for fp32 by itself.
            os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
        return [(self.provider, {"trt_fp16_enable": str(fp16)}), _CUDA]

    def _compile(self, workload: Workload, target: Target) -> Session:
        providers = self.providers(target)  # it sets what CUDA reads when it starts
        here = started(self.provider, target.device)
        return EngineSession(workload, target, providers, here)


@lru_cache(maxsize=4)
def started(provider: str, device: str) -> Fingerprint:
    """Let ``provider`` start, for a model of one node, and return what ``device`` is here.

    What fails already now is no workload's fault.

    Raises:
        UnavailableError: it does not start, or ONNX Runtime goes on without it.
    """
    import onnxruntime

    here = require(device)
    try:
        session = onnxruntime.InferenceSession(_one_node(), providers=[provider], enable_fallback=0)
        # ONNX Runtime goes on without a provider whose libraries do not load.
        why = None if provider in session.get_providers() else "its libraries do not load"
    # ONNX Runtime raises a class of its own for each status, without a common base.
    except Exception as failure:  # noqa: BLE001
        why = reason_of(failure)
    if why is None:
        return here
    driver = "" if here.card is None else f"; the driver here is {here.card.driver}"
    raise UnavailableError(
        f"{provider} does not start here ({why}): onnxruntime {version_of('onnxruntime')} needs "
        "the libraries that it was built for (CUDA and cuDNN, and TensorRT for its provider) where "
        "LD_LIBRARY_PATH leads, and a driver that knows their CUDA: nvidia-smi tells the newest "
        f"that it does{driver}"
    )


def _one_node() -> bytes:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "start", [x], [y])
    opsets = [helper.make_opsetid("", 17)]
    content: bytes = helper.make_model(
        graph, opset_imports=opsets, ir_version=8
    ).SerializeToString()
    return content
