"""A build of PyTorch with CUDA on a machine with a card, over a build without and the host.

Tensors on the card are a class of their own, which the host computes. It is stricter than CUDA:
tensors of host and card do not mix, work is pending until somebody waits, and nothing waits or
leaves the card while a stream is captured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity
from torch.utils._pytree import tree_map

from latbench.runtimes import torch as runtime
from latbench.runtimes import torch_card, torch_profile

CARD = torch.device("cuda", 0)
Call = tuple[Any, Any, Any, Any]
"""A captured operator: itself, its arguments, and what it gave."""


class FakeTorchCuda:
    """The state of the machine; tests look at it and change it.

    Attributes:
        names: of its cards.
        capability: compute capability of them.
        kernels: what PyTorch was built for.
        free_bytes: what is left on the card; larger allocations fail.
        pending: work that nobody has waited for.
        captured: the operators of the graph that is being captured.
        replays: graphs that were replayed.
        holds: cycles of each kernel that only spins.
        log: what was done with streams and events, in order.
        prompt: whether the card does its work before the host can look.
        watched: what the profiler was asked to watch.
        fails: what the work in the stream fails with, if it does.
    """

    def __init__(self) -> None:
        self.names = ["Tesla V100-SXM2-16GB"]
        self.capability = (7, 0)
        self.kernels = ["sm_60", "sm_70", "sm_75"]
        self.free_bytes = 2**34
        self.pending = 0
        self.captured: list[Call] | None = None
        self.replays = 0
        self.holds: list[int] = []
        self.log: list[str] = []
        self.prompt = False
        self.marks: list[Any] = []
        self.watched: list[str] = []
        self.fails: str | None = None

    def call(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Compute an operator where its tensors are."""
        given = [one for one in _flat((args, kwargs)) if isinstance(one, torch.Tensor)]
        on_card = [one for one in given if isinstance(one, OnCard)]
        wanted = kwargs.get("device")
        if wanted is not None and torch.device(wanted).type == "cpu":
            self.synchronise("a copy to the host")
            return func(*tree_map(_inner, args), **kwargs)
        strangers = [one for one in given if not isinstance(one, OnCard) and one.dim()]
        if strangers and func is not torch.ops.aten.copy_.default:
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                "cuda:0 and cpu!"
            )
        if wanted is not None:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        inner = tree_map(_inner, args), tree_map(_inner, kwargs)
        result = tree_map(self.take, func(*inner[0], **inner[1]))
        self.pending += 1
        if self.captured is not None:
            self.captured.append((func, *inner, result))
        # What is changed in place stays the tensor that it was.
        by_memory = {id(one.elem): one for one in on_card}
        return _map(lambda one: by_memory.get(id(one.elem), one), result)

    def take(self, value: Any) -> Any:
        """Return a tensor of the host as one on the card; anything else as it is."""
        if not isinstance(value, torch.Tensor):
            return value
        if value.nbytes > self.free_bytes:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate.\nMore lines.")
        return OnCard(value, self)

    def synchronise(self, what: str = "a wait") -> None:
        """Let all work end."""
        if self.captured is not None:
            raise RuntimeError(f"{what}: operation not permitted when stream is capturing")
        if self.fails is not None:
            raise RuntimeError(self.fails)
        self.pending = 0
        for mark in self.marks:
            mark.happen()
        self.marks.clear()


