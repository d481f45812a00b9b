"""A machine with GPUs that has none: ``pycuda`` and ``pynvml`` over the memory of the host.

It is stricter than CUDA: what would be undefined, or would fail only sometimes, fails here. It has
no name that pycuda 2026.1 and nvidia-ml-py lack, and only those that latbench may use.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np


class FakeGpu:
    """The state of the machine; tests look at it and change it.

    Attributes:
        name: of its only GPU.
        memory_bytes: of the GPU.
        stack: the contexts that were pushed, the current one last.
        buffers: what is allocated, by address.
        retained: how often the primary context was retained.
        builds: engines that were built.
        faults: what must not happen, and was noticed where no exception can be raised.
        throttle: what NVML gives as throttle reasons; None where the card does not tell.
        watched: how often NVML was started, less how often it was ended.
    """

    def __init__(self, name: str = "Tesla V100-SXM2-16GB", memory_bytes: int = 2**34) -> None:
        self.name = name
        self.memory_bytes = memory_bytes
        self.stack: list[Any] = []
        self.buffers: dict[int, bytearray] = {}
        self.streams: dict[int, list[Callable[[], None]]] = {}
        self.retained = 0
        self.builds = 0
        self.faults: list[str] = []
        self.throttle: int | None = 0
        self.watched = 0
        self.numbers = itertools.count(4096, 4096)

    def require_current(self, error: type[Exception] = AssertionError) -> None:
        """Refuse what is done without a current context."""
        if not self.stack:
            raise error("invalid device context")

    def bytes_at(self, address: int, size: int) -> bytearray:
        """Return the buffer at ``address``, which must be alive and hold ``size`` bytes."""
        if address not in self.buffers:
            raise AssertionError(f"{address:#x} is no buffer, or one that was freed")
        if len(self.buffers[address]) < size:
            raise AssertionError(f"{size} bytes in a buffer of {len(self.buffers[address])}")
        return self.buffers[address]

    def run(self, stream: int) -> None:
        """Do all work of a stream."""
        works, self.streams[stream] = self.streams[stream], []
        for work in works:
            work()

    def used_bytes(self) -> int:
        """Return what is allocated."""
        return sum(map(len, self.buffers.values()))


def make_pycuda(gpu: FakeGpu) -> dict[str, ModuleType]:
    """Return the modules ``pycuda`` and ``pycuda.driver`` of a machine with ``gpu``."""
    cuda = ModuleType("pycuda.driver")
    started: list[bool] = []

    class Error(Exception):
        pass

    class LogicError(Error):
        pass

    class OutOfMemory(Error):
        pass

    OutOfMemory.__name__ = "MemoryError"

    def init(flags: int = 0) -> None:
        assert flags == 0
        started.append(True)

    class Context:
        def push(self) -> None:
            gpu.stack.append(self)

        @staticmethod
        def pop() -> None:
            gpu.require_current(LogicError)
            gpu.stack.pop()

    context = Context()

    class Device:
        def __init__(self, number: int) -> None:
            assert started, "init() comes first"
            assert number == 0

        @staticmethod
        def count() -> int:
            assert started, "init() comes first"
            return 1

        def name(self) -> str:
            return gpu.name

        def pci_bus_id(self) -> str:
            return "0000:00:1E.0"

        def compute_capability(self) -> tuple[int, int]:
            return (7, 0)

        def retain_primary_context(self) -> Context:
            gpu.retained += 1
            return context

        def make_context(self, flags: int = 0) -> Context:
            raise AssertionError("a context of its own breaks PyTorch's")

    class DeviceAllocation:
        def __init__(self, address: int) -> None:
            self._address = address

        def __int__(self) -> int:
            return self._address

        def free(self) -> None:
            gpu.require_current(LogicError)
            if self._address not in gpu.buffers:
                raise LogicError("freed twice")
            del gpu.buffers[self._address]

    def mem_alloc(size: int) -> DeviceAllocation:
        gpu.require_current(LogicError)
        assert type(size) is int
        if size < 1:
            raise LogicError("cuMemAlloc failed: invalid argument")
        if gpu.used_bytes() + size > gpu.memory_bytes:
            raise OutOfMemory("cuMemAlloc failed: out of memory")
        address = next(gpu.numbers)
        gpu.buffers[address] = bytearray(size)
        return DeviceAllocation(address)

    def mem_get_info() -> tuple[int, int]:
        gpu.require_current(LogicError)
        return gpu.memory_bytes - gpu.used_bytes(), gpu.memory_bytes

    pinned: list[Any] = []

    def pagelocked_empty(shape: Any, dtype: Any, order: str = "C", mem_flags: int = 0) -> Any:
        gpu.require_current(LogicError)
        array = np.empty(shape, dtype)
        pinned.append(array)
        return array

    def copy(target: Any, source: Any) -> None:
        """Copy between a buffer and an array; the array says how much."""
        to_gpu = isinstance(target, DeviceAllocation)
        array = source if to_gpu else target
        if not array.flags.c_contiguous:
            raise ValueError("ndarray is not contiguous")
        memory = gpu.bytes_at(int(target if to_gpu else source), array.nbytes)
        if to_gpu:
            memory[: array.nbytes] = array.tobytes()
        else:
            array[...] = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)

    def copy_now(target: Any, source: Any) -> None:
        gpu.require_current(LogicError)
        assert not any(gpu.streams.values()), "a copy overtakes what a stream still has to do"
        copy(target, source)

    def copy_later(target: Any, source: Any, stream: Any = None) -> None:
        gpu.require_current(LogicError)
        array = source if isinstance(target, DeviceAllocation) else target
        assert any(array is one for one in pinned), "the host's memory is not page-locked"
        gpu.streams[stream.handle].append(lambda: copy(target, source))

    class Stream:
        def __init__(self, flags: int = 0) -> None:
            gpu.require_current(LogicError)
            self.handle = next(gpu.numbers)
            gpu.streams[self.handle] = []

        def synchronize(self) -> None:
            gpu.require_current(LogicError)
            gpu.run(self.handle)

        def __del__(self) -> None:
            if not gpu.stack:
                gpu.faults.append("a stream ended outside of its context")

    class Event:
        def __init__(self, flags: int = 0) -> None:
            gpu.require_current(LogicError)
            self._at_s: float | None = None

        def record(self, stream: Stream | None = None) -> Event:
            gpu.require_current(LogicError)
            assert stream is not None, "the default stream waits for all others"
            self._at_s = None
            gpu.streams[stream.handle].append(self._happen)
            return self

        def _happen(self) -> None:
            self._at_s = time.perf_counter()

        def time_since(self, other: Event) -> float:
            gpu.require_current(LogicError)
            if self._at_s is None or other._at_s is None:
                raise LogicError("cuEventElapsedTime failed: device not ready")
            return (self._at_s - other._at_s) * 1e3

    for value in (Error, LogicError, Context, Device, DeviceAllocation, Stream, Event, init):
        setattr(cuda, value.__name__, value)
    names: dict[str, Any] = {
        "MemoryError": OutOfMemory,
        "mem_alloc": mem_alloc,
        "mem_get_info": mem_get_info,
        "pagelocked_empty": pagelocked_empty,
        "memcpy_htod": copy_now,
        "memcpy_dtoh": copy_now,
        "memcpy_htod_async": copy_later,
        "memcpy_dtoh_async": copy_later,
        "get_driver_version": lambda: 12040,
    }
    for name, function in names.items():
        setattr(cuda, name, function)
    package = ModuleType("pycuda")
    package.driver = cuda  # type: ignore[attr-defined]
    return {"pycuda": package, "pycuda.driver": cuda}


def make_pynvml(gpu: FakeGpu) -> dict[str, ModuleType]:
    """Return the module ``pynvml`` of a machine with ``gpu``."""
    nvml = ModuleType("pynvml")
    handle = object()

    class NVMLError(Exception):
        pass

    class NVMLError_NotSupported(NVMLError):
        pass

    class NVMLError_NoPermission(NVMLError):
        pass

    class NVMLError_FunctionNotFound(NVMLError):
        pass

    def count(by: int) -> None:
        gpu.watched += by

    def telling(value: Callable[[], int | None]) -> Callable[..., int]:
        def read(card: object, *what: int) -> int:
            assert gpu.watched, "nvmlInit comes first"
            assert card is handle
            told = value()
            if told is None:
                raise NVMLError_NotSupported("Not Supported")
            return told

        return read

    names = {
        "NVMLError": NVMLError,
        "NVMLError_NotSupported": NVMLError_NotSupported,
        "NVMLError_NoPermission": NVMLError_NoPermission,
        "NVMLError_FunctionNotFound": NVMLError_FunctionNotFound,
        "NVML_CLOCK_SM": 1,
        "NVML_TEMPERATURE_GPU": 0,
        "nvmlInit": lambda: count(1),
        "nvmlShutdown": lambda: count(-1),
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda number: handle,
        "nvmlDeviceGetName": lambda card: gpu.name,
        "nvmlDeviceGetClockInfo": telling(lambda: 1380),
        "nvmlDeviceGetTemperature": telling(lambda: 41),
        "nvmlDeviceGetEnforcedPowerLimit": telling(lambda: 300_000),
        "nvmlDeviceGetCurrentClocksThrottleReasons": telling(lambda: gpu.throttle),
    }
    for name, value in names.items():
        setattr(nvml, name, value)
    return {"pynvml": nvml}
