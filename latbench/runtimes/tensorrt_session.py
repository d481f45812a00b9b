"""A workload compiled by TensorRT: what is timed, compared and described."""

from __future__ import annotations

import dataclasses
import weakref
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from statistics import median
from typing import Any

from latbench.errors import LatbenchError, MeasurementError
from latbench.runtimes.cuda import gpu_for
from latbench.runtimes.engine_cache import default_cache
from latbench.runtimes.gpu_options import clock_for
from latbench.runtimes.inputs import Array, random_inputs
from latbench.runtimes.kernel import CompiledGraph
from latbench.runtimes.naming import named
from latbench.runtimes.run_times import RunTimes, run_times
from latbench.runtimes.runtime import PROFILED_RUNS, Session, reason_of
from latbench.runtimes.tensorrt_bindings import bindings
from latbench.runtimes.tensorrt_engine import Build, Engine, Place, at_shapes, engine_of
from latbench.runtimes.tensorrt_execution import Execution
from latbench.runtimes.tensorrt_layers import Layer, compiled_graph, layers_of, precision_run
from latbench.spaces.weights import with_weights
from latbench.spaces.workload import Workload
from latbench.target import Target

_LEAD_IN = 5
"""Runs that come first and are not counted: clocks rise, and modules are loaded."""


class TensorRtSession(Session):
    """An engine with inputs in place on the GPU; it belongs to the thread that compiled it."""

    def __init__(self, workload: Workload, target: Target) -> None:
        """Build the engine of ``workload``, or find it among those that were kept."""
        self._trt = bindings()
        self._gpu = gpu_for(target.device)
        options = dict(target.options)
        level = options.get("optimisation")
        self._build = Build(target.precision, None if level is None else int(level))
        self._place = Place(
            tensorrt=str(self._trt.__version__),
            driver=self._gpu.driver_version,
            instance=self._gpu.instance,
            compute_capability=self._gpu.compute_capability,
            name=self._gpu.name,
        )
        self._cache = default_cache()
        try:
            # A broken file ends in an error of protobuf's, a shape that is none in one of NumPy's.
            self._model, self._shown = named(with_weights(workload.model))
            at_shapes(self._model, workload.inputs)
            self._execution = Execution(self._gpu, self._trt, partial(self._load, self._build))
            # Freed before the interpreter ends, too: CUDA would abort it otherwise.
            self._free = weakref.finalize(self, self._execution.free)
            self._inputs = self._execution.prepared(random_inputs(workload.inputs))
            self._execution.upload(self._inputs)
            if options.get("transfers") == "both":
                self._execution.copy_in_runs(self._inputs)
            if options.get("launch") == "graph":
                self._execution.capture()
            self.clock = clock_for(options, self._execution.lane)
            self.precision_run, untold = self._precision(target.precision)
            self.build = {
                "engine_sha256": self._execution.sha256,
                "built_ms": self._execution.built_ms,
                **untold,
            }
        except LatbenchError:
            raise
        except Exception as failure:
            raise MeasurementError(f"tensorrt refused it: {reason_of(failure)}") from failure

    def _load(self, build: Build) -> Engine:
        return engine_of(self._trt, self._model, self._shown, build, self._place, self._cache)

    def _precision(self, asked: str) -> tuple[str, dict[str, str]]:
        """Return the precision that runs; where the engine cannot be read, ``asked`` and why."""
        try:
            return precision_run(self._layers(self._execution), asked), {}
        # A new schema of the description is no reason not to time the engine.
        except MeasurementError as untold:
            return asked, {"precision_untold": str(untold)}

    def run_once(self) -> None:
        """See :class:`Session`."""
        self._execution.enqueue()
        self._execution.wait()

    def begin(self) -> None:
        """See :class:`Session`."""
        self._execution.enqueue()

    def _outputs(self, inputs: Mapping[str, Array]) -> list[Array]:
        execution = self._execution
        execution.upload(execution.prepared(inputs))
        execution.enqueue()
        execution.wait()
        given = execution.download()
        execution.upload(self._inputs)
        return [given[value.name] for value in self._model.graph.output]

    def run_times(self, runs: int = PROFILED_RUNS) -> RunTimes:
        """See :class:`Session`."""
        return run_times(self._execution.lane, self.begin, runs)

    def kernels(self, runs: int = PROFILED_RUNS) -> CompiledGraph:
        """See :class:`Session`; times are of an execution of its own, which runs are slower in.

        Where the timed engine uses several streams, an engine with one is built for it: the times
        of layers that run side by side would not add up.
        """
        recorder = _recorder(self._trt)
        execution = self._profiled_execution(recorder)
        try:
            execution.upload(self._inputs)
            layers = self._layers(execution)
            wholes_ms = self._profiled(execution, recorder, _LEAD_IN + runs)
        finally:
            execution.free()
        times_ms = {name: median(times[_LEAD_IN:]) for name, times in recorder.times_ms.items()}
        whole_ms = median(wholes_ms[_LEAD_IN:])
        return compiled_graph(layers, times_ms, whole_ms, self._model, self._shown)

    def _profiled_execution(self, recorder: Any) -> Execution:
        load = partial(self._load, self._build)
        # 8.5 runs everything on one stream, and has no number of others.
        if getattr(self._execution.engine, "num_aux_streams", 0):
            load = partial(self._load, dataclasses.replace(self._build, one_stream=True))
        return Execution(self._gpu, self._trt, load, recorder)

    def _profiled(self, execution: Execution, recorder: Any, runs: int) -> list[float]:
        """Return the time of each run on the GPU in ms; ``recorder`` takes those of the layers."""
        before, after = execution.lane.event(), execution.lane.event()
        wholes_ms = []
        for _ in range(runs):
            before.record()
            execution.enqueue()
            after.record()
            execution.wait()
            wholes_ms.append(after.ms_since(before))
            execution.report()
            recorder.end_run()
        return wholes_ms

    def _layers(self, execution: Execution) -> list[Layer]:
        inspector = execution.engine.create_engine_inspector()
        return layers_of(inspector.get_engine_information(self._trt.LayerInformationFormat.JSON))

    def close(self) -> None:
        """See :class:`Session`."""
        self._free()


def _recorder(trt: Any) -> Any:
    """Return a profiler: ``times_ms`` holds the time of each run by the name of the layer."""

    class Recorder(trt.IProfiler):  # type: ignore[misc]  # the bindings have no types
        def __init__(self) -> None:
            # Without it pybind11 would see no base object.
            trt.IProfiler.__init__(self)
            self.times_ms: dict[str, list[float]] = defaultdict(list)
            self._run: dict[str, float] = defaultdict(float)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self._run[layer_name] += ms

        def end_run(self) -> None:
            for name, ms in self._run.items():
                self.times_ms[name].append(ms)
            self._run.clear()

    return Recorder()
