"""OpenVINO on the processor."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from onnx import ModelProto

from latbench.errors import MeasurementError, UnavailableError
from latbench.runtimes.attribution import attributed
from latbench.runtimes.inputs import Array, random_inputs
from latbench.runtimes.kernel import CompiledGraph, Kernel
from latbench.runtimes.naming import as_shown, named
from latbench.runtimes.packages import obstacle, version_of
from latbench.runtimes.runtime import PROFILED_RUNS, Runtime, Session
from latbench.spaces.weights import with_weights
from latbench.spaces.workload import Workload
from latbench.target import PRECISIONS, Target

_DEVICE = "CPU"
_TYPES = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_PRECISIONS = {"f32": "fp32", "bf16": "bf16", "f16": "fp16", "i8": "int8", "u8": "int8"}
_COMPUTING = {"Convolution", "Deconvolution", "FullyConnected", "MatMul"}
"""Layers that the time goes to; others follow the precision of those around them."""
_CONSTANT = "Const"
_STORED = {_CONSTANT, "Input", "Output"}
"""Entries of the runtime graph that hold tensors and compute nothing."""
_PLACES = re.compile(
    r"Exception from|Check '|FrontEnd API failed|Model wasn't fully converted|Summary:"
    r"|-- .*message:$"
)
"""Beginnings of the lines of an error that only say where it was found."""


class OpenVino(Runtime):
    """OpenVINO's processor plug-in, set to the lowest latency of one request."""

    name: ClassVar[str] = "openvino"
    precisions: ClassVar[tuple[str, ...]] = tuple(_TYPES)

    def available(self) -> str | None:
        """See :class:`Runtime`."""
        return obstacle("openvino", _core)

    def version(self) -> str:
        """See :class:`Runtime`."""
        return version_of("openvino")

    def check(self, target: Target) -> None:
        """See :class:`Runtime`.

        Raises:
            UnavailableError: the processor does not compute in this precision.
        """
        super().check(target)
        known = _core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
        if target.precision.upper() not in known:
            able = ", ".join(one for one in self.precisions if one.upper() in known)
            raise UnavailableError(
                f"openvino does not compute in {target.precision} on this processor; it does in "
                f"{able}"
            )

    def _compile(self, workload: Workload, target: Target) -> Session:
        return OpenVinoSession(
            workload,
            {
                "PERFORMANCE_HINT": "LATENCY",
                # Without it, processors that have bf16 run fp32 models in it.
                "INFERENCE_PRECISION_HINT": _TYPES[target.precision],
                "INFERENCE_NUM_THREADS": target.threads,
                "NUM_STREAMS": 1,
                # Where its threads may run is the worker's to say.
                "ENABLE_CPU_PINNING": False,
            },
        )


class OpenVinoSession(Session):
    """A compiled model and one request that is used again and again, its inputs in place."""

    def __init__(self, workload: Workload, settings: Mapping[str, Any]) -> None:
        """Compile ``workload`` with the properties ``settings``."""
        self._workload = workload
        self._settings = dict(settings)
        try:
            model = _read(with_weights(workload.model), workload)
            self._compiled = _core().compile_model(model, _DEVICE, self._settings)
            # The request reads these in place, so they must outlive it.
            self._inputs = random_inputs(workload.inputs)
            self._request = _request(self._compiled, self._inputs)
            self.precision_run = _precision_run(self._compiled)
        # OpenVINO raises bare RuntimeErrors, and a broken file ends in one of protobuf's.
        except Exception as failure:
            raise MeasurementError(f"openvino refused it: {_reason(failure)}") from failure

    def run_once(self) -> None:
        """See :class:`Session`."""
        self._request.infer(share_outputs=True)

    def _outputs(self, inputs: Mapping[str, Array]) -> list[Array]:
        try:
            request = _request(self._compiled, inputs)
            request.infer(share_outputs=True)
            return [np.array(tensor.data) for tensor in request.output_tensors]
        except Exception as failure:
            raise MeasurementError(f"openvino cannot run it: {_reason(failure)}") from failure

    def kernels(self, runs: int = PROFILED_RUNS) -> CompiledGraph:
        """See :class:`Session`; OpenVINO tells means in whole microseconds, and no medians.

        What takes less than one, or passes its input on as it is, has a time of 0.
        """
        proto, shown = named(with_weights(self._workload.model))
        try:
            model = _read(proto, self._workload)
            origins = _rename(model, proto)
            settings = {**self._settings, "PERF_COUNT": True}
            compiled = _core().compile_model(model, _DEVICE, settings)
            request = _request(compiled, self._inputs)
            times_ms, whole_ms = _profiled(request, runs)
            layers = _layers(compiled)
        except Exception as failure:
            raise MeasurementError(f"openvino cannot profile it: {_reason(failure)}") from failure
        told = [[node for name in layer.origins for node in origins[name]] for layer in layers]
        nodes, folded = attributed(proto, told)
        kernels = [
            Kernel(
                name=as_shown(layer.name, shown),
                kind=layer.kind,
                nodes=tuple(shown[node] for node in computed),
                time_ms=times_ms[layer.name],
                precision=layer.precision,
            )
            for layer, computed in zip(layers, nodes, strict=True)
        ]
        graph = CompiledGraph(tuple(kernels), tuple(shown[node] for node in folded), whole_ms)
        return graph.check(shown.values())


