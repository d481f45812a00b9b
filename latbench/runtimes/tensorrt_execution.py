"""An engine of TensorRT in its place on the GPU: context, stream, and a buffer for each tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from latbench.errors import LatbenchError, MeasurementError
from latbench.runtimes.cuda import Gpu
from latbench.runtimes.cuda_graph import CudaGraph
from latbench.runtimes.cuda_lane import CudaLane
from latbench.runtimes.inputs import Array
from latbench.runtimes.tensorrt_engine import Engine
from latbench.runtimes.tensorrt_messages import messages, reason

_TYPES: Mapping[str, np.dtype[Any]] = {
    "FLOAT": np.dtype(np.float32),
    "HALF": np.dtype(np.float16),
    "INT8": np.dtype(np.int8),
    "UINT8": np.dtype(np.uint8),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "BOOL": np.dtype(np.bool_),
}
"""Types by the bindings' names: ``tensorrt.nptype`` of 8.5 fails under today's NumPy."""
_CLOSED = "this session is closed; compile the workload again"


@dataclass(frozen=True)
class Tensor:
    """An input or output of an engine, with the type in which the engine reads or writes it."""

    name: str
    is_input: bool
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Its bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


class Execution:
    """One execution context with its buffers, which are allocated once.

    The GPU is held from the beginning until :meth:`free`, in one thread. Nobody else keeps the
    engine, because it has to end while the context of the GPU is current.

    Attributes:
        sha256: of the serialised engine.
        built_ms: how long it was built; None for one that had been kept.
        tensors: inputs and outputs by name.
        lane: the stream that everything runs on.
    """

    def __init__(
        self, gpu: Gpu, trt: Any, load: Callable[[], Engine], profiler: Any = None
    ) -> None:
        """Make a context of the engine that ``load`` gives; it reports to ``profiler``, if any.

        Raises:
            MeasurementError: there is no such engine, it does not fit into the memory of the GPU,
                or it has inputs or outputs that cannot be given.
            UnavailableError: the GPU cannot be used now.
        """
        self._gpu, self._trt = gpu, trt
        self._engine: Any = None
        self._context: Any = None
        self._buffers: dict[str, Any] = {}
        self._copied: tuple[dict[str, Array], dict[str, Array]] = {}, {}
        self._graph: CudaGraph | None = None
        self.lane = CudaLane(gpu)
        gpu.hold()
        self._held = True
        try:
            self._take(load())
            self._context = self._made(profiler)
            for tensor in self.tensors.values():
                self._give_buffer(tensor)
        except BaseException:
            self.free()
            raise

    def _take(self, loaded: Engine) -> None:
        self._engine, self.sha256, self.built_ms = loaded.engine, loaded.sha256, loaded.built_ms

    def _made(self, profiler: Any) -> Any:
        count = int(self._engine.num_io_tensors)
        names = [str(self._engine.get_tensor_name(number)) for number in range(count)]
        self.tensors = {name: self._tensor(name) for name in names}
        messages(self._trt).take()
        context = self._engine.create_execution_context()
        if context is None:
            raise MeasurementError(f"tensorrt cannot prepare the engine: {reason(self._trt)}")
        # Ranges named in detail would cost time at every launch; the engine itself keeps them.
        context.nvtx_verbosity = self._trt.ProfilingVerbosity.NONE
        if profiler is not None:
            context.profiler = profiler
            context.enqueue_emits_profile = False
        return context

    def _tensor(self, name: str) -> Tensor:
        shape = tuple(int(size) for size in self._engine.get_tensor_shape(name))
        kind = str(self._engine.get_tensor_dtype(name).name)
        if min(shape, default=0) < 0:
            raise MeasurementError(
                f"the shape of {name!r} depends on data ({shape}); give the model fixed shapes"
            )
        if kind not in _TYPES:
            raise MeasurementError(
                f"{name!r} has the type {kind}, which NumPy lacks; give inputs and outputs of the "
                f"model one of {', '.join(_TYPES)}"
            )
        if self._engine.get_tensor_location(name) == self._trt.TensorLocation.HOST:
            raise MeasurementError(
                f"{name!r} says a shape, which TensorRT reads on the host; make it a constant of "
                "the model"
            )
        is_input = self._engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT
        return Tensor(name, is_input, shape, _TYPES[kind])

    def _give_buffer(self, tensor: Tensor) -> None:
        buffer = self._buffers[tensor.name] = self._gpu.allocate(tensor.size)
        if not self._context.set_tensor_address(tensor.name, int(buffer)):
            raise MeasurementError(
                f"tensorrt refuses a buffer of {tensor.name!r}: {reason(self._trt)}"
            )

    @property
    def engine(self) -> Any:
        """TensorRT's ``ICudaEngine``, not to be kept.

        Raises:
            LatbenchError: this execution was freed.
        """
        if self._engine is None:
            raise LatbenchError(_CLOSED)
        return self._engine

    def enqueue(self) -> None:
        """Put one run into the stream; it may begin before this returns.

        Raises:
            MeasurementError: TensorRT refused it, or the GPU failed.
            LatbenchError: this execution was freed.
        """
        if self._context is None:
            raise LatbenchError(_CLOSED)
        if self._graph is None:
            self._launch()
        else:
            self._graph.launch(self.lane.stream.handle)

    def _launch(self) -> None:
        stream = self.lane.stream
        inputs, outputs = self._copied
        try:
            for name, array in inputs.items():
                self._gpu.upload(self._buffers[name], array, stream)
            if not self._context.execute_async_v3(stream.handle):
                raise MeasurementError(f"tensorrt cannot run it: {reason(self._trt)}")
            for name, array in outputs.items():
                self._gpu.download(array, self._buffers[name], stream)
        except self._gpu.error as failure:
            raise self._gpu.failure(failure) from failure

    def capture(self) -> None:
        """From now on launch a run as one CUDA graph.

        Raises:
            MeasurementError: the engine cannot be captured.
            UnavailableError: the driver is too old.
        """
        # TensorRT does its last preparations in the first run, which cannot be captured.
        self._launch()
        self.wait()
        self._graph = CudaGraph(self.lane.stream.handle, self._launch)

    def copy_in_runs(self, inputs: Mapping[str, Array]) -> None:
        """From now on copy ``inputs``, and all outputs, in each run: to the GPU and back.

        They lie in memory that the GPU reads and writes by itself, without a detour.
        """
        self._copied = self._pinned(is_input=True), self._pinned(is_input=False)
        for name, values in inputs.items():
            self._copied[0][name][...] = values

    def _pinned(self, is_input: bool) -> dict[str, Array]:
        return {
            tensor.name: self._gpu.pinned(tensor.shape, tensor.dtype)
            for tensor in self.tensors.values()
            if tensor.is_input is is_input
        }

    def wait(self) -> None:
        """Return when all work of the stream is done.

        Raises:
            MeasurementError: it failed.
        """
        self.lane.wait()

    def report(self) -> None:
        """Let the profiler be told the times of the layers in the last run, which has ended.

        Raises:
            MeasurementError: TensorRT does not tell them.
        """
        if not self._context.report_to_profiler():
            raise MeasurementError(f"tensorrt tells no times of layers: {reason(self._trt)}")

    def upload(self, values: Mapping[str, Array]) -> None:
        """Copy what :meth:`prepared` gave into the buffers.

        Raises:
            MeasurementError: the GPU failed.
        """
        with self._gpu.working():
            for name, array in values.items():
                self._gpu.upload(self._buffers[name], array)

    def download(self) -> dict[str, Array]:
        """Return a copy of each output, after :meth:`wait`.

        Raises:
            MeasurementError: the GPU failed.
        """
        outputs: dict[str, Array] = {
            tensor.name: np.empty(tensor.shape, tensor.dtype)
            for tensor in self.tensors.values()
            if not tensor.is_input
        }
        with self._gpu.working():
            for name, array in outputs.items():
                self._gpu.download(array, self._buffers[name])
        return outputs

    def prepared(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return those of ``inputs`` that the engine reads, in memory as it wants them.

        Raises:
            MeasurementError: one is missing, or has another shape.
        """
        found: dict[str, Array] = {}
        for tensor in self.tensors.values():
            if not tensor.is_input:
                continue
            if tensor.name not in inputs:
                raise MeasurementError(
                    f"the engine reads an input {tensor.name!r}, which is not given; given: "
                    f"{', '.join(inputs) or 'none'}"
                )
            values = np.ascontiguousarray(inputs[tensor.name], tensor.dtype)
            if inputs[tensor.name].shape != tensor.shape:
                raise MeasurementError(
                    f"{tensor.name!r} has the shape {inputs[tensor.name].shape}, and the engine "
                    f"reads {tensor.shape}"
                )
            found[tensor.name] = values
        return found

    def free(self) -> None:
        """Free everything, in the order that CUDA wants, and let go of the GPU; once or twice."""
        if not self._held:
            return
        self._held = False
        # After an error of the GPU each of these fails, and the GPU must be let go of all the same.
        with ExitStack() as last_first:
            last_first.callback(self._gpu.release)
            for buffer in self._buffers.values():
                last_first.callback(buffer.free)
            last_first.callback(self._drop)
            last_first.callback(self.lane.free)
            if self._graph is not None:
                last_first.callback(self._graph.free)
            last_first.callback(self.lane.wait)

    def _drop(self) -> None:
        """Let the bindings free what they made, while the context of the GPU is current."""
        self._context = None
        self._engine = None
        self._copied = {}, {}
