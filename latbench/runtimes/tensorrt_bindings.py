"""TensorRT's Python bindings: imported late, with errors that help, for versions 8.5 to 11."""

from __future__ import annotations

from typing import Any

from latbench.errors import UnavailableError
from latbench.runtimes.runtime import reason_of

OLDEST, NEWEST = (8, 5), 11
"""Oldest release with named tensors and ``execute_async_v3``; newest major version known of."""


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
