"""TensorRT's Python bindings: imported late, with errors that help, for versions 8.5 to 11."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from latbench.errors import UnavailableError
from latbench.runtimes.runtime import reason_of

OLDEST, NEWEST = (8, 5), 11
"""Oldest release with named tensors and ``execute_async_v3``; newest major version known of."""
_ROOM = "take a smaller batch, or end what else uses the GPU (nvidia-smi lists it)"


def bindings() -> Any:
    """Return the module ``tensorrt``.

    Raises:
        UnavailableError: it is not installed, does not load, or is of a version that latbench
            does not drive.
    """
    try:
        import tensorrt
    except (ImportError, OSError, RuntimeError) as failure:
        raise UnavailableError(_not_loaded(failure)) from failure
    if not hasattr(tensorrt, "Builder"):
        raise UnavailableError(
            "the package tensorrt that is installed here has no Builder: its bindings are missing; "
            "run: pip install --force-reinstall tensorrt"
        )
    if not OLDEST <= release(tensorrt) < (NEWEST + 1, 0):
        raise UnavailableError(
            f"TensorRT {tensorrt.__version__} is installed, and latbench drives 8.5 to {NEWEST}; "
            f"run: pip install 'tensorrt>=8.5.3,<{NEWEST + 1}'"
        )
    return tensorrt


def _not_loaded(failure: Exception) -> str:
    if isinstance(failure, ImportError) and failure.name == "tensorrt":
        return "the package tensorrt is not installed; run: pip install 'latbench[tensorrt]'"
    return (
        f"the package tensorrt does not load ({reason_of(failure)}): its bindings and its "
        "libraries (libnvinfer, libnvinfer_plugin, libnvonnxparser) are separate packages of one "
        "version; run: pip install --force-reinstall tensorrt"
    )


def release(trt: Any) -> tuple[int, int]:
    """Return the major and minor version of the module ``trt``."""
    major, minor = str(trt.__version__).split(".")[:2]
    return int(major), int(minor)


def is_newer(trt: Any, newest: str) -> bool:
    """Return whether ``trt`` is newer than the release ``newest``, a prefix such as ``10.4``."""
    parts = tuple(int(part) for part in newest.split("."))
    return release(trt)[: len(parts)] > parts


@lru_cache(maxsize=8)
def messages(trt: Any) -> Any:
    """Return the logger of this process, with the plug-ins of TensorRT registered.

    TensorRT keeps the first logger that it is given and warns of every other one. ``take()``
    returns on one line the first error since it was last called, or nothing.
    """

    class Messages(trt.ILogger):  # type: ignore[misc]  # the bindings have no types
        def __init__(self) -> None:
            # Without it pybind11 would see no base object.
            trt.ILogger.__init__(self)
            self._errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self._errors.append(msg)

        def take(self) -> str:
            errors, self._errors = self._errors, []
            return " ".join(errors[0].split()) if errors else ""

    logger = Messages()
    trt.init_libnvinfer_plugins(logger, "")
    return logger


def reason(trt: Any) -> str:
    """Return why TensorRT just gave nothing: its first error, with what to do about memory."""
    said = messages(trt).take() or "it gives no reason"
    short = "out of memory" in said.lower() or "outofmemory" in said.lower()
    return f"{said}; {_ROOM}" if short else said


def started(trt: Any, factory: Callable[[Any], Any]) -> Any:
    """Return what ``factory`` (``trt.Builder`` or ``trt.Runtime``) makes.

    Raises:
        UnavailableError: TensorRT cannot use CUDA here.
    """
    logger = messages(trt)
    logger.take()
    try:
        return factory(logger)
    # The bindings' way to say that the library gave nothing.
    except TypeError as failure:
        raise UnavailableError(
            f"TensorRT {trt.__version__} does not start "
            f"({logger.take() or reason_of(failure)}): its CUDA must not be newer than the one "
            "that nvidia-smi tells, so update the driver or take an older tensorrt"
        ) from failure
