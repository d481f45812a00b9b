"""Engines of TensorRT: an ONNX model parsed, built for one GPU, and kept for the next time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from onnx import ModelProto

from latbench.errors import MeasurementError
from latbench.runtimes.engine_cache import EngineCache
from latbench.runtimes.half_precision import in_half_precision
from latbench.runtimes.naming import as_shown
from latbench.runtimes.tensorrt_messages import messages, reason, started
from latbench.spaces.workload import TensorSpec

_MOST_ERRORS = 3


@dataclass(frozen=True)
class Place:
    """What an engine or its timings may be used with again, and nothing else.

    Attributes:
        tensorrt: exact version.
        driver: the newest CUDA of the driver.
        instance: id of the card or board, see :class:`latbench.devices.Fingerprint`; another card
            of the same model times its kernels anew.
        compute_capability: that of the card; it tells slices of one card apart from the whole.
        name: what the driver calls the GPU, which names a slice of it too.
    """

    tensorrt: str
    driver: int
    instance: str
    compute_capability: tuple[int, ...]
    name: str


@dataclass(frozen=True)
class Build:
    """How to build.

    Attributes:
        precision: ``fp32``, with TF32 off, or ``fp16``.
        level: the builder's optimisation level; None for TensorRT's default.
        one_stream: whether everything must run on one stream, so that times of layers add up.
    """

    precision: str
    level: int | None = None
    one_stream: bool = False


@dataclass(frozen=True)
class Engine:
    """A deserialised engine.

    Attributes:
        engine: TensorRT's ``ICudaEngine``.
        sha256: of the serialised engine.
        built_ms: how long it was built; None for one that had been kept.
    """

    engine: Any
    sha256: str
    built_ms: float | None


def at_shapes(model: ModelProto, inputs: Iterable[TensorSpec]) -> ModelProto:
    """Set the shapes of ``inputs`` in ``model``, in place, and return it.

    TensorRT would need a range for each dimension that is open, and build for the range.
    """
    shapes = {spec.name: spec.shape for spec in inputs}
    for value in model.graph.input:
        if value.name in shapes:
            dims = value.type.tensor_type.shape.dim
            del dims[:]
            for size in shapes[value.name]:
                dims.add(dim_value=size)
    return model


def engine_of(
    trt: Any,
    model: ModelProto,
    shown: Mapping[str, str],
    build: Build,
    place: Place,
    cache: EngineCache,
) -> Engine:
    """Return the engine of ``model``, built now or taken from ``cache``.

    Args:
        trt: the module ``tensorrt``.
        model: with its weights and closed shapes.
        shown: the name of each of its nodes that people know.
        build: how to build it.
        place: what it is for.
        cache: where engines and timings of kernels are kept.

    Raises:
        MeasurementError: TensorRT refused it, and the text names the node; or cannot start now.
        UnavailableError: TensorRT cannot use the driver here.
    """
    weakly_typed = hasattr(trt.BuilderFlag, "FP16")
    if build.precision == "fp16" and not weakly_typed:
        model = in_half_precision(model)
    content = model.SerializeToString(deterministic=True)
    facts = {
        "kind": "engine",
        "model": _sha256(content),
        "build": asdict(build),
        "place": asdict(place),
    }
    kept = cache.get(facts)
    if kept is not None and (engine := _deserialised(trt, kept)) is not None:
        return Engine(engine, _sha256(kept), None)
    start = time.perf_counter()
    plan = _built(trt, model, content, shown, build, place, cache)
    built_ms = (time.perf_counter() - start) * 1e3
    cache.put(facts, plan)
    engine = _deserialised(trt, plan)
    if engine is None:
        raise MeasurementError(f"tensorrt cannot load the engine: {reason(trt, shown)}")
    return Engine(engine, _sha256(plan), built_ms)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _deserialised(trt: Any, plan: bytes) -> Any:
    """Return the engine, or None where this TensorRT does not take it."""
    runtime = started(trt, trt.Runtime)
    return runtime.deserialize_cuda_engine(plan)


def _built(
    trt: Any,
    model: ModelProto,
    content: bytes,
    shown: Mapping[str, str],
    build: Build,
    place: Place,
    cache: EngineCache,
) -> bytes:
    builder = started(trt, trt.Builder)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, messages(trt))
    if not parser.parse(content):
        raise MeasurementError(f"tensorrt refused it: {_parser_errors(trt, parser, model, shown)}")
    config = _config(trt, builder, build)
    timings = {"kind": "timings", "place": asdict(place)}
    _set_timings(config, cache.get(timings))
    messages(trt).take()  # timings that were refused are no reason
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise MeasurementError(f"tensorrt cannot build it: {reason(trt, shown)}")
    cache.put(timings, _bytes(config.get_timing_cache().serialize()))
    return _bytes(plan)


def _network_flags(trt: Any) -> int:
    """Return what a network from ONNX needs: the batch as a dimension, which 11 takes for granted.

    Flags have other numbers in every major version, and come by name only.
    """
    explicit = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    return 0 if explicit is None else 1 << int(explicit)


def _config(trt: Any, builder: Any, build: Build) -> Any:
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # it is on by default, and fp32 would be none
    if build.precision == "fp16" and hasattr(trt.BuilderFlag, "FP16"):
        config.set_flag(trt.BuilderFlag.FP16)
    # The layers' real precision, and the nodes they come from, are told in no other engine.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if build.level is not None:
        config.builder_optimization_level = build.level
    if build.one_stream and hasattr(config, "max_aux_streams"):
        config.max_aux_streams = 0
    return config


def _set_timings(config: Any, kept: bytes | None) -> None:
    """Let kernels that were timed before, on this card by this version, not be timed again."""
    timings = config.create_timing_cache(kept or b"")
    if timings is None or not config.set_timing_cache(timings, ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)


def _parser_errors(trt: Any, parser: Any, model: ModelProto, shown: Mapping[str, str]) -> str:
    told = []
    for number in range(min(parser.num_errors, _MOST_ERRORS)):
        error = parser.get_error(number)
        place, said = error.node(), as_shown(" ".join(str(error.desc()).split()), shown)
        # The index of an error that is about no node lies outside.
        if 0 <= place < len(model.graph.node):
            node = model.graph.node[place]
            said = f"node {shown.get(node.name, node.name)!r} ({node.op_type}): {said}"
        told.append(said)
    return "; ".join(dict.fromkeys(told)) or reason(trt, shown)


def _bytes(memory: Any) -> bytes:
    """Return the content of what TensorRT allocated."""
    return bytes(memoryview(memory))
