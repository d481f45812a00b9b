"""TensorRT, as far as can be told without a GPU: over fakes that are strict about the real API."""

from __future__ import annotations

import dataclasses
import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import latbench
from latbench import devices
from latbench.errors import LatbenchError, MeasurementError, UnavailableError, UsageError
from latbench.runtimes import Runtime, cuda_graph, random_inputs
from latbench.runtimes.run_times import RunTimes
from latbench.runtimes.runtime import Session
from latbench.runtimes.tensorrt import TensorRt
from latbench.runtimes.tensorrt_messages import messages
from latbench.runtimes.tensorrt_session import TensorRtSession
from latbench.runtimes.torch import TorchRuntime
from latbench.spaces import TensorSpec, Workload
from latbench.target import Target
from latbench.testing.runtimes import RuntimeSuite
from latbench.workflows.availability import obstacle, runtime_for
from tests.runtimes.fake_cuda import FakeGpu
from tests.runtimes.fake_tensorrt_parts import NO_KERNEL
from tests.runtimes.gpu_machine import VERSIONS, machine, put


class OnFakes(RuntimeSuite):
    """The suite on a machine of fakes."""

    version: ClassVar[str]
    precision: ClassVar[str] = "fp32"
    options: ClassVar[dict[str, str]] = {}

    @pytest.fixture(autouse=True)
    def gpu(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGpu]:
        """The GPU of the machine."""
        with machine(monkeypatch, tmp_path, self.version, self.device) as gpu:
            yield gpu

    def make_runtime(self) -> Runtime:
        return TensorRt()

    def make_target(self, runtime: Runtime, batch: int = 1) -> Target:
        return runtime.target(self.device, self.precision, batch, options=self.options)


class TestTensorRt85(OnFakes):
    version = "8.5.3.1"
    device = "v100"


class TestTensorRt86(OnFakes):
    version = "8.6.1"
    device = "v100"


class TestTensorRt10(OnFakes):
    version = "10.4.0"
    device = "v100"


class TestTensorRt11(OnFakes):
    version = "11.4.0.12"
    device = "h100"


class TestTensorRt10AsGraph(TestTensorRt10):
    options = {"launch": "graph"}  # noqa: RUF012


class TestTensorRt11ByTheGpusClock(TestTensorRt11):
    options = {"clock": "gpu", "l2": "cold"}  # noqa: RUF012


class TestTensorRt10InHalfPrecision(TestTensorRt10):
    precision = "fp16"
    tolerance = 1e-3  # the fake rounds the outputs alone


class TestTensorRt11InHalfPrecision(TestTensorRt11):
    precision = "fp16"
    tolerance = 2e-2  # eleven bits, and depth adds up their errors


@pytest.fixture(params=list(VERSIONS))
def version(request: pytest.FixtureRequest) -> str:
    """Each version in turn."""
    return str(request.param)


@pytest.fixture
def device(version: str) -> str:
    """A device that the version supports."""
    return VERSIONS[version]


@pytest.fixture
def gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, device: str
) -> Iterator[FakeGpu]:
    """The GPU of a machine with this version."""
    with machine(monkeypatch, tmp_path, version, device) as gpu:
        yield gpu


@pytest.fixture
def network() -> Workload:
    """A small network of inverted residuals."""
    space = latbench.space("digits-mobilenet", image_size=16)
    return space.network_workload([1] * 8)


def compiled(workload: Workload, device: str, precision: str = "fp32", **options: str) -> Any:
    """Return ``workload``, compiled; a session of TensorRT."""
    runtime = TensorRt()
    session: Session = runtime.compile(workload, runtime.target(device, precision, options=options))
    assert isinstance(session, TensorRtSession)
    return session


def hidden_by_python(cause: Exception) -> SystemError:
    """Return what importing a module raises that failed and said that it had not."""
    error = SystemError("initialization of _driver raised unreported exception")
    error.__cause__ = cause
    return error


# Building


@pytest.mark.usefixtures("gpu")
def test_fp32_is_built_without_tf32(network: Workload, device: str) -> None:
    """TensorRT rounds to TF32 by itself; precision and flags are read back from the engine."""
    session = compiled(network, device)
    assert session.precision_run == "fp32"
    assert head_of(session)["flags"] == []


