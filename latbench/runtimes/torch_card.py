"""PyTorch on an NVIDIA GPU: which card it is, its stream, and runs as CUDA graphs."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch

from latbench.devices import profile
from latbench.errors import MeasurementError, UnavailableError
from latbench.runtimes.gpu_clock import Event
from latbench.runtimes.torch_stage import Processor, Run, without_cuda
from latbench.units import format_bytes

_FLUSHED_BYTES = 256 * 2**20
_CYCLES_A_NS = 2
"""A card at 2 GHz; one at a lower clock spins for longer, which does no harm."""
_WARM_UP = 3
_NO_ROOM = re.compile(r"out of memory|alloc(ation)?_failed", re.IGNORECASE)
"""What PyTorch says where memory is short: its allocator and CUDA the one, cuDNN and cuBLAS a
status such as ``CUDNN_STATUS_ALLOC_FAILED``."""
_cuda: Any = torch.cuda  # parts of it have no types


def missing(device: str) -> str | None:
    """Return why PyTorch cannot use the card ``device`` here, or None.

    Raises:
        UsageError: there is no such profile.
    """
    if torch.version.cuda is None:
        return without_cuda()
    if not _cuda.is_available():
        return (
            f"PyTorch {version('torch')} is built for CUDA {torch.version.cuda} and finds no card: "
            "nvidia-smi should list one, and a CUDA that is not older"
        )
    numbers = _numbers(device)
    if not numbers:
        here = ", ".join(map(_cuda.get_device_name, range(_cuda.device_count()))) or "none"
        return f"PyTorch shows no {device} here but {here}; CUDA_VISIBLE_DEVICES may hide it"
    return _without_kernels(numbers[0], device)


def _numbers(device: str) -> list[int]:
    """Return PyTorch's numbers of the cards that the profile ``device`` describes."""
    sought = profile(device)
    return [
        number
        for number in range(_cuda.device_count())
        if sought.kind == "soc" or sought.matches(_cuda.get_device_name(number))
    ]


def _without_kernels(number: int, device: str) -> str | None:
    """Return why the card ``number`` has none of PyTorch's kernels, if it has none."""
    major, minor = _cuda.get_device_capability(number)
    kernels = _cuda.get_arch_list()
    for name in kernels:
        kind, built = re.fullmatch(r"(sm|compute)_(\d+)[a-z]?", name).groups()  # type: ignore[union-attr]
        other = int(built[:-1]), int(built[-1])
        # Machine code is for cards of one generation; PTX is compiled for any later one.
        if other <= (major, minor) and (kind == "compute" or other[0] == major):
            return None
    return (
        f"PyTorch {version('torch')} has no kernels for a {device} (compute capability "
        f"{major}.{minor}; it has {', '.join(kernels)}); install an older PyTorch, or a build for "
        "an older CUDA"
    )


class Mark:
    """An event in PyTorch's stream."""

    def __init__(self, stream: Any) -> None:
        """Make an event of ``stream``."""
        self._stream = stream
        self._event: Any = _cuda.Event(enable_timing=True)

    def record(self) -> None:
        """See :class:`latbench.runtimes.gpu_clock.Event`."""
        self._event.record(self._stream)

    def happened(self) -> bool:
        """See :class:`latbench.runtimes.gpu_clock.Event`."""
        return bool(self._event.query())

    def ms_since(self, earlier: Event) -> float:
        """See :class:`latbench.runtimes.gpu_clock.Event`."""
        assert isinstance(earlier, Mark)
        return float(earlier._event.elapsed_time(self._event))