class OnCard(torch.Tensor):
    """A tensor on the card."""

    elem: torch.Tensor
    machine: FakeTorchCuda

    @staticmethod
    def __new__(cls, elem: torch.Tensor, machine: FakeTorchCuda) -> OnCard:
        made: OnCard = torch.Tensor._make_wrapper_subclass(
            cls,
            elem.size(),
            strides=elem.stride(),
            storage_offset=elem.storage_offset(),
            dtype=elem.dtype,
            layout=elem.layout,
            device=CARD,
        )
        made.elem, made.machine = elem, machine
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    # A build without CUDA would look for the card before it asks this class.
    def copy_(self, src: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
        copied: torch.Tensor = self.machine.call(torch.ops.aten.copy_.default, (self, src), {})
        return copied

    # PyTorch moves the weights of a module into tensors of a class only if that has these two.
    def __tensor_flatten__(self) -> tuple[list[str], FakeTorchCuda]:
        return ["elem"], self.machine

    @staticmethod
    def __tensor_unflatten__(
        inner: dict[str, torch.Tensor], machine: FakeTorchCuda, size: Any, stride: Any
    ) -> OnCard:
        return OnCard(inner["elem"], machine)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        machine = next(one.machine for one in _flat((args, kwargs)) if isinstance(one, OnCard))
        return machine.call(func, args, kwargs or {})


def _flat(values: Any) -> list[Any]:
    found: list[Any] = []
    tree_map(found.append, values)
    return found


def _map(change: Callable[[OnCard], OnCard], values: Any) -> Any:
    return tree_map(lambda one: change(one) if isinstance(one, OnCard) else one, values)


def _inner(value: Any) -> Any:
    return value.elem if isinstance(value, OnCard) else value


def _to(machine: FakeTorchCuda) -> Callable[..., torch.Tensor]:
    """Return ``torch.Tensor.to`` that knows the card."""
    plain: Any = torch.Tensor.to

    def to(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        given = {name: value for name, value in kwargs.items() if name != "copy"}
        device, dtype, _, layout = torch._C._nn._parse_to(*args, **given)
        if device is None or device.type != "cuda" or isinstance(tensor, OnCard):
            return plain(tensor, *args, **kwargs)
        kept = torch.preserve_format if layout is None else layout
        how = {"dtype": dtype or tensor.dtype, "copy": True, "memory_format": kept}
        copy = plain(tensor.detach(), "cpu", **how)
        machine.pending += 1
        return machine.take(copy)

    return to


def _empty(machine: FakeTorchCuda) -> Callable[..., torch.Tensor]:
    """Return ``torch.empty`` that knows the card."""
    plain = torch.empty

    def empty(*args: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
        if device is None or torch.device(device).type != "cuda":
            return plain(*args, device=device, **kwargs)
        taken: torch.Tensor = machine.take(plain(*args, **kwargs))
        return taken

    return empty


@contextmanager
def torch_with_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTorchCuda]:
    """Let PyTorch have CUDA and a card; at the end no capture may be left."""
    machine = FakeTorchCuda()
    for name, value in _names(machine).items():
        assert hasattr(torch.cuda, name), f"torch.cuda has no {name}"
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    monkeypatch.setattr(runtime, "version_of", lambda name: "2.7.1+cu126")
    monkeypatch.setattr(torch_card, "_FLUSHED_BYTES", 2**12)  # the host would take its time
    # The profiler of this build sees no card. What it tells of the host is mostly its own time.
    monkeypatch.setattr(torch_profile, "profile", _profile(machine))
    device_us = property(lambda event: event.cpu_time_total / 20)
    monkeypatch.setattr(FunctionEvent, "device_time_total", device_us)
    tf32 = torch.backends.cudnn.allow_tf32
    monkeypatch.setattr(torch.Tensor, "to", _to(machine))
    monkeypatch.setattr(torch, "empty", _empty(machine))
    yield machine
    torch.backends.cudnn.allow_tf32 = tf32
    assert machine.captured is None


def _profile(machine: FakeTorchCuda) -> Callable[..., Any]:
    """Return the profiler, which keeps what it was asked to watch."""
    plain = torch.profiler.profile

    def profile(activities: Any) -> Any:
        machine.watched = [one.name for one in activities]
        return plain(activities=[ProfilerActivity.CPU])

    return profile


def _names(machine: FakeTorchCuda) -> dict[str, Any]:
    """Return what is put into ``torch.cuda``."""

    class Stream:
        def __init__(self, device: torch.device | None = None) -> None:
            self.ahead = False

        def synchronize(self) -> None:
            machine.synchronise()

        def wait_stream(self, other: Stream) -> None:
            assert other is not self
            machine.log.append("wait for a stream")

    default = Stream()
    current = [default]

    @contextmanager
    def stream(chosen: Stream) -> Iterator[None]:
        current.append(chosen)
        yield
        current.pop()

    class Event:
        def __init__(self, enable_timing: bool = False) -> None:
            self._timed = enable_timing
            self.at_s: float | None = None

        def record(self, on: Stream | None = None) -> None:
            assert on is default
            # The host has computed by now what the card would still have to do.
            self._recorded_s, self.at_s = time.perf_counter(), None
            machine.marks.append(self)
            if machine.prompt:
                self.happen()

        def happen(self) -> None:
            self.at_s = self._recorded_s

        def query(self) -> bool:
            return self.at_s is not None

        def elapsed_time(self, end: Event) -> float:
            if not (self._timed and end._timed):
                raise ValueError("Both events must be created with argument 'enable_timing=True'.")
            if self.at_s is None or end.at_s is None:
                raise RuntimeError("Both events must be completed before calculating elapsed time.")
            return (end.at_s - self.at_s) * 1e3

    class CUDAGraph:
        calls: list[Call] | None = None

        def replay(self) -> None:
            assert self.calls is not None, "it was not captured"
            machine.replays += 1
            machine.pending += 1
            for func, args, kwargs, given in self.calls:
                new = [one for one in _flat(func(*args, **kwargs)) if isinstance(one, torch.Tensor)]
                old = [one for one in _flat(given) if isinstance(one, OnCard)]
                for source, place in zip(new, old, strict=True):
                    if source is not place.elem:
                        place.elem.copy_(source)

    @contextmanager
    def graph(cuda_graph: CUDAGraph, pool: Any = None, stream: Any = None) -> Iterator[None]:
        assert "wait for a stream" in machine.log, "work has to be run on a stream aside before"
        machine.synchronise()
        machine.captured = []
        try:
            yield
        finally:
            calls, machine.captured = machine.captured, None
        assert calls
        cuda_graph.calls = calls

    def sleep(cycles: int) -> None:
        assert type(cycles) is int
        machine.holds.append(cycles)

    return {
        "Event": Event,
        "Stream": Stream,
        "CUDAGraph": CUDAGraph,
        "graph": graph,
        "stream": stream,
        "_sleep": sleep,
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "device_count": lambda: len(machine.names),
        "get_device_name": lambda number: machine.names[number],
        "get_device_capability": lambda number: machine.capability,
        "get_arch_list": lambda: machine.kernels,
        "is_bf16_supported": lambda including_emulation=True: (
            including_emulation or machine.capability >= (8, 0)
        ),
        "set_device": lambda device: None,
        "current_device": lambda: 0,
        "synchronize": lambda device=None: machine.synchronise(),
        "current_stream": lambda device=None: current[-1],
        "mem_get_info": lambda device=None: (machine.free_bytes, 2**34),
    }