@pytest.mark.usefixtures("gpu")
def test_fp16_is_a_flag_or_the_models_types(network: Workload, device: str, version: str) -> None:
    """Versions below 11 have the flag; 11 takes what the model says, so the model is turned."""
    session = compiled(network, device, "fp16")
    assert session.precision_run == "fp16"
    model = session._execution.engine._model
    weights = {tensor.data_type for tensor in model.graph.initializer}
    if version.startswith("11"):
        assert head_of(session)["flags"] == []
        assert TensorProto.FLOAT not in weights
    else:
        assert head_of(session)["flags"] == ["FP16"]
        assert TensorProto.FLOAT16 not in weights
    assert session.outputs(random_inputs(network.inputs))[0].dtype == np.float32


@pytest.mark.parametrize("version", ["8.6.1"], indirect=True)
@pytest.mark.usefixtures("gpu")
def test_the_level_of_the_builder_is_part_of_the_target(network: Workload) -> None:
    """A level is set as asked for, and makes another target and another engine."""
    plain, fast = compiled(network, "v100"), compiled(network, "v100", optimisation="0")
    assert [head_of(session)["level"] for session in (plain, fast)] == [3, 0]
    assert plain.build["engine_sha256"] != fast.build["engine_sha256"]


@pytest.mark.parametrize("version", ["8.5.3.1"], indirect=True)
@pytest.mark.usefixtures("gpu")
def test_levels_that_a_version_lacks_are_refused() -> None:
    """8.5 has none; what to do is said."""
    with pytest.raises(UnavailableError, match=r"8\.5\.3\.1 has no levels .* TensorRT 8\.6"):
        TensorRt().target("v100", options={"optimisation": "3"})
    with pytest.raises(UsageError, match="optimisation='6' is unknown; use one of 0, 1"):
        TensorRt().target("v100", options={"optimisation": "6"})


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
def test_a_device_that_the_version_dropped_is_refused(
    monkeypatch: pytest.MonkeyPatch, gpu: FakeGpu
) -> None:
    """The device profile says which is the newest; the reason names it, and how to get it."""
    assert TensorRt().target("v100").runtime_version == "10.4.0"
    older = TensorRt().target("v100")
    put(monkeypatch, gpu, "10.5.0")
    assert TensorRt().available() is None
    with pytest.raises(UnavailableError, match=r"10\.5\.0 .* v100, and 10\.4 is the newest"):
        TensorRt().check(older)
    with pytest.raises(UnavailableError, match=r"10\.5\.0 .* v100, and 10\.4 is the newest"):
        TensorRt().target("v100")
    assert TensorRt().target("h100").runtime_version == "10.5.0"
    with pytest.raises(UnavailableError, match="take the JetPack that brings it"):
        TensorRt().target("jetson-xavier")


@pytest.mark.parametrize("version", ["10.5.0"], indirect=True)
@pytest.mark.parametrize("device", ["v100"])
@pytest.mark.usefixtures("gpu")
def test_a_version_that_dropped_the_device_leaves_it_to_another_runtime(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where nobody asked for TensorRT, one that works is taken."""
    said = obstacle("tensorrt", devices.profile("v100"))
    assert said is not None
    assert "10.4 is the newest that does; run: pip install 'tensorrt==10.4.*'" in said
    monkeypatch.setattr(TorchRuntime, "available_on", lambda runtime, device: None)
    assert runtime_for(None, "v100").name == "torch"


@pytest.mark.usefixtures("gpu")
def test_an_operator_it_does_not_know_is_named_with_its_node(device: str) -> None:
    """The parser says the number of a node; people know its name."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="first"),
        helper.make_node("Frobnicate", ["a"], ["y"], name="the odd one"),
    ]
    with pytest.raises(
        MeasurementError, match=r"node 'the odd one' \(Frobnicate\): No .*: the odd one"
    ):
        compiled(file_of(nodes), device)


