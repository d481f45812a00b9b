"""A machine with GPUs that has none: ``pycuda`` and ``pynvml`` over the memory of the host.

It is stricter than CUDA: what would be undefined, or would fail only sometimes, fails here. It has
no name that pycuda 2026.1 and nvidia-ml-py lack, and only those that latbench may use.
"""

from __future__ import annotations

import ctypes
import itertools
import re
import struct
import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


class FakeGpu:
    """The state of the machine; tests look at it and change it.

    Attributes:
        name: of its GPU.
        uuid: of its GPU.
        others: names of further GPUs, which nobody uses; each lies before the last one on the bus.
        memory_bytes: of the GPU.
        scratch_bytes: what TensorRT needs of it for an execution, beside inputs and outputs.
        host_bytes: memory of the host that can be page-locked.
        stack: the contexts that were pushed, the current one last.
        buffers: what is allocated, by address.
        retained: how often the primary context was retained.
        builds: engines that were built.
        faults: what must not happen, and was noticed where no exception can be raised.
        captures: what is being captured into graphs, by stream.
        graphs: executable graphs that were not destroyed, by handle.
        holds_ns: how long each kernel that holds a stream was told to spin.
        flushes: how often the L2 cache was written over.
        prompt: whether the GPU does its work before the host can look, instead of in the wait.
        throttle: what NVML gives as throttle reasons; None where the card does not tell.
        driver: version of the driver.
        clock_set_mhz: the clock set for applications; None where the card does not tell.
        power_cap_mw: the power that it may draw; None where the card does not tell.
        watched: how often NVML was started, less how often it was ended.
    """

    def __init__(self, name: str = "Tesla V100-SXM2-16GB", memory_bytes: int = 2**34) -> None:
        self.name = name
        self.uuid = "GPU-5ee0-17"
        self.others: list[str] = []
        self.memory_bytes = memory_bytes
        self.scratch_bytes = 0
        self.host_bytes = 2**34
        self.stack: list[Any] = []
        self.buffers: dict[int, bytearray] = {}
        self.streams: dict[int, list[Callable[[], None]]] = {}
        self.retained = 0
        self.builds = 0
        self.faults: list[str] = []
        self.captures: dict[int, list[Callable[[], None]]] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.holds_ns: list[int] = []
        self.flushes = 0
        self.prompt = False
        self.throttle: int | None = 0
        self.driver = "550.1"
        self.clock_set_mhz: int | None = 1530
        self.power_cap_mw: int | None = 300_000
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

    def put(self, stream: int, work: Callable[[], None]) -> None:
        """Put ``work`` into a stream, or into the graph that it is captured into."""
        assert stream in self.streams, "no stream has this handle"
        self.captures.get(stream, self.streams[stream]).append(work)
        if self.prompt:
            self.run(stream)

    def require_no_capture(self, error: type[Exception]) -> None:
        """Refuse what may not be done by a thread that captures a stream."""
        if self.captures:
            raise error("operation not permitted when stream is capturing")

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
            self._number = number

        @staticmethod
        def count() -> int:
            assert started, "init() comes first"
            return 1 + len(gpu.others)

        def name(self) -> str:
            return [gpu.name, *gpu.others][self._number]

        def pci_bus_id(self) -> str:
            return f"0000:00:{0x1E - self._number:02X}.0"

        def compute_capability(self) -> tuple[int, int]:
            return (7, 0)

        def retain_primary_context(self) -> Context:
            assert self._number == 0, "nobody uses the others"
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
        gpu.require_no_capture(LogicError)
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
        if sum(one.nbytes for one in pinned) + array.nbytes > gpu.host_bytes:
            raise OutOfMemory("cuMemHostAlloc failed: out of memory")
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
        gpu.require_no_capture(LogicError)
        assert not any(gpu.streams.values()), "a copy overtakes what a stream still has to do"
        copy(target, source)

    def copy_later(target: Any, source: Any, stream: Any = None) -> None:
        gpu.require_current(LogicError)
        array = source if isinstance(target, DeviceAllocation) else target
        assert any(array is one for one in pinned), "the host's memory is not page-locked"
        gpu.put(stream.handle, lambda: copy(target, source))

    def fill_later(dest: DeviceAllocation, data: int, count: int, stream: Any = None) -> None:
        gpu.require_current(LogicError)
        assert type(data) is type(count) is int
        assert stream is not None
        gpu.bytes_at(int(dest), 4 * count)
        gpu.flushes += 1
        gpu.put(stream.handle, lambda: None)

    class Function:
        def __init__(self) -> None:
            self._format: str | None = None

        def prepare(self, arg_types: str, shared: Any = None, texrefs: Any = ()) -> Function:
            self._format = arg_types
            return self

        def prepared_async_call(
            self, grid: Any, block: Any, stream: Any, *args: Any, shared_size: int = 0
        ) -> None:
            gpu.require_current(LogicError)
            gpu.require_no_capture(LogicError)
            assert self._format is not None, "prepare() comes first"
            assert (len(grid), len(block)) == (2, 3)
            struct.pack(self._format, *args)
            gpu.holds_ns.append(args[0])
            gpu.put(stream.handle, lambda: None)

    class Module:
        def __init__(self, entries: list[str]) -> None:
            self._entries = entries

        def get_function(self, name: str) -> Function:
            if name not in self._entries:
                raise LogicError("cuModuleGetFunction failed: named symbol not found")
            return Function()

        def __del__(self) -> None:
            if not gpu.stack:
                gpu.faults.append("a module ended outside of its context")

    def module_from_buffer(buffer: Any, options: Any = (), message_handler: Any = None) -> Module:
        gpu.require_current(LogicError)
        text = bytes(memoryview(buffer))
        assert text.endswith(b"\0"), "the driver reads PTX to its end"
        assert text.lstrip().startswith(b".version")
        return Module(re.findall(r"\.entry\s+(\w+)", text.decode()))

    class Stream:
        def __init__(self, flags: int = 0) -> None:
            gpu.require_current(LogicError)
            if gpu.used_bytes() >= gpu.memory_bytes:
                raise OutOfMemory("cuStreamCreate failed: out of memory")
            self.handle = next(gpu.numbers)
            gpu.streams[self.handle] = []

        def synchronize(self) -> None:
            gpu.require_current(LogicError)
            gpu.require_no_capture(LogicError)
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
            gpu.put(stream.handle, self._happen)
            return self

        def query(self) -> bool:
            gpu.require_current(LogicError)
            gpu.require_no_capture(LogicError)
            return self._at_s is not None

        def _happen(self) -> None:
            self._at_s = time.perf_counter()

        def time_since(self, other: Event) -> float:
            gpu.require_current(LogicError)
            if self._at_s is None or other._at_s is None:
                raise LogicError("cuEventElapsedTime failed: device not ready")
            return (self._at_s - other._at_s) * 1e3

        def __del__(self) -> None:
            if not gpu.stack:
                gpu.faults.append("an event ended outside of its context")

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
        "memset_d32_async": fill_later,
        "module_from_buffer": module_from_buffer,
        "get_driver_version": lambda: 12040,
    }
    for name, function in names.items():
        setattr(cuda, name, function)
    package = ModuleType("pycuda")
    package.driver = cuda  # type: ignore[attr-defined]
    return {"pycuda": package, "pycuda.driver": cuda}


