"""TensorRT 8.5 to 11 on NVIDIA GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from latbench.devices import profile
from latbench.errors import UnavailableError
from latbench.runtimes.cuda import driver
from latbench.runtimes.gpu_options import GPU_OPTIONS, mode_of, refuse_unknown
from latbench.runtimes.runtime import Runtime, Session
from latbench.runtimes.tensorrt_bindings import bindings, is_newer, release
from latbench.spaces.workload import Workload
from latbench.target import Target

_KNOWN = {"optimisation": ("0", "1", "2", "3", "4", "5"), "transfers": ("none", "both")}
_LEVELS_SINCE = (8, 6)


class TensorRt(Runtime):
    """TensorRT's engines, built from ONNX, on one stream of the GPU's primary context.

    ``fp32`` is built with TF32 off. ``fp16`` lets TensorRT 8.5 to 10 keep single layers in fp32;
    the precision that runs is read back. TensorRT 11 takes every type from the model, which is
    turned into fp16 before.
    """

    name: ClassVar[str] = "tensorrt"
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "fp16")
    device_kinds: ClassVar[tuple[str, ...]] = ("gpu", "soc")
    options: ClassVar[Mapping[str, str]] = {
        "optimisation": "level of the builder from 0 to 5 (default: TensorRT's own, 3): a higher "
        "one builds for longer and may run faster; from TensorRT 8.6",
        "transfers": "what a run copies: none (default), or both: inputs to the GPU, outputs back",
        **GPU_OPTIONS,
    }

    def available(self) -> str | None:
        """See :class:`Runtime`."""
        try:
            bindings()
            driver()
        except UnavailableError as missing:
            return str(missing)
        return None

    def available_on(self, device: str) -> str | None:
        """See :class:`Runtime`."""
        return self.available() or _unsupported(device)

    def version(self) -> str:
        """See :class:`Runtime`."""
        return str(bindings().__version__)

    def mode(self, options: Mapping[str, str]) -> str:
        """See :class:`Runtime`."""
        return mode_of(options)

    def check(self, target: Target) -> None:
        """See :class:`Runtime`.

        Raises:
            UnavailableError: this TensorRT does not support the device, or has no such levels.
        """
        super().check(target)
        refuse_unknown(target.options, _KNOWN)
        refuse_unknown(target.options)
        options = dict(target.options)
        trt = bindings()
        if "optimisation" in options and release(trt) < _LEVELS_SINCE:
            raise UnavailableError(
                f"TensorRT {trt.__version__} has no levels of optimisation; leave optimisation "
                "out, or install TensorRT 8.6 or newer"
            )
        reason = _unsupported(target.device)
        if reason is not None:
            raise UnavailableError(reason)

    def _compile(self, workload: Workload, target: Target) -> Session:
        # Loaded here, because `latbench devices` asks for reasons and needs no session.
        from latbench.runtimes.tensorrt_session import TensorRtSession

        return TensorRtSession(workload, target)


def _unsupported(device: str) -> str | None:
    """Return that the TensorRT here is newer than those that support ``device``, or None."""
    trt, sought = bindings(), profile(device)
    newest = sought.newest_tensorrt
    if newest is None or newest.value is None or not is_newer(trt, newest.value):
        return None
    way = (
        "take the JetPack that brings it"
        if sought.kind == "soc"
        else f"run: pip install 'tensorrt=={newest.value}.*'"
    )
    return (
        f"TensorRT {trt.__version__} does not support the {device}, and {newest.value} is the "
        f"newest that does; {way}"
    )