@pytest.mark.usefixtures("gpu")
def test_a_node_that_no_kernel_computes_is_named(device: str) -> None:
    """Neither the tactics that were tried nor what follows from it is the reason."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="first"),
        helper.make_node(NO_KERNEL, ["a"], ["y"], name="the odd one"),
    ]
    with pytest.raises(MeasurementError, match="cannot build it: ") as refused:
        compiled(file_of(nodes), device)
    said = str(refused.value)
    assert "any implementation for node {ForeignNode[first...the odd one]}" in said
    assert "Skipping" not in said
    assert "Assertion" not in said


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
def test_timings_that_were_refused_are_no_reason(gpu: FakeGpu, tmp_path: Path) -> None:
    """TensorRT tells of them as an error too, before it builds."""
    relu = file_of([helper.make_node("Relu", ["x"], ["y"], name="relu")])
    compiled(relu, "v100").close()
    trt = sys.modules["tensorrt"]
    gpu.memory_bytes = 0
    told: list[str] = []

    def refuse(config: Any, timings: Any, ignore_mismatch: bool) -> bool:
        messages(trt).log(trt.ILogger.ERROR, "the timing cache is of another card")
        told.append("timings")
        return True

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(trt.IBuilderConfig, "set_timing_cache", refuse)
        with pytest.raises(MeasurementError, match=r"cannot build it: \[allocator.*smaller batch"):
            compiled(relu, "v100", "fp16")
    assert told == ["timings"]


@pytest.mark.usefixtures("gpu")
def test_open_dimensions_are_closed(device: str) -> None:
    """A file may leave the batch open: the workload says it, and TensorRT builds for it alone."""
    workload = file_of([helper.make_node("Relu", ["x"], ["y"], name="relu")], ["batch", 4])
    (output,) = compiled(workload, device).outputs({"x": np.full((1, 4), -1, np.float32)})
    np.testing.assert_array_equal(output, np.zeros((1, 4)))


# The cache


def test_a_second_sweep_builds_nothing(gpu: FakeGpu, network: Workload, device: str) -> None:
    """Equal workloads of equal targets share an engine, in another process too."""
    first = compiled(network, device)
    assert gpu.builds == 1
    assert first.build["built_ms"] > 0
    second = compiled(dataclasses.replace(network, name="another name"), device)
    assert gpu.builds == 1
    assert second.build["built_ms"] is None
    assert second.build["engine_sha256"] == first.build["engine_sha256"]
    compiled(network, device, "fp16")
    assert gpu.builds == 2


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
def test_an_engine_of_another_version_is_not_used(
    monkeypatch: pytest.MonkeyPatch, gpu: FakeGpu, network: Workload, tmp_path: Path
) -> None:
    """After an update it is built anew, even if a file has got the name of the new one."""
    compiled(network, "v100").close()
    files = kept(tmp_path)
    put(monkeypatch, gpu, "8.6.1")
    assert compiled(network, "v100").build["built_ms"] is not None
    assert gpu.builds == 2
    for new in set(kept(tmp_path)) - set(files):
        new.write_bytes(files[0].read_bytes())  # what nobody should do
    assert compiled(network, "v100").build["built_ms"] is not None
    assert gpu.builds == 3


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
def test_an_engine_of_another_card_is_not_used(
    monkeypatch: pytest.MonkeyPatch, gpu: FakeGpu, network: Workload
) -> None:
    """Not even of the same model: its kernels were chosen by the times of the other one."""
    from latbench.runtimes import cuda

    compiled(network, "v100").close()
    cuda.gpu_for.cache_clear()
    other = dataclasses.replace(devices.require("v100"), instance="i1:another")
    monkeypatch.setattr(cuda, "require", lambda device: other)
    assert compiled(network, "v100").build["built_ms"] is not None
    assert gpu.builds == 2


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
def test_a_damaged_engine_is_built_anew(gpu: FakeGpu, network: Workload, tmp_path: Path) -> None:
    """A file that was cut off does not fit its checksum."""
    compiled(network, "v100").close()
    for file in kept(tmp_path):
        file.write_bytes(file.read_bytes()[:-1])
    assert compiled(network, "v100").build["built_ms"] is not None
    assert gpu.builds == 2


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
@pytest.mark.usefixtures("gpu")
def test_a_folder_that_cannot_be_written_is_told(
    monkeypatch: pytest.MonkeyPatch, network: Workload, tmp_path: Path
) -> None:
    """The reason says what to set, and no path, because reasons are handed on."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(LatbenchError, match="set XDG_CACHE_HOME to a folder") as refused:
        compiled(network, "v100")
    assert str(tmp_path) not in str(refused.value)


