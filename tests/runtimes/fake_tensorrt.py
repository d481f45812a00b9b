"""``tensorrt`` without a GPU: engines are computed by ONNX Runtime, in the memory of a fake GPU.

Each version has no name that the bindings of that version lack, which
``test_tensorrt_bindings.py`` holds against the real ones, and only those that latbench uses.
Types, the order of calls and lifetimes are checked more strictly than TensorRT does.
"""

from __future__ import annotations

import enum
import json
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto

from tests.runtimes.fake_cuda import FakeGpu
from tests.runtimes.fake_tensorrt_layers import described, fused, has_branches
from tests.runtimes.fake_tensorrt_parts import (
    BUILDER_FLAGS,
    BYTES,
    NETWORK_FLAGS,
    TYPES,
    Memory,
    Native,
    Property,
    computed_by,
    objections,
    of_release,
    refusal,
    values_of,
)


def make_tensorrt(version: str, gpu: FakeGpu) -> ModuleType:
    """Return the module ``tensorrt`` of ``version`` on a machine with ``gpu``."""
    release = int(version.split(".")[0]), int(version.split(".")[1])
    trt = ModuleType("tensorrt")

    def enumeration(name: str, members: Any) -> Any:
        return enum.IntEnum(name, members, module="tensorrt")

    BuilderFlag = enumeration("BuilderFlag", of_release(BUILDER_FLAGS, release))
    NetworkFlag = enumeration("NetworkDefinitionCreationFlag", of_release(NETWORK_FLAGS, release))
    DataType = enumeration("DataType", {n: i for i, n in enumerate(of_release(TYPES, release))})
    ProfilingVerbosity = enumeration(
        "ProfilingVerbosity", {"LAYER_NAMES_ONLY": 0, "NONE": 1, "DETAILED": 2}
    )
    TensorIOMode = enumeration("TensorIOMode", {"NONE": 0, "INPUT": 1, "OUTPUT": 2})
    TensorLocation = enumeration("TensorLocation", {"DEVICE": 0, "HOST": 1})
    LayerInformationFormat = enumeration("LayerInformationFormat", {"ONELINE": 0, "JSON": 1})

    class ILogger:
        Severity = enumeration(
            "Severity", {"INTERNAL_ERROR": 0, "ERROR": 1, "WARNING": 2, "INFO": 3, "VERBOSE": 4}
        )
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = Severity

        def __init__(self) -> None:
            self._made = True

        def log(self, severity: Any, msg: str) -> None:
            raise NotImplementedError('Tried to call pure virtual function "log"')

    def checked(logger: Any) -> Any:
        if not isinstance(logger, ILogger) or not getattr(logger, "_made", False):
            raise TypeError("incompatible constructor arguments: ILogger.__init__ was not called")
        return logger

    loggers: list[Any] = []

    def start(logger: Any) -> None:
        """Begin as every factory does."""
        checked(logger)
        assert not loggers or loggers[0] is logger, "TensorRT keeps its first logger, and warns"
        loggers[:] = [logger]
        if not gpu.stack:
            logger.log(ILogger.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")

    def fail(text: str) -> None:
        loggers[0].log(ILogger.ERROR, text)

    def has_room() -> bool:
        return gpu.used_bytes() + gpu.scratch_bytes <= gpu.memory_bytes

    class IProfiler:
        def __init__(self) -> None:
            self._made = True

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            raise NotImplementedError('Tried to call pure virtual function "report_layer_time"')

    class ITimingCache(Native):
        def __init__(self, content: bytes) -> None:
            self._content = content

        def serialize(self) -> Memory:
            return Memory(self._content)

    class IBuilderConfig(Native):
        profiling_verbosity = Property(ProfilingVerbosity, ProfilingVerbosity.LAYER_NAMES_ONLY)
        if release >= (8, 6):
            builder_optimization_level = Property(int, 3)
            max_aux_streams = Property(int, -1)

        def __init__(self) -> None:
            self._flags = {BuilderFlag.TF32}
            self._timings: ITimingCache | None = None

        def set_flag(self, flag: Any) -> None:
            assert isinstance(flag, BuilderFlag)
            self._flags.add(flag)

        def clear_flag(self, flag: Any) -> None:
            assert isinstance(flag, BuilderFlag)
            self._flags.discard(flag)

        def create_timing_cache(self, serialized_timing_cache: Any) -> ITimingCache:
            return ITimingCache(bytes(memoryview(serialized_timing_cache)))

        def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
            assert type(ignore_mismatch) is bool
            if cache._content and not cache._content.startswith(version.encode()):
                fail("the timing cache is of another version")
                return ignore_mismatch
            self._timings = cache
            return True

        def get_timing_cache(self) -> ITimingCache | None:
            return self._timings

    class INetworkDefinition(Native):
        def __init__(self, flags: int) -> None:
            self._flags = flags
            self._model: ModelProto | None = None

    class ParserError(Native):
        def __init__(self, text: str, place: int) -> None:
            self._text, self._place = text, place

        def desc(self) -> str:
            return self._text

        def node(self) -> int:
            return self._place

    class OnnxParser(Native):
        def __init__(self, network: INetworkDefinition, logger: Any) -> None:
            checked(logger)
            assert isinstance(network, INetworkDefinition)
            explicit = getattr(NetworkFlag, "EXPLICIT_BATCH", 0)
            assert release >= (10, 0) or network._flags == 1 << int(explicit), "no explicit batch"
            self._network = network
            self._errors: list[ParserError] = []

        def parse(self, model: Any, path: str | None = None) -> bool:
            self._errors = [ParserError(*one) for one in objections(model, release)]
            if not self._errors:
                self._network._model = onnx.load_model_from_string(bytes(memoryview(model)))
            return not self._errors

        @property
        def num_errors(self) -> int:
            return len(self._errors)

        def get_error(self, index: int) -> ParserError:
            return self._errors[index]

    class Builder(Native):
        def __init__(self, logger: Any) -> None:
            start(logger)

        def create_network(self, flags: int = 0) -> INetworkDefinition:
            assert type(flags) is int
            known = sum(1 << int(flag) for flag in NetworkFlag)
            assert flags & ~known == 0, "a flag that this version does not have"
            return INetworkDefinition(flags)

        def create_builder_config(self) -> IBuilderConfig:
            return IBuilderConfig()

        def build_serialized_network(self, network: Any, config: Any) -> Memory | None:
            gpu.require_current()
            assert isinstance(network, INetworkDefinition)
            assert isinstance(config, IBuilderConfig)
            assert network._model is not None, "the network was not parsed"
            if gpu.memory_bytes < 2**20:
                fail("[allocator.cpp::reserve::1] Error Code 1: Cuda Runtime (out of memory)")
                return None
            if errors := refusal(network._model, release):
                for text in errors:
                    fail(text)
                return None
            if any(-1 in shape for _, _, shape in values_of(network._model.graph.input)):
                fail("Network has dynamic or shape inputs, but no optimization profile")
                return None
            gpu.builds += 1
            assert config._timings is not None, "kernels would be timed again in every build"
            config._timings._content = version.encode() + b" timings"
            several = has_branches(network._model) and getattr(config, "max_aux_streams", 0) != 0
            head = {
                "version": version,
                "detailed": config.profiling_verbosity == ProfilingVerbosity.DETAILED,
                "flags": sorted(flag.name for flag in config._flags),
                "level": getattr(config, "builder_optimization_level", None),
                "aux_streams": int(several),
            }
            return Memory(json.dumps(head).encode() + b"\n" + network._model.SerializeToString())

    class EngineInspector(Native):
        def __init__(self, engine: Any) -> None:
            self._engine = engine

        def get_engine_information(self, format: Any) -> str:
            assert format is LayerInformationFormat.JSON
            return described(self._engine._model, self._engine._head, release)

    class IExecutionContext(Native):
        profiler = Property(IProfiler)
        enqueue_emits_profile = Property(bool, True)
        nvtx_verbosity = Property(ProfilingVerbosity)

        def __init__(self, engine: Any) -> None:
            self._engine = engine
            self._addresses: dict[str, int] = {}
            self._took_ms: float | None = None
            self._ran = False

        def set_tensor_address(self, name: str, memory: int) -> bool:
            assert type(memory) is int
            self._engine._require(name)
            self._addresses[name] = memory
            return True

        def execute_async_v3(self, stream_handle: int) -> bool:
            gpu.require_current()
            assert type(stream_handle) is int
            missing = set(self._engine._tensors) - set(self._addresses)
            assert not missing, f"no address was set for {missing}"
            assert self.profiler is None or not self.enqueue_emits_profile
            if stream_handle in gpu.captures and not self._ran:
                fail("IExecutionContext::enqueueV3: capture before the first run")
                return False
            if not has_room():
                fail("IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime (out of memory)")
                return False
            self._took_ms = None
            gpu.put(stream_handle, self._run)
            return True

        def _run(self) -> None:
            start = time.perf_counter()
            self._engine._compute(self._addresses)
            self._took_ms = (time.perf_counter() - start) * 1e3
            self._ran = True

        def report_to_profiler(self) -> bool:
            assert self._took_ms is not None, "the run has not ended"
            names = self._engine._layer_names()
            for name in names:
                self.profiler.report_layer_time(name, self._took_ms / len(names))
            return True

        def __del__(self) -> None:
            if not gpu.stack:
                gpu.faults.append("an execution context ended outside of the GPU's context")

    class ICudaEngine(Native):
        def __init__(self, head: dict[str, Any], model: ModelProto) -> None:
            self._head, self._model = head, onnx.shape_inference.infer_shapes(model)
            graph = self._model.graph
            rows = [*values_of(graph.input), *values_of(graph.output)]
            inputs = len(graph.input)
            self._tensors = {
                name: (_engine_type(kind), shape, number < inputs)
                for number, (name, kind, shape) in enumerate(rows)
            }
            self._onnx = computed_by(model)

        def _require(self, name: str) -> Any:
            assert name in self._tensors, f"the engine has no tensor {name!r}"
            return self._tensors[name]

        def _layer_names(self) -> list[str]:
            return [layer.name for layer in fused(self._model)]

        def _compute(self, addresses: dict[str, int]) -> None:
            known = {value.name: value.type for value in self._onnx.get_inputs()}
            fed = {}
            for name, (kind, shape, is_input) in self._tensors.items():
                if is_input and name in known:
                    memory = _view(addresses[name], kind, shape)
                    values: Any = np.frombuffer(memory, BYTES[kind])
                    wanted = np.int64 if known[name] == "tensor(int64)" else values.dtype
                    fed[name] = values.reshape(shape).astype(wanted)
            for value, given in zip(
                self._onnx.get_outputs(), self._onnx.run(None, fed), strict=True
            ):
                kind, shape, _ = self._tensors[value.name]
                if "FP16" in self._head["flags"] and given.dtype == np.float32:
                    given = given.astype(np.float16)
                target = _view(addresses[value.name], kind, shape)
                target[:] = np.ascontiguousarray(given, BYTES[kind]).tobytes()

        @property
        def num_io_tensors(self) -> int:
            return len(self._tensors)

        if release >= (8, 6):

            @property
            def num_aux_streams(self) -> int:
                return int(self._head["aux_streams"])

        def get_tensor_name(self, index: int) -> str:
            return list(self._tensors)[index]

        def get_tensor_mode(self, name: str) -> Any:
            return TensorIOMode.INPUT if self._require(name)[2] else TensorIOMode.OUTPUT

        def get_tensor_shape(self, name: str) -> Any:
            return tuple(self._require(name)[1])

        def get_tensor_dtype(self, name: str) -> Any:
            return DataType[self._require(name)[0]]

        def get_tensor_location(self, name: str) -> Any:
            self._require(name)
            return TensorLocation.DEVICE

        def create_execution_context(self) -> IExecutionContext | None:
            gpu.require_current()
            if not has_room():
                fail("[defaultAllocator.cpp::19] Error Code 1: Cuda Runtime (out of memory)")
                fail("[executionContext.cpp::470] Error Code 2: OutOfMemory ()")
                return None
            return IExecutionContext(self)

        def create_engine_inspector(self) -> EngineInspector:
            return EngineInspector(self)

        def __del__(self) -> None:
            if not gpu.stack:
                gpu.faults.append("an engine ended outside of the GPU's context")

    def _view(address: int, kind: str, shape: tuple[int, ...]) -> memoryview:
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(BYTES[kind]).itemsize
        return memoryview(gpu.bytes_at(address, size))[:size]

    def _engine_type(kind: str) -> str:
        return "INT32" if kind == "INT64" and release < (10, 0) else kind

    class Runtime(Native):
        def __init__(self, logger: Any) -> None:
            start(logger)

        def deserialize_cuda_engine(self, serialized_engine: Any) -> ICudaEngine | None:
            gpu.require_current()
            line, _, model = bytes(memoryview(serialized_engine)).partition(b"\n")
            try:
                head = json.loads(line)
            except ValueError:
                fail("Serialization assertion magicTagRead == kMAGIC_TAG failed")
                return None
            if head["version"] != version:
                fail(f"The engine plan file is not compatible with this version: {version}")
                return None
            return ICudaEngine(head, onnx.load_model_from_string(model))

    def init_libnvinfer_plugins(logger: Any, namespace: str) -> bool:
        checked(logger)
        return namespace == ""

    for value in (
        *(BuilderFlag, NetworkFlag, DataType, ProfilingVerbosity, TensorIOMode, TensorLocation),
        *(LayerInformationFormat, ILogger, IProfiler, ITimingCache, IBuilderConfig),
        *(INetworkDefinition, ParserError, OnnxParser, Builder, EngineInspector),
        *(IExecutionContext, ICudaEngine, Runtime, init_libnvinfer_plugins),
    ):
        setattr(trt, value.__name__, value)
    trt.__version__ = version  # type: ignore[attr-defined]
    return trt


def names_of(trt: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield every public name of a fake as (class or nothing, name)."""
    for name, value in vars(trt).items():
        if name.startswith("_"):
            continue
        yield "", name
        if not isinstance(value, type):
            continue
        members = value.__members__ if issubclass(value, enum.Enum) else vars(value)
        yield from ((name, member) for member in members if not member.startswith("_"))
