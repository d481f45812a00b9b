"""One NVIDIA GPU, used by pycuda in its primary context: buffers, copies, streams and events.

A device has one primary context, which PyTorch, TensorRT and the CUDA runtime share. A context of
its own would break theirs, so none is made here, and ``pycuda.autoinit``, which makes one, is never
imported. A retained context is not current by itself: it is pushed, and every push is popped,
because a stack that is not empty when the interpreter ends aborts it.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from latbench.devices import profile, require
from latbench.errors import MeasurementError, UnavailableError
from latbench.runtimes.inputs import Array
from latbench.runtimes.runtime import reason_of
from latbench.units import format_bytes

_BUILT = (
    "it is compiled when it is installed: put the CUDA toolkit (cuda.h, nvcc) and a C++ compiler "
    "in place, then run: "
)
_ROOM = "take a smaller batch, or end what else uses it (nvidia-smi lists it)"
_SLICE = re.compile(r"\bMIG\b")


def driver() -> Any:
    """Return ``pycuda.driver``, initialised, on a machine with a GPU.

    Raises:
        UnavailableError: pycuda is not installed or was built for another CUDA or NumPy, or there
            is no driver or no GPU; the text says which, and what to do.
    """
    try:
        import pycuda.driver as cuda
    # NumPy refuses a module that was built for another NumPy by the latter two.
    except (ImportError, RuntimeError, SystemError) as failure:
        raise UnavailableError(_not_loaded(failure)) from failure
    try:
        cuda.init()
        count = int(cuda.Device.count())
    except cuda.Error as failure:
        raise UnavailableError(
            f"CUDA does not start ({reason_of(failure)}): nvidia-smi tells whether a GPU is here, "
            "and the newest CUDA that its driver supports"
        ) from failure
    if count == 0:
        raise UnavailableError(
            "CUDA sees no GPU here: nvidia-smi lists those of the machine, and "
            "CUDA_VISIBLE_DEVICES may hide them"
        )
    return cuda


def _not_loaded(failure: Exception) -> str:
    if isinstance(failure, ImportError) and failure.name == "pycuda":
        return f"the package pycuda is not installed; {_BUILT}pip install 'latbench[tensorrt]'"
    if "libcuda.so" in str(failure):
        return (
            f"there is no NVIDIA driver here ({reason_of(failure)}); install it: nvidia-smi should "
            "list a GPU"
        )
    # A SystemError says only that there was another error, which is its cause.
    cause = failure.__cause__
    told = reason_of(cause if isinstance(cause, Exception) else failure)
    return (
        f"the package pycuda does not load ({told}), as where it was built for another CUDA or "
        f"another NumPy; {_BUILT}pip install --force-reinstall --no-cache-dir pycuda"
    )


@lru_cache(maxsize=8)
def gpu_for(device: str) -> Gpu:
    """Return the GPU of this machine that the profile ``device`` describes.

    Of several, it is the first in the order of nvidia-smi, which is that of the PCI bus. A slice
    of a card (MIG) is none, although its name holds that of the card.

    Raises:
        UnavailableError: CUDA does not work here, or shows no whole one of that name.
        UsageError: there is no such profile.
    """
    cuda, sought = driver(), profile(device)
    found = [cuda.Device(number) for number in range(cuda.Device.count())]
    whole = [one for one in found if not _SLICE.search(one.name())]
    matching = [one for one in whole if sought.kind == "soc" or sought.matches(one.name())]
    if not matching:
        names = ", ".join(one.name() for one in found)
        raise UnavailableError(
            f"CUDA shows no {device} here but {names}; CUDA_VISIBLE_DEVICES may hide it, and a "
            "slice of it (MIG) is none"
        )
    first = min(matching, key=lambda one: str(one.pci_bus_id()))
    return Gpu(cuda, first, require(device).instance)


class Gpu:
    """A GPU whose primary context is current in one thread while somebody holds it.

    Attributes:
        name: what the driver calls it.
        instance: id of the card or board, see :class:`latbench.devices.Fingerprint`.
        compute_capability: major and minor CUDA compute capability.
        driver_version: the newest CUDA that the driver supports, as CUDA writes it (12040: 12.4).
        error: the exception that CUDA's errors are children of.
    """

    _holding: ClassVar[Gpu | None] = None

    def __init__(self, cuda: Any, device: Any, instance: str) -> None:
        """Take the pycuda ``device``, without touching it yet."""
        self.name = str(device.name())
        self.instance = instance
        self.compute_capability = tuple(int(part) for part in device.compute_capability())
        self.driver_version = int(cuda.get_driver_version())
        self.error: type[Exception] = cuda.Error
        self._cuda = cuda
        self._device = device
        self._context: Any = None
        self._holders = 0
        self._thread = 0

    def hold(self) -> None:
        """Make its context current in this thread, until :meth:`release` was called as often.

        Raises:
            UnavailableError: it cannot be used now, another GPU is held, or another thread has it.
        """
        other = Gpu._holding
        if other is not None and other is not self:
            raise UnavailableError(
                f"this process uses a {other.name}, so it cannot use a {self.name} as well; take "
                "one process for each GPU"
            )
        if self._holders and self._thread != threading.get_ident():
            raise UnavailableError(
                f"the {self.name} is in use in another thread; use it in that one, or in another "
                "process"
            )
        if not self._holders:
            try:
                # Retained for good: what libraries keep in it may outlive a session.
                if self._context is None:
                    self._context = self._device.retain_primary_context()
                self._context.push()
            except self.error as failure:
                raise UnavailableError(
                    f"the {self.name} cannot be used now ({reason_of(failure)}); nvidia-smi tells "
                    "what else runs there, and whether one process has it for itself"
                ) from failure
            Gpu._holding, self._thread = self, threading.get_ident()
        self._holders += 1

    def release(self) -> None:
        """End one :meth:`hold`; all that was made in it must have been freed."""
        self._holders -= 1
        if not self._holders:
            self._context.pop()
            Gpu._holding = None

    def failure(self, failure: Exception) -> MeasurementError:
        """Return what ``failure``, an :attr:`error` in its work, is on one line."""
        room = f"; {_ROOM}" if isinstance(failure, self._cuda.MemoryError) else ""
        return MeasurementError(f"the {self.name} cannot run it: {reason_of(failure)}{room}")

    @contextmanager
    def working(self) -> Iterator[None]:
        """Raise what CUDA refuses inside as a MeasurementError.

        It costs about a microsecond, which is not spent where the host's time is taken.
        """
        try:
            yield
        except self.error as failure:
            raise self.failure(failure) from failure

    @contextmanager
    def _room_for(self, what: str) -> Iterator[None]:
        """Raise a MeasurementError where ``what``, several things, do not fit into its memory."""
        try:
            yield
        except self._cuda.MemoryError as failure:
            free, total = self._cuda.mem_get_info()
            raise MeasurementError(
                f"out of memory: {what} do not fit into the {format_bytes(free)} of "
                f"{format_bytes(total)} that are free on the {self.name}; {_ROOM}"
            ) from failure

    def stream(self) -> Any:
        """Return a new stream: ``handle``, ``synchronize()``.

        Raises:
            MeasurementError: it does not fit into the memory of the GPU.
        """
        with self._room_for("the queues of a stream"):
            return self._cuda.Stream()

    def event(self) -> Any:
        """Return a new event: ``record(stream)``, ``query()``, ``time_since(event)`` in ms."""
        return self._cuda.Event()

    def kernel(self, ptx: bytes, name: str, arguments: str) -> Any:
        """Return the kernel ``name`` of a module in PTX: ``prepared_async_call(…)`` launches it.

        Args:
            ptx: ends with a zero byte.
            name: of the kernel.
            arguments: types of its arguments, as in :mod:`struct`.
        """
        return self._cuda.module_from_buffer(ptx).get_function(name).prepare(arguments)

    def clear(self, buffer: Any, size: int, stream: Any) -> None:
        """Write zeros over ``size`` bytes of ``buffer``, a multiple of 4, as work of ``stream``."""
        self._cuda.memset_d32_async(buffer, 0, size // 4, stream)

    def allocate(self, size: int) -> Any:
        """Return ``size`` bytes of its memory: ``int()`` gives the address, ``free()`` ends them.

        Raises:
            MeasurementError: they do not fit.
        """
        with self._room_for(format_bytes(size)):
            # CUDA has no allocation of nothing, and a tensor may be empty.
            return self._cuda.mem_alloc(max(1, size))

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return an array of the host that copies to and from the GPU need no detour for.

        Raises:
            MeasurementError: the host has no such memory.
        """
        try:
            array: Array = self._cuda.pagelocked_empty(shape, dtype)
        except self._cuda.MemoryError as failure:
            size = format_bytes(math.prod(shape) * dtype.itemsize)
            raise MeasurementError(
                f"out of memory: the host has no {size} that stay in place for copies to the "
                f"{self.name}; take a smaller batch, or end what else uses the host's memory"
            ) from failure
        return array

    def upload(self, buffer: Any, values: Array, stream: Any = None) -> None:
        """Copy contiguous ``values`` into ``buffer``, now or as the next work of ``stream``."""
        if stream is None:
            self._cuda.memcpy_htod(buffer, values)
        else:
            self._cuda.memcpy_htod_async(buffer, values, stream)

    def download(self, values: Array, buffer: Any, stream: Any = None) -> None:
        """Copy ``buffer`` into contiguous ``values``, now or as the next work of ``stream``."""
        if stream is None:
            self._cuda.memcpy_dtoh(values, buffer)
        else:
            self._cuda.memcpy_dtoh_async(values, buffer, stream)
