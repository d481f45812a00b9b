"""CUDA graphs: work of a stream, captured once and launched again by a single call.

pycuda has no calls for them, so these are the CUDA driver's own. They act in the context that is
current in the thread, as pycuda's do.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from latbench.errors import LatbenchError, MeasurementError, UnavailableError

_HANDLE = ctypes.c_void_p
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "cuStreamBeginCapture_v2": (_HANDLE, ctypes.c_int),
    "cuStreamEndCapture": (_HANDLE, ctypes.POINTER(_HANDLE)),
    "cuGraphInstantiateWithFlags": (ctypes.POINTER(_HANDLE), _HANDLE, ctypes.c_ulonglong),
    "cuGraphLaunch": (_HANDLE, _HANDLE),
    "cuGraphExecDestroy": (_HANDLE,),
    "cuGraphDestroy": (_HANDLE,),
    "cuGetErrorName": (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
}
"""Names in libcuda.so.1, all since CUDA 11.4, with the types of their arguments."""
_THREAD_LOCAL = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads do is no part of the capture."""


@lru_cache(maxsize=1)
def _library() -> Any:
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError as failure:
        raise UnavailableError(f"there is no NVIDIA driver here ({failure})") from failure


@lru_cache(maxsize=len(_FUNCTIONS))
def _function(name: str) -> Callable[..., int]:
    function: Any = getattr(_library(), name, None)
    if function is None:
        raise UnavailableError(
            f"the driver here has no {name}; launch=graph needs one of CUDA 11.4 or newer"
        )
    function.argtypes, function.restype = _FUNCTIONS[name], ctypes.c_int
    return function  # type: ignore[no-any-return]


def _call(name: str, *arguments: Any) -> None:
    status = _function(name)(*arguments)
    if status:
        text = ctypes.c_char_p()
        _function("cuGetErrorName")(status, ctypes.byref(text))
        said = (text.value or str(status).encode()).decode()
        raise MeasurementError(
            f"it does not run as a CUDA graph ({name}: {said}); use launch=stream"
        )


class CudaGraph:
    """What was captured, ready to be launched."""

    def __init__(self, stream: int, work: Callable[[], None]) -> None:
        """Capture what ``work`` puts into ``stream``, without running it.

        Raises:
            MeasurementError: CUDA cannot capture it, or ``work`` raised it.
            UnavailableError: the driver is too old.
        """
        self._exec: Any = None
        graph = self._captured(stream, work)
        executable = _HANDLE()
        try:
            _call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, 0)
        finally:
            _call("cuGraphDestroy", graph)
        self._exec = executable

    @staticmethod
    def _captured(stream: int, work: Callable[[], None]) -> Any:
        graph = _HANDLE()
        _call("cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)
        try:
            work()
        except BaseException:
            # The stream takes no other work before its capture has ended, which now fails.
            _function("cuStreamEndCapture")(stream, ctypes.byref(graph))
            if graph.value:
                _function("cuGraphDestroy")(graph)
            raise
        _call("cuStreamEndCapture", stream, ctypes.byref(graph))
        return graph

    def launch(self, stream: int) -> None:
        """Put the captured work into ``stream``.

        Raises:
            MeasurementError: CUDA refused it.
            LatbenchError: it was freed.
        """
        if self._exec is None:
            raise LatbenchError("this session is closed; compile the workload again")
        _call("cuGraphLaunch", self._exec, stream)

    def free(self) -> None:
        """End it, once or twice, while its context is current."""
        executable, self._exec = self._exec, None
        if executable is not None:
            _call("cuGraphExecDestroy", executable)