_ERRORS = {
    1: "CUDA_ERROR_INVALID_VALUE",
    201: "CUDA_ERROR_INVALID_CONTEXT",
    400: "CUDA_ERROR_INVALID_HANDLE",
    401: "CUDA_ERROR_ILLEGAL_STATE",
    901: "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
}


def make_libcuda(gpu: FakeGpu) -> Any:
    """Return what ``ctypes`` would make of ``libcuda.so.1``: the driver's calls for graphs.

    They are real C functions, so their arguments have to be of the right types.
    """
    handle, pointer = ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)
    captured: dict[int, list[Callable[[], None]]] = {}

    def begin(stream: int, mode: int) -> int:
        if not gpu.stack:
            return 201
        if stream not in gpu.streams or mode not in (0, 1, 2):
            return 1
        if stream in gpu.captures:
            return 401
        gpu.captures[stream] = []
        return 0

    def end(stream: int, graph: Any) -> int:
        if stream not in gpu.captures:
            return 401
        number = next(gpu.numbers)
        captured[number] = gpu.captures.pop(stream)
        graph[0] = number
        return 0

    def instantiate(executable: Any, graph: int, flags: int) -> int:
        if graph not in captured or flags:
            return 1
        if not captured[graph]:
            return 901
        number = next(gpu.numbers)
        gpu.graphs[number] = captured[graph]
        executable[0] = number
        return 0

    def launch(executable: int, stream: int) -> int:
        if not gpu.stack:
            return 201
        if executable not in gpu.graphs or stream not in gpu.streams:
            return 400
        for work in gpu.graphs[executable]:
            gpu.put(stream, work)
        return 0

    def destroy_executable(executable: int) -> int:
        if not gpu.stack:
            return 201
        return 0 if gpu.graphs.pop(executable, None) is not None else 1

    def destroy(graph: int) -> int:
        return 0 if captured.pop(graph, None) is not None else 1

    def name_of(status: int, name: Any) -> int:
        name[0] = _ERRORS[status].encode()
        return 0

    signatures: dict[str, tuple[Any, ...]] = {
        "cuStreamBeginCapture_v2": (begin, handle, ctypes.c_int),
        "cuStreamEndCapture": (end, handle, pointer),
        "cuGraphInstantiateWithFlags": (instantiate, pointer, handle, ctypes.c_ulonglong),
        "cuGraphLaunch": (launch, handle, handle),
        "cuGraphExecDestroy": (destroy_executable, handle),
        "cuGraphDestroy": (destroy, handle),
        "cuGetErrorName": (name_of, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
    }
    library = SimpleNamespace()
    for name, (function, *arguments) in signatures.items():
        setattr(library, name, ctypes.CFUNCTYPE(ctypes.c_int, *arguments)(function))
    return library


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

    def driver() -> str:
        assert gpu.watched, "nvmlInit comes first"
        return gpu.driver

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
        "nvmlDeviceGetUUID": lambda card: gpu.uuid,
        "nvmlSystemGetDriverVersion": driver,
        "nvmlDeviceGetClockInfo": telling(lambda: 1380),
        "nvmlDeviceGetApplicationsClock": telling(lambda: gpu.clock_set_mhz),
        "nvmlDeviceGetTemperature": telling(lambda: 41),
        "nvmlDeviceGetEnforcedPowerLimit": telling(lambda: gpu.power_cap_mw),
        "nvmlDeviceGetCurrentClocksThrottleReasons": telling(lambda: gpu.throttle),
    }
    for name, value in names.items():
        setattr(nvml, name, value)
    return {"pynvml": nvml}