def kept(folder: Path) -> list[Path]:
    """Return the files of the cache, large ones first."""
    files = (folder / "latbench" / "tensorrt").iterdir()
    return sorted(files, key=lambda file: -file.stat().st_size)


# Running


def test_buffers_are_allocated_once(gpu: FakeGpu, network: Workload, device: str) -> None:
    """A run allocates nothing and copies nothing; closing frees all of it, twice or once."""
    session = compiled(network, device)
    before = dict(gpu.buffers)
    assert len(before) == 2
    session.run_once()
    session.outputs(random_inputs(network.inputs))
    assert gpu.buffers.keys() == before.keys()
    session.close()
    session.close()
    assert gpu.buffers == {}
    assert gpu.stack == []
    with pytest.raises(LatbenchError, match="closed; compile the workload again"):
        session.run_once()
    with pytest.raises(LatbenchError, match="closed; compile the workload again"):
        session.kernels()


def test_a_session_that_nobody_closes_frees_itself(
    gpu: FakeGpu, network: Workload, device: str
) -> None:
    """It ends with the last reference to it, and the primary context stays retained."""
    sessions = [compiled(network, device) for _ in range(2)]
    assert len(gpu.stack) == 1
    assert gpu.retained == 1
    sessions.clear()
    gc.collect()
    assert (gpu.stack, gpu.buffers) == ([], {})


@pytest.mark.parametrize("transfers", ["none", "both"])
def test_copies_are_in_the_run_only_when_asked_for(
    gpu: FakeGpu, network: Workload, device: str, transfers: str
) -> None:
    """By default inputs lie on the GPU; else they are brought, and outputs fetched, in each run."""
    session = compiled(network, device, transfers=transfers)
    buffers = list(gpu.buffers.values())
    for buffer in buffers:
        buffer[:] = bytes(len(buffer))
    session.run_once()
    brought = any(any(buffer) for buffer in buffers[:1])
    assert brought == (transfers == "both")
    expected = session.outputs(random_inputs(network.inputs))[0]
    session.run_once()
    if transfers == "both":
        (fetched,) = session._execution._copied[1].values()
        np.testing.assert_array_equal(fetched, expected)


@pytest.mark.usefixtures("gpu")
def test_three_times_are_kept_apart(network: Workload, device: str) -> None:
    """The GPU's is within what the host waits; putting a run into the stream is a part of it."""
    times = compiled(network, device).run_times(3)
    assert len(times.gpu_ms) == len(times.enqueue_ms) == len(times.e2e_ms) == 3
    for gpu_ms, enqueue_ms, e2e_ms in zip(
        times.gpu_ms, times.enqueue_ms, times.e2e_ms, strict=True
    ):
        assert gpu_ms > 0
        assert 0 < enqueue_ms < e2e_ms
    assert times.hidden


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
@pytest.mark.usefixtures("gpu")
def test_a_gpu_that_fails_in_a_run_is_told(
    monkeypatch: pytest.MonkeyPatch, network: Workload
) -> None:
    """By the wait for the run or by what puts it into the stream, whoever began it."""
    cuda = sys.modules["pycuda.driver"]
    says = r"the Tesla V100-SXM2-16GB cannot run it: cu\w+ failed: an illegal memory access"

    def fail(*_: Any) -> None:
        raise cuda.LogicError("cuStreamSynchronize failed: an illegal memory access was met")

    session = compiled(network, "v100", transfers="both", clock="gpu")
    runs = (
        lambda: session.outputs(random_inputs(network.inputs)),
        session.run_once,
        lambda: session.run_times(1),
        lambda: session.clock.time(session.begin, 1),
    )
    for run in runs:
        with monkeypatch.context() as broken:
            broken.setattr(cuda.Stream, "synchronize", fail)
            with pytest.raises(MeasurementError, match=says):
                run()
    calls = {
        "memcpy_htod_async": session.begin,
        "memcpy_dtoh_async": session.begin,
        "memcpy_htod": lambda: session.outputs(random_inputs(network.inputs)),
        "memcpy_dtoh": lambda: session.outputs(random_inputs(network.inputs)),
    }
    for name, call in calls.items():
        session.run_once()
        with monkeypatch.context() as broken:
            broken.setattr(cuda, name, fail)
            with pytest.raises(MeasurementError, match=says):
                call()


