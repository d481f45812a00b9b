"""The fakes notice what the real libraries would punish: so the tests over them mean something."""

from __future__ import annotations

import ctypes
import gc
import struct
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.runtimes.fake_cuda import FakeGpu, make_libcuda, make_pycuda
from tests.runtimes.fake_tensorrt import make_tensorrt


class Machine:
    """A GPU whose context is current, with an engine that computes the square of ``x``."""

    def __init__(self, version: str = "10.4.0") -> None:
        self.gpu = FakeGpu()
        self.cuda: Any = make_pycuda(self.gpu)["pycuda.driver"]
        self.trt: Any = make_tensorrt(version, self.gpu)
        self.cuda.init()
        self.cuda.Device(0).retain_primary_context().push()
        self.logger = quiet(self.trt)
        self.stream = self.cuda.Stream()

    def engine(self) -> Any:
        """Build it."""
        builder = self.trt.Builder(self.logger)
        network = builder.create_network(1 << 0)
        assert self.trt.OnnxParser(network, self.logger).parse(square())
        config = builder.create_builder_config()
        config.set_timing_cache(config.create_timing_cache(b""), False)
        plan = builder.build_serialized_network(network, config)
        return self.trt.Runtime(self.logger).deserialize_cuda_engine(plan)

    def ready(self) -> tuple[Any, dict[str, Any]]:
        """Return a context of it and its buffers."""
        context = self.engine().create_execution_context()
        buffers = {name: self.cuda.mem_alloc(8) for name in "xy"}
        for name, buffer in buffers.items():
            context.set_tensor_address(name, int(buffer))
        return context, buffers


def quiet(trt: ModuleType) -> Any:
    """Return a logger that says nothing."""

    class Quiet(trt.ILogger):  # type: ignore[name-defined,misc]
        def log(self, severity: Any, msg: str) -> None:
            pass

    return Quiet()


def square() -> bytes:
    """Return the model, serialised."""
    make = helper.make_tensor_value_info
    x, y = (make(name, TensorProto.FLOAT, [2]) for name in "xy")
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "x"], ["y"], name="n0")], "g", [x], [y]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture
def machine() -> Machine:
    """A machine with TensorRT 10."""
    return Machine()


def test_what_is_right_works(machine: Machine) -> None:
    """Addresses, run, wait, copy: in this order."""
    context, buffers = machine.ready()
    machine.cuda.memcpy_htod(buffers["x"], np.array([2, 3], np.float32))
    assert context.execute_async_v3(machine.stream.handle)
    machine.stream.synchronize()
    result = np.zeros(2, np.float32)
    machine.cuda.memcpy_dtoh(result, buffers["y"])
    assert result.tolist() == [4.0, 9.0]


def test_a_run_needs_every_address(machine: Machine) -> None:
    """TensorRT would read whatever lies there."""
    context = machine.engine().create_execution_context()
    context.set_tensor_address("x", int(machine.cuda.mem_alloc(8)))
    with pytest.raises(AssertionError, match=r"no address was set for \{'y'\}"):
        context.execute_async_v3(machine.stream.handle)


def test_a_run_needs_live_buffers_that_are_large_enough(machine: Machine) -> None:
    """Freed memory may be anybody's by then."""
    context, buffers = machine.ready()
    buffers["y"].free()
    context.execute_async_v3(machine.stream.handle)
    with pytest.raises(AssertionError, match="is no buffer, or one that was freed"):
        machine.stream.synchronize()
    context.set_tensor_address("y", int(machine.cuda.mem_alloc(4)))
    context.execute_async_v3(machine.stream.handle)
    with pytest.raises(AssertionError, match="8 bytes in a buffer of 4"):
        machine.stream.synchronize()


def test_results_are_not_there_before_the_wait(machine: Machine) -> None:
    """A copy that overtakes the run would find the former result."""
    context, buffers = machine.ready()
    context.execute_async_v3(machine.stream.handle)
    with pytest.raises(AssertionError, match="a copy overtakes"):
        machine.cuda.memcpy_dtoh(np.zeros(2, np.float32), buffers["y"])


def test_while_a_stream_is_captured_nothing_waits_or_allocates(machine: Machine) -> None:
    """CUDA would end the capture with an error; what is captured is not run."""
    context, buffers = machine.ready()
    context.execute_async_v3(machine.stream.handle)
    machine.stream.synchronize()
    driver = make_libcuda(machine.gpu)
    event = machine.cuda.Event()
    assert driver.cuStreamBeginCapture_v2(machine.stream.handle, 1) == 0
    for what in (
        machine.stream.synchronize,
        event.query,
        lambda: machine.cuda.mem_alloc(8),
        lambda: machine.cuda.memcpy_dtoh(np.zeros(2, np.float32), buffers["y"]),
    ):
        with pytest.raises(machine.cuda.LogicError, match="stream is capturing"):
            what()
    assert context.execute_async_v3(machine.stream.handle)
    assert len(machine.gpu.captures[machine.stream.handle]) == 1
    assert machine.gpu.streams[machine.stream.handle] == []


