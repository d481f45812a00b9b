"""What TensorRT says when it gives nothing: it tells a logger why, in lines of different weight."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from latbench.errors import MeasurementError, UnavailableError
from latbench.runtimes.naming import as_shown
from latbench.runtimes.runtime import reason_of

_ROOM = "take a smaller batch, or end what else uses the GPU (nvidia-smi lists it)"
_NO_NAMES: Mapping[str, str] = MappingProxyType({})
_NO_CUDA = "CUDA initialization failure"
_SHORT = re.compile(rf"out ?of ?memory|{_NO_CUDA} with error:? 2\b", re.IGNORECASE)
_TOO_NEW = re.compile(rf"{_NO_CUDA} with error:? (35|803|804)\b")
"""Statuses of the CUDA runtime: the driver is older than it, or is none that it can use."""


@lru_cache(maxsize=8)
def messages(trt: Any) -> Any:
    """Return the logger of this process, with the plug-ins of TensorRT registered.

    TensorRT keeps the first logger that it is given and warns of every other one. ``take(shown)``
    returns on one line the decisive error since it was last called, or nothing; the names of nodes
    in it are those of ``shown``.
    """

    class Messages(trt.ILogger):  # type: ignore[misc]  # the bindings have no types
        def __init__(self) -> None:
            # Without it pybind11 would see no base object.
            trt.ILogger.__init__(self)
            self._errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            # 8.5 to 9 only warn that CUDA does not start.
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR) or _NO_CUDA in msg:
                self._errors.append(" ".join(msg.split()))

        def take(self, shown: Mapping[str, str] = _NO_NAMES) -> str:
            errors, self._errors = self._errors, []
            return _decisive(errors, shown)

    logger = Messages()
    trt.init_libnvinfer_plugins(logger, "")
    return logger


def _decisive(errors: Sequence[str], shown: Mapping[str, str]) -> str:
    """Return the error that says most, with what to do where memory was short; or nothing.

    A builder tells of every tactic that it goes on without, and ends in errors that follow from
    the one before: so the first that names a node counts, else the first.
    """
    if not errors:
        return ""
    final = [said for said in errors if "Skipping tactic" not in said] or errors
    named = (said for said in final if as_shown(said, shown) != said)
    told = as_shown(next(named, final[0]), shown)
    return f"{told}; {_ROOM}" if any(map(_SHORT.search, errors)) else told


def reason(trt: Any, shown: Mapping[str, str] = _NO_NAMES) -> str:
    """Return why TensorRT just gave nothing, with what to do where memory was short.

    Args:
        trt: the module ``tensorrt``.
        shown: the name that people know of each node that may be named.
    """
    return messages(trt).take(shown) or "it gives no reason"


def started(trt: Any, factory: Callable[[Any], Any]) -> Any:
    """Return what ``factory`` (``trt.Builder`` or ``trt.Runtime``) makes.

    Raises:
        UnavailableError: TensorRT cannot use the driver here.
        MeasurementError: it cannot start now: memory is short, or the GPU has failed.
    """
    logger = messages(trt)
    logger.take()
    try:
        return factory(logger)
    # The bindings' way to say that the library gave nothing.
    except TypeError as failure:
        said = logger.take()
        if said and not _TOO_NEW.search(said):
            raise MeasurementError(
                f"TensorRT {trt.__version__} does not start: {said}"
            ) from failure
        raise UnavailableError(
            f"TensorRT {trt.__version__} does not start ({said or reason_of(failure)}): its CUDA "
            "must not be newer than the one that nvidia-smi tells, so update the driver or take "
            "an older tensorrt"
        ) from failure