class TorchLane:
    """The stream that PyTorch puts its work into."""

    def __init__(
        self, device: torch.device, failure: Callable[[Exception, str], MeasurementError]
    ) -> None:
        """Use the stream that is current on ``device``; ``failure`` is :meth:`Card.failure`."""
        self._device, self._failure = device, failure
        self._stream: Any = _cuda.current_stream(device)
        self._flushed: torch.Tensor | None = None

    def event(self) -> Mark:
        """See :class:`latbench.runtimes.gpu_clock.Lane`."""
        return Mark(self._stream)

    def hold(self, ns: int) -> None:
        """See :class:`latbench.runtimes.gpu_clock.Lane`."""
        _cuda._sleep(_CYCLES_A_NS * ns)  # PyTorch has no public kernel that only spins

    def flush(self) -> None:
        """See :class:`latbench.runtimes.gpu_clock.Lane`.

        Raises:
            MeasurementError: there is no room for what it writes over.
        """
        try:
            if self._flushed is None:
                words = _FLUSHED_BYTES // 4
                self._flushed = torch.empty(words, dtype=torch.int, device=self._device)
            self._flushed.zero_()
        except RuntimeError as failure:
            raise self._failure(failure, "the L2 cache cannot be flushed") from failure

    def wait(self) -> None:
        """See :class:`latbench.runtimes.gpu_clock.Lane`.

        Raises:
            MeasurementError: something in the stream failed, which CUDA tells here at the earliest.
        """
        try:
            self._stream.synchronize()
        except RuntimeError as failure:
            raise self._failure(failure, "torch cannot run it") from failure


class Card(Processor):
    """A card: the host puts runs into its stream, and they end later."""

    lane: TorchLane

    def __init__(self, device: str) -> None:
        """Use the card that the profile ``device`` describes; fp32 is never TF32 on it.

        Raises:
            UnavailableError: PyTorch cannot use it here.
        """
        reason = missing(device)
        if reason is not None:
            raise UnavailableError(reason)
        numbers = _numbers(device)
        if len(numbers) > 1:
            raise UnavailableError(
                f"{len(numbers)} cards here are a {device}, and PyTorch may number them otherwise "
                "than nvidia-smi; show it one: CUDA_VISIBLE_DEVICES=GPU-…, as nvidia-smi -L lists"
            )
        self._name = device
        self.device = torch.device("cuda", numbers[0])
        _cuda.set_device(self.device)
        # cuDNN rounds to TF32 by itself.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        self.lane = TorchLane(self.device, self.failure)

    @property
    def autocast_type(self) -> torch.dtype:
        """See :class:`Processor`; every card with tensor cores has fp16."""
        return torch.float16

    def require_bf16(self) -> None:
        """Refuse a card that could only emulate bf16.

        Raises:
            UnavailableError: it is one.
        """
        if not _cuda.is_bf16_supported(including_emulation=False):
            raise UnavailableError(
                f"the {self._name} does not compute in bf16; take --runtime-option autocast=fp16"
            )

    def ready(self, run: Run, as_graph: bool) -> Run:
        """See :class:`Processor`."""
        if not as_graph:
            return run
        run()  # libraries load, and torch.compile compiles, where nothing is captured
        self.wait()
        aside = _cuda.Stream(self.device)
        aside.wait_stream(_cuda.current_stream(self.device))
        with _cuda.stream(aside):
            for _ in range(_WARM_UP):
                run()
        _cuda.current_stream(self.device).wait_stream(aside)
        graph = _cuda.CUDAGraph()
        with _cuda.graph(graph):
            run()
        replay: Run = graph.replay
        return replay

    def wait(self) -> None:
        """See :class:`Processor`."""
        self.lane.wait()

    def failure(self, failure: Exception, what: str) -> MeasurementError:
        """See :class:`Processor`."""
        if _NO_ROOM.search(str(failure)):
            return MeasurementError(
                f"out of memory{self._room()}; take a smaller batch, or end what else uses the "
                f"{self._name} (nvidia-smi lists it)"
            )
        return super().failure(failure, what)

    def _room(self) -> str:
        try:
            free, total = _cuda.mem_get_info(self.device)
        except RuntimeError:  # there was no room for a context, and it is asked in one
            return ""
        return f": {format_bytes(free)} of {format_bytes(total)} are free on the {self._name}"