def test_the_driver_refuses_what_is_no_graph(machine: Machine) -> None:
    """By the status that it returns, and by the types of its arguments."""
    driver = make_libcuda(machine.gpu)
    graph = ctypes.c_void_p()
    assert driver.cuStreamEndCapture(machine.stream.handle, ctypes.byref(graph)) == 401
    assert driver.cuGraphLaunch(7, machine.stream.handle) == 400
    driver.cuStreamBeginCapture_v2(machine.stream.handle, 1)
    assert driver.cuStreamEndCapture(machine.stream.handle, ctypes.byref(graph)) == 0
    executable = ctypes.c_void_p()
    assert driver.cuGraphInstantiateWithFlags(ctypes.byref(executable), graph, 0) == 901
    assert [driver.cuGraphDestroy(graph) for _ in range(2)] == [0, 1]
    with pytest.raises(ctypes.ArgumentError):
        driver.cuGraphLaunch(1.5, machine.stream.handle)


def test_a_kernel_is_found_by_its_name_and_launched_with_its_types(machine: Machine) -> None:
    """PTX ends with a zero byte; arguments are of the types that were prepared."""
    ptx = b".version 6.0\n.entry spin(.param .u64 n) { ret; }\0"
    with pytest.raises(AssertionError, match="reads PTX to its end"):
        machine.cuda.module_from_buffer(ptx[:-1])
    module = machine.cuda.module_from_buffer(ptx)
    with pytest.raises(machine.cuda.LogicError, match="named symbol not found"):
        module.get_function("spun")
    kernel = module.get_function("spin")
    with pytest.raises(AssertionError, match=r"prepare\(\) comes first"):
        kernel.prepared_async_call((1, 1), (1, 1, 1), machine.stream, 1)
    with pytest.raises(struct.error):
        kernel.prepare("Q").prepared_async_call((1, 1), (1, 1, 1), machine.stream, 0.5)


@pytest.mark.parametrize("name", ["mem_alloc", "Stream", "Event", "mem_get_info"])
def test_nothing_works_outside_of_a_context(machine: Machine, name: str) -> None:
    """The last push was popped."""
    machine.cuda.Context.pop()
    with pytest.raises(machine.cuda.LogicError, match="invalid device context"):
        getattr(machine.cuda, name)(*([8] if name == "mem_alloc" else []))
    with pytest.raises(machine.cuda.LogicError, match="invalid device context"):
        machine.cuda.Context.pop()


def test_what_ends_outside_of_its_context_is_noticed(machine: Machine) -> None:
    """The destructors of the real ones would fail there, or end the process."""
    context, _ = machine.ready()
    machine.cuda.Context.pop()
    del context
    gc.collect()
    assert sorted(machine.gpu.faults) == [
        "an engine ended outside of the GPU's context",
        "an execution context ended outside of the GPU's context",
    ]


def test_a_context_of_its_own_is_refused(machine: Machine) -> None:
    """And so is the module that makes one."""
    with pytest.raises(AssertionError, match="breaks PyTorch's"):
        machine.cuda.Device(0).make_context()
    assert not hasattr(machine.cuda, "autoinit")


def test_a_buffer_is_freed_once(machine: Machine) -> None:
    """As CUDA says."""
    buffer = machine.cuda.mem_alloc(8)
    buffer.free()
    with pytest.raises(machine.cuda.LogicError, match="freed twice"):
        buffer.free()


def test_a_plan_of_another_version_does_not_load(machine: Machine) -> None:
    """TensorRT gives nothing, and says why to the logger."""
    other = Machine("8.6.1")
    builder = other.trt.Builder(other.logger)
    network = builder.create_network(1)
    other.trt.OnnxParser(network, other.logger).parse(square())
    config = builder.create_builder_config()
    config.set_timing_cache(config.create_timing_cache(b""), False)
    plan = builder.build_serialized_network(network, config)
    assert machine.trt.Runtime(machine.logger).deserialize_cuda_engine(plan) is None


@pytest.mark.parametrize(
    ("version", "gone"),
    [
        ("8.5.3", ["IBuilderConfig.builder_optimization_level", "ICudaEngine.num_aux_streams"]),
        ("11.0", ["BuilderFlag.FP16", "NetworkDefinitionCreationFlag.EXPLICIT_BATCH"]),
    ],
)
def test_a_version_has_its_own_names_only(version: str, gone: list[str]) -> None:
    """What was not there yet, and what is gone, is an error to read and to set."""
    trt = make_tensorrt(version, FakeGpu())
    for place in gone:
        owner, name = place.split(".")
        assert not hasattr(getattr(trt, owner), name)
    config = getattr(trt, "IBuilderConfig")()  # noqa: B009 - a module has no such attribute for mypy
    with pytest.raises(AttributeError, match="max_workspace_size"):
        config.max_workspace_size = 1
    with pytest.raises(TypeError, match="profiling_verbosity"):
        config.profiling_verbosity = 2