def test_work_that_waits_for_the_host_is_told() -> None:
    """Where the GPU waits for launches, the time between events is not the engine's own."""
    assert RunTimes((1.0, 1.0), (0.9, 0.9), (1.1, 1.1), hidden=True).enqueue_bound
    assert not RunTimes((1.0, 1.0), (0.7, 0.7), (1.1, 1.1), hidden=True).enqueue_bound


# Launches and clocks


def test_a_graph_is_one_launch_of_the_same_work(
    gpu: FakeGpu, network: Workload, device: str
) -> None:
    """It is captured after a first run, computes the same, and ends with the session."""
    plain, graph = compiled(network, device), compiled(network, device, launch="graph")
    assert len(gpu.graphs) == 1
    inputs = {spec.name: np.full(spec.shape, -0.5, spec.dtype) for spec in network.inputs}
    np.testing.assert_array_equal(graph.outputs(inputs)[0], plain.outputs(inputs)[0])
    launched = sys.modules["tensorrt"].IExecutionContext.execute_async_v3
    try:
        sys.modules["tensorrt"].IExecutionContext.execute_async_v3 = None
        graph.run_once()
    finally:
        sys.modules["tensorrt"].IExecutionContext.execute_async_v3 = launched
    graph.close()
    assert gpu.graphs == {}
    with pytest.raises(LatbenchError, match="closed; compile the workload again"):
        graph.begin()


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
def test_copies_are_a_part_of_the_graph(gpu: FakeGpu, network: Workload) -> None:
    """Inputs are brought and outputs fetched by the replay, from and to the same memory."""
    session = compiled(network, "v100", launch="graph", transfers="both")
    expected = session.outputs(random_inputs(network.inputs))[0]
    for buffer in gpu.buffers.values():
        buffer[:] = bytes(len(buffer))
    session.run_once()
    (fetched,) = session._execution._copied[1].values()
    np.testing.assert_array_equal(fetched, expected)


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
@pytest.mark.parametrize("what", ["refused", "empty"])
def test_what_cannot_be_captured_is_told(
    monkeypatch: pytest.MonkeyPatch, gpu: FakeGpu, network: Workload, what: str
) -> None:
    """The stream is usable again afterwards, and nothing is left."""
    trt = sys.modules["tensorrt"]
    launched = trt.IExecutionContext.execute_async_v3

    def launch(context: Any, stream: int) -> bool:
        capturing = bool(gpu.captures)
        return (what == "empty") if capturing else bool(launched(context, stream))

    monkeypatch.setattr(trt.IExecutionContext, "execute_async_v3", launch)
    says = {
        "refused": "tensorrt cannot run it: it gives no reason",
        "empty": r"as a CUDA graph \(cuGraphInstantiateWithFlags: CUDA_ERROR_STREAM_CAPTURE_INV.*"
        "use launch=stream",
    }
    with pytest.raises(MeasurementError, match=says[what]):
        compiled(network, "v100", launch="graph")
    assert (gpu.captures, gpu.graphs, gpu.stack) == ({}, {}, [])


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
@pytest.mark.usefixtures("gpu")
def test_an_old_driver_has_no_graphs(monkeypatch: pytest.MonkeyPatch, network: Workload) -> None:
    """The reason says which one has."""
    monkeypatch.delattr(cuda_graph._library(), "cuGraphInstantiateWithFlags")
    with pytest.raises(UnavailableError, match=r"launch=graph needs one of CUDA 11\.4 or newer"):
        compiled(network, "v100", launch="graph")