class _Layer:
    """One entry of the runtime graph; fused layers are among the origins of another."""

    def __init__(self, operation: Any) -> None:
        facts = {key: value.astype(str) for key, value in operation.get_rt_info().items()}
        self.name = str(operation.get_friendly_name())
        self.kind: str = facts["layerType"]
        self.precision = _PRECISIONS.get(facts["runtimePrecision"], facts["runtimePrecision"])
        self.origins: list[str] = facts["originalLayersNames"].split(",")


def _layers(compiled: Any) -> list[_Layer]:
    """Return the layers of the runtime graph that compute something in every run, in order.

    What is made of constants alone was computed once, while the model was compiled.
    """
    layers: list[_Layer] = []
    constant: set[str] = set()
    for operation in compiled.get_runtime_model().get_ordered_ops():
        layer = _Layer(operation)
        sources = {
            port.get_source_output().get_node().get_friendly_name() for port in operation.inputs()
        }
        if layer.kind == _CONSTANT or (sources and sources <= constant):
            constant.add(layer.name)
        elif layer.kind not in _STORED:
            layers.append(layer)
    return layers


def _precision_run(compiled: Any) -> str:
    layers = _layers(compiled)
    computing = [layer for layer in layers if layer.kind in _COMPUTING] or layers
    run = {layer.precision for layer in computing} & set(PRECISIONS)
    if len(run) > 1:
        return "amp"
    return run.pop() if run else "fp32"


def _rename(model: Any, proto: ModelProto) -> Mapping[str, Sequence[str]]:
    """Give every operation of ``model`` a plain name; return by it the nodes it comes from.

    An operation that gives no tensor of the file is one of several that a node is made of: its
    nodes are those of its readers. Constants come from no node: they are not run.
    """
    made_by = {tensor: node.name for node in proto.graph.node for tensor in node.output if tensor}
    origins: dict[str, Sequence[str]] = defaultdict(tuple)
    for number, operation in reversed(list(enumerate(model.get_ordered_ops()))):
        kind = operation.get_type_name()
        if kind in ("Parameter", "Result", "Constant"):
            operation.set_friendly_name(f"{kind}{number}")
            continue
        given = [
            made_by[t] for port in operation.outputs() for t in port.get_names() if t in made_by
        ]
        nodes = given or [
            node
            for port in operation.outputs()
            for reader in port.get_target_inputs()
            for node in origins[reader.get_node().get_friendly_name()]
        ]
        nodes = list(dict.fromkeys(nodes))
        name = nodes[0] if given else f"{nodes[0] if nodes else ''}/{kind}{number}"
        operation.set_friendly_name(name)
        origins[name] = nodes
    return origins


def _profiled(request: Any, runs: int) -> tuple[Mapping[str, float], float]:
    """Return the mean time in ms of every layer that ran, by name, and of the whole run.

    A layer's counter gives the mean of all runs since the model was compiled. The first, which
    prepares the layers and may take a hundred times as long, is taken out again.
    """
    request.infer(share_outputs=True)
    first_ms = _means_ms(request)
    start = time.perf_counter_ns()
    for _ in range(runs):
        request.infer(share_outputs=True)
    whole_ms = (time.perf_counter_ns() - start) / 1e6 / runs
    times_ms = defaultdict(float)
    for name, mean_ms in _means_ms(request).items():
        # Means are cut to whole microseconds, so that a difference of small ones may fall below 0.
        times_ms[name] = max(0.0, ((runs + 1) * mean_ms - first_ms[name]) / runs)
    return times_ms, whole_ms


def _means_ms(request: Any) -> dict[str, float]:
    return {
        layer.node_name: layer.real_time.total_seconds() * 1e3 for layer in request.profiling_info
    }


def _read(proto: ModelProto, workload: Workload) -> Any:
    model = _core().read_model(proto.SerializeToString())
    if model.is_dynamic():  # the file leaves open what the workload says
        model.reshape({spec.name: list(spec.shape) for spec in workload.inputs})
    return model


def _request(compiled: Any, inputs: Mapping[str, Array]) -> Any:
    """Return a request that reads ``inputs`` where they are."""
    from openvino import Tensor

    request = compiled.create_infer_request()
    for number, port in enumerate(compiled.inputs):
        (values,) = (inputs[name] for name in port.get_names() if name in inputs)
        request.set_input_tensor(number, Tensor(np.ascontiguousarray(values), shared_memory=True))
    return request


@lru_cache(maxsize=1)
def _core() -> Any:
    from openvino import Core

    return Core()


def _reason(failure: Exception) -> str:
    """Return on one line what is wrong, without those lines that say where it was found."""
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    telling = [line for line in lines if not _PLACES.match(line)] or lines
    if not telling:
        return type(failure).__name__
    # A line that ends in a colon is about the next one.
    return " ".join(telling[: 2 if telling[0].endswith(":") else 1]).removeprefix("-- ")
