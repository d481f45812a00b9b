"""ONNX Runtime on NVIDIA GPUs, by its CUDA and its TensorRT execution provider."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from latbench.errors import MeasurementError
from latbench.runtimes.inputs import Array, random_inputs
from latbench.runtimes.onnxruntime import OnnxRuntime, session_options
from latbench.runtimes.runtime import Session, reason_of
from latbench.spaces.weights import with_weights
from latbench.spaces.workload import Workload
from latbench.target import Target

Provider = tuple[str, Mapping[str, str]]
"""Name of an execution provider with its options."""

_CUDA: Provider = ("CUDAExecutionProvider", {"use_tf32": "0"})  # with TF32 it would be no fp32


class OnnxRuntimeCuda(OnnxRuntime):
    """ONNX Runtime's CUDA execution provider."""

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


class GpuSession(Session):
    """A compiled graph whose inputs and outputs stay on the device."""

    def __init__(self, workload: Workload, target: Target, providers: list[Provider]) -> None:
        """Compile ``workload`` for the first of ``providers``."""
        import onnxruntime

        self.precision_run = target.precision
        wanted = providers[0][0]
        try:
            self._session = onnxruntime.InferenceSession(
                with_weights(workload.model).SerializeToString(),
                session_options(target),
                providers=[(name, dict(options)) for name, options in providers],
            )
            # ONNX Runtime goes on without a provider whose libraries do not load.
            if wanted not in self._session.get_providers():
                raise MeasurementError(
                    f"{wanted} does not start here; are the CUDA and cuDNN of this onnxruntime "
                    "installed?"
                )
            self._output_names = [output.name for output in self._session.get_outputs()]
            self._binding = self._bound(random_inputs(workload.inputs))
        except MeasurementError:
            raise
        # ONNX Runtime raises a class of its own for each status, without a common base.
        except Exception as failure:
            raise _failed("refused", failure) from failure

    def _bound(self, inputs: Mapping[str, Array]) -> Any:
        import onnxruntime

        binding = self._session.io_binding()
        known = {value.name for value in self._session.get_inputs()}
        for name in known.intersection(inputs):
            values = onnxruntime.OrtValue.ortvalue_from_numpy(inputs[name], "cuda", 0)
            binding.bind_ortvalue_input(name, values)
        for name in self._output_names:
            binding.bind_output(name, "cuda", 0)
        return binding

    def run_once(self) -> None:
        """See :class:`Session`."""
        try:
            self._session.run_with_iobinding(self._binding)
            self._binding.synchronize_outputs()
        except Exception as failure:
            raise _failed("cannot run", failure) from failure

    def _outputs(self, inputs: Mapping[str, Array]) -> list[Array]:
        try:
            binding = self._bound(inputs)
            self._session.run_with_iobinding(binding)
            return list(binding.copy_outputs_to_cpu())
        except Exception as failure:
            raise _failed("cannot run", failure) from failure


def _failed(what: str, failure: Exception) -> MeasurementError:
    """Return what ONNX Runtime says on one line, with what to do about memory."""
    said = str(failure).lower()
    short = "out of memory" in said or "failed to allocate memory" in said
    room = "; take a smaller batch, or end what else uses the GPU (nvidia-smi lists it)"
    return MeasurementError(f"onnxruntime {what} it: {reason_of(failure)}{room if short else ''}")