def test_the_gpus_clock_holds_the_stream(gpu: FakeGpu, network: Workload, device: str) -> None:
    """Runs are begun and not waited for; its events end with the session."""
    session = compiled(network, device, clock="gpu")
    assert TensorRt().target(device, options={"clock": "gpu"}).mode == "device"
    assert session.clock is not None
    gpu.holds_ns.clear()
    assert session.clock.time(session.begin, 2) > 0
    assert len(gpu.holds_ns) == 1
    assert session.clock.hidden
    gpu.prompt = True
    session.clock.time(session.begin, 1)
    assert not session.clock.hidden
    assert gpu.flushes == 0


def test_a_cold_cache_is_written_over(gpu: FakeGpu, network: Workload, device: str) -> None:
    """Before each run, by either clock; the memory for it is allocated once."""
    for options in ({"clock": "gpu", "l2": "cold"}, {"l2": "cold"}):
        session = compiled(network, device, **options)
        gpu.flushes = 0
        session.clock.time(session.begin, 3)
        assert gpu.flushes == 3
        assert sorted(map(len, gpu.buffers.values()))[-1] == 256 * 2**20
        session.close()
        assert gpu.buffers == {}


# Kernels


@pytest.mark.usefixtures("gpu")
def test_convolutions_take_in_their_activations(network: Workload, device: str) -> None:
    """The nodes of a fused layer come back under their own names, with its time and precision."""
    graph = compiled(network, device).kernels(runs=3)
    reformat, stem = graph.kernels[:2]
    assert reformat.inserted
    assert reformat.kind == "Reformat"
    assert stem.kind == "CaskConvolution"
    assert [name.rsplit("/", 1)[1] for name in stem.nodes] == ["Conv", "Clip"]
    assert stem.name == " + ".join(stem.nodes)
    assert stem.precision == "fp32"
    assert all(kernel.time_ms for kernel in graph.kernels)
    assert graph.whole_ms is not None
    assert graph.sum_ms is not None
    assert 0 < graph.sum_ms < graph.whole_ms


def test_an_engine_of_several_streams_is_profiled_on_one(
    gpu: FakeGpu, network: Workload, device: str, version: str
) -> None:
    """Times of layers that run side by side would not add up; 8.5 has one stream anyway."""
    session = compiled(network, device)
    several = head_of(session)["aux_streams"]
    session.kernels(runs=1)
    assert gpu.builds == (2 if several else 1)
    assert bool(several) == (not version.startswith("8.5"))


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
@pytest.mark.usefixtures("gpu")
def test_an_engine_that_cannot_be_read_is_timed(
    monkeypatch: pytest.MonkeyPatch, network: Workload
) -> None:
    """In the precision that was asked for, which is said; its kernels are not made up."""
    assert "precision_untold" not in compiled(network, "v100", "fp16").build
    monkeypatch.setattr(
        sys.modules["tensorrt"].EngineInspector,
        "get_engine_information",
        lambda *_: '{"Nodes": []}',
    )
    session = compiled(network, "v100", "fp16")
    assert session.precision_run == "fp16"
    assert "in a way that latbench does not know" in session.build["precision_untold"]
    session.run_once()
    with pytest.raises(MeasurementError, match="in a way that latbench does not know"):
        session.kernels()


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
@pytest.mark.usefixtures("gpu")
def test_a_profiler_that_is_told_nothing_is_noticed(
    monkeypatch: pytest.MonkeyPatch, network: Workload
) -> None:
    """TensorRT only returns that it did not report."""
    session = compiled(network, "v100")
    context = sys.modules["tensorrt"].IExecutionContext
    monkeypatch.setattr(context, "report_to_profiler", lambda context: False)
    with pytest.raises(MeasurementError, match="tells no times of layers: it gives no reason"):
        session.kernels()


