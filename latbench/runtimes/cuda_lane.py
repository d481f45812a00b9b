"""A stream of a GPU under pycuda, with what clocks need of it: events, a hold and a flush."""

from __future__ import annotations

from typing import Any

from latbench.errors import LatbenchError
from latbench.runtimes.cuda import Gpu
from latbench.runtimes.gpu_clock import Event

# One thread that looks at the GPU's own nanoseconds until enough have passed: it ends by itself,
# whatever becomes of the host. The driver compiles it for the GPU; 7.0 is the oldest of a profile.
_SPIN = b"""
.version 6.0
.target sm_70
.address_size 64

.visible .entry spin(.param .u64 wanted_ns)
{
    .reg .pred %more;
    .reg .u64 %wanted, %start, %now;

    ld.param.u64 %wanted, [wanted_ns];
    mov.u64 %start, %globaltimer;
again:
    mov.u64 %now, %globaltimer;
    sub.u64 %now, %now, %start;
    setp.lt.u64 %more, %now, %wanted;
    @%more bra again;
    ret;
}
\0"""
FLUSHED_BYTES = 256 * 2**20
"""What a flush writes: more than twice the L2 cache of any profiled GPU, as triton's do_bench."""


class CudaEvent:
    """An event in the stream of its lane."""

    def __init__(self, gpu: Gpu, stream: Any) -> None:
        """Make an event of ``gpu`` in a stream of pycuda."""
        self._gpu, self._event, self._stream = gpu, gpu.event(), stream

    def record(self) -> None:
        """See :class:`latbench.runtimes.gpu_clock.Event`."""
        with self._gpu.working():
            self._event.record(self._stream)

    def happened(self) -> bool:
        """See :class:`latbench.runtimes.gpu_clock.Event`."""
        with self._gpu.working():
            return bool(self._event.query())

    def ms_since(self, earlier: Event) -> float:
        """See :class:`latbench.runtimes.gpu_clock.Event`."""
        assert isinstance(earlier, CudaEvent)
        with self._gpu.working():
            return float(self._event.time_since(earlier._event))

    def drop(self) -> None:
        """Let pycuda end it."""
        self._event = self._stream = None


class CudaLane:
    """A stream of its own; all of it ends with :meth:`free`, while the GPU is held.

    What CUDA refuses, or finds to have failed, is a MeasurementError.
    """

    def __init__(self, gpu: Gpu) -> None:
        """Prepare to use ``gpu``, which need not be held before the first use."""
        self._gpu = gpu
        self._events: list[CudaEvent] = []
        self._stream: Any = None
        self._spin: Any = None
        self._flushed: Any = None
        self._freed = False

    @property
    def stream(self) -> Any:
        """The stream of pycuda, not to be kept.

        Raises:
            LatbenchError: it was freed.
        """
        if self._freed:
            raise LatbenchError("this session is closed; compile the workload again")
        if self._stream is None:
            self._stream = self._gpu.stream()
        return self._stream

    def event(self) -> CudaEvent:
        """See :class:`latbench.runtimes.gpu_clock.Lane`."""
        with self._gpu.working():
            self._events.append(CudaEvent(self._gpu, self.stream))
        return self._events[-1]

    def hold(self, ns: int) -> None:
        """See :class:`latbench.runtimes.gpu_clock.Lane`."""
        with self._gpu.working():
            if self._spin is None:
                self._spin = self._gpu.kernel(_SPIN, "spin", "Q")
            self._spin.prepared_async_call((1, 1), (1, 1, 1), self.stream, ns)

    def flush(self) -> None:
        """See :class:`latbench.runtimes.gpu_clock.Lane`."""
        with self._gpu.working():
            if self._flushed is None:
                self._flushed = self._gpu.allocate(FLUSHED_BYTES)
            self._gpu.clear(self._flushed, FLUSHED_BYTES, self.stream)

    def wait(self) -> None:
        """See :class:`latbench.runtimes.gpu_clock.Lane`."""
        if self._stream is None:
            return
        try:  # not by ``working``, because the host's time is taken around this
            self._stream.synchronize()
        except self._gpu.error as failure:
            raise self._gpu.failure(failure) from failure

    def free(self) -> None:
        """End everything, once or twice; after an error of the GPU as well."""
        self._freed = True
        for event in self._events:
            event.drop()
        self._events, self._spin, self._stream = [], None, None
        flushed, self._flushed = self._flushed, None
        if flushed is not None:
            flushed.free()