# What is missing


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
def test_too_little_memory_is_a_failure_of_the_subject(
    gpu: FakeGpu, network: Workload, device: str
) -> None:
    """Buffers that do not fit, and a builder that finds no room, say what to do."""
    gpu.memory_bytes = 2**20
    compiled(network, device).close()
    gpu.memory_bytes = 2**20 - 1
    with pytest.raises(MeasurementError, match=r"out of memory\); take a smaller batch"):
        compiled(network, device, "fp16")
    gpu.memory_bytes = 2**9
    with pytest.raises(MeasurementError, match=r"do not fit into .* on the Tesla V100.*smaller"):
        compiled(network, device)


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
def test_too_little_memory_for_an_execution_is_told(gpu: FakeGpu, network: Workload) -> None:
    """When it is prepared, or when somebody else has taken the memory before a run."""
    session = compiled(network, "v100")
    gpu.scratch_bytes = gpu.memory_bytes
    with pytest.raises(MeasurementError, match=r"cannot run it: .*out of memory\); take a smaller"):
        session.run_once()
    before = dict(gpu.buffers)
    with pytest.raises(MeasurementError, match=r"cannot prepare .*out of memory\); take a smaller"):
        compiled(network, "v100")
    assert gpu.buffers.keys() == before.keys()
    gpu.scratch_bytes = 0
    session.run_once()


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
def test_too_little_memory_for_copies_is_told(gpu: FakeGpu, network: Workload) -> None:
    """They go through memory of the host that stays in place."""
    gpu.host_bytes = 0
    with pytest.raises(MeasurementError, match=r"out of memory: the host has no .* batch"):
        compiled(network, "v100", transfers="both")
    compiled(network, "v100")


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tensorrt": None}, r"tensorrt is not installed; run: pip install 'latbench\[tensorrt\]'"),
        ({"tensorrt": ModuleType("tensorrt")}, r"has no Builder: its bindings are missing"),
        ({"tensorrt": "8.4.3"}, r"TensorRT 8\.4\.3 is installed, and latbench drives 8\.5 to 11"),
        ({"tensorrt": "12.0"}, r"TensorRT 12\.0 is installed, .* pip install 'tensorrt>=8\.5\.3"),
        ({"pycuda": None}, r"pycuda is not installed; it is compiled .*cuda\.h"),
    ],
)
@pytest.mark.usefixtures("gpu")
def test_what_is_not_here_is_named(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], says: str
) -> None:
    """One line, with the package that is missing or wrong, and how to get it."""
    for name, module in change.items():
        if module is None:
            for one in [one for one in sys.modules if one.split(".")[0] == name]:
                monkeypatch.delitem(sys.modules, one)
            monkeypatch.setattr(sys, "meta_path", [Absent(name), *sys.meta_path])
        elif isinstance(module, str):
            monkeypatch.setattr(sys.modules[name], "__version__", module)
        else:
            monkeypatch.setitem(sys.modules, name, module)
    reason = TensorRt().available()
    with pytest.raises(UnavailableError, match=says):
        TensorRt().target("v100")
    assert reason is not None
    assert "\n" not in reason


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ImportError("libcuda.so.1: cannot open shared object file"), "no NVIDIA driver here"),
        (
            ImportError("libcurand.so.9: cannot open"),
            "for another CUDA or another NumPy; .*force-re",
        ),
        (
            RuntimeError("module compiled against ABI version 0x1000009"),
            r"\(module compiled .*NumPy",
        ),
        (hidden_by_python(ImportError("numpy.core.multiarray failed")), r"\(numpy\.core.*NumPy"),
    ],
)
@pytest.mark.usefixtures("gpu")
def test_a_pycuda_that_does_not_load_says_why(
    monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    """Without a driver there is no libcuda; built for another CUDA it wants other libraries.

    NumPy refuses one that was built for another NumPy, in a way that Python may hide.
    """
    monkeypatch.delitem(sys.modules, "pycuda.driver")
    monkeypatch.delattr(sys.modules["pycuda"], "driver")
    monkeypatch.setattr(sys, "meta_path", [Broken("pycuda", error), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "pycuda")
    assert_reason(says)


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
@pytest.mark.usefixtures("gpu")
def test_libraries_without_bindings_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two come as separate packages, and one may be there alone."""
    error = ImportError("libnvinfer.so.10: cannot open shared object file")
    monkeypatch.delitem(sys.modules, "tensorrt")
    monkeypatch.setattr(sys, "meta_path", [Broken("tensorrt", error), *sys.meta_path])
    assert_reason("libnvinfer.so.10.*separate packages of one version")


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
@pytest.mark.usefixtures("gpu")
def test_a_driver_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuInit fails without a card; a machine may also show none."""
    cuda = sys.modules["pycuda.driver"]

    def no_card(flags: int = 0) -> None:
        raise cuda.LogicError("cuInit failed: no CUDA-capable device is detected")

    init = cuda.init
    monkeypatch.setattr(cuda, "init", no_card)
    assert_reason("CUDA does not start .*no CUDA-capable device.*nvidia-smi")
    monkeypatch.setattr(cuda, "init", init)
    monkeypatch.setattr(cuda.Device, "count", staticmethod(lambda: 0))
    assert_reason("CUDA sees no GPU here.*CUDA_VISIBLE_DEVICES")


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
@pytest.mark.parametrize(
    ("severity", "text", "error", "says"),
    [
        ("ERROR", "with error: 35.", UnavailableError, r"\(CUDA init.* 35.*\).*take an older"),
        ("WARNING", "with error: 35.", UnavailableError, r"\(CUDA init.* 35.*\).*take an older"),
        ("ERROR", "with error 2.", MeasurementError, r": CUDA init.* 2\.; take a smaller batch"),
        ("ERROR", "with error: 700.", MeasurementError, r": CUDA init.* 700\.$"),
        ("VERBOSE", "", UnavailableError, r"\(pybind11.* nullptr\).*take an older"),
    ],
)
def test_a_tensorrt_that_does_not_start_says_why(
    monkeypatch: pytest.MonkeyPatch,
    gpu: FakeGpu,
    network: Workload,
    severity: str,
    text: str,
    error: type[Exception],
    says: str,
) -> None:
    """Its factories give nothing then, which the bindings tell as a TypeError.

    Too new for the driver, it is of no use here; full memory or a GPU that has failed are troubles
    of the moment.
    """
    trt = sys.modules["tensorrt"]

    def nothing(logger: Any) -> Any:
        told = f"CUDA initialization failure {text}" if text else "creating a builder"
        logger.log(getattr(trt.ILogger, severity), told)
        raise TypeError("pybind11::init(): factory function returned nullptr")

    monkeypatch.setattr(trt, "Builder", nothing)
    with pytest.raises(error, match=rf"10\.4\.0 does not start.*{says}"):
        compiled(network, "v100")
    assert gpu.stack == []


@pytest.mark.parametrize("version", ["10.4.0"], indirect=True)
@pytest.mark.usefixtures("gpu")
def test_another_card_than_the_one_that_is_here_is_refused() -> None:
    """CUDA may be kept from showing a card that the driver lists."""
    from latbench.runtimes.cuda import gpu_for

    with pytest.raises(UnavailableError, match="CUDA shows no h100 here but Tesla V100"):
        gpu_for("h100")


def assert_reason(says: str) -> None:
    """Assert that the runtime is missing, for a reason on one line."""
    with pytest.raises(UnavailableError, match=says) as refused:
        TensorRt().target("v100")
    assert "\n" not in str(refused.value)


class Absent:
    """Makes a package one that is not installed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.split(".")[0] == self._name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=self._name)


class Broken:
    """Makes a package one that fails when it is imported."""

    def __init__(self, name: str, error: Exception) -> None:
        self._name, self._error = name, error

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.split(".")[0] == self._name:
            raise self._error


def head_of(session: TensorRtSession) -> dict[str, Any]:
    """Return what the fake keeps of how an engine was built."""
    head: dict[str, Any] = session._execution.engine._head
    return head


def file_of(nodes: list[onnx.NodeProto], shape: list[Any] | None = None) -> Workload:
    """Return a user's file of ``nodes`` from ``x`` to ``y``."""
    make = helper.make_tensor_value_info
    values = [make(name, TensorProto.FLOAT, shape or [1, 4]) for name in "xy"]
    graph = helper.make_graph(nodes, "file", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    inputs = (TensorSpec("x", (1, 4), "float32"),)
    return Workload(
        "g1:x", "m.onnx", inputs, model.SerializeToString(), {"kind": "file"}, len(nodes)
    )
