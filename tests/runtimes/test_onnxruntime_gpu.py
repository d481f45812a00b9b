"""ONNX Runtime on GPUs, as far as can be told without one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import latbench
from latbench.devices import CardFacts, fingerprint, visible
from latbench.devices.driver import Card
from latbench.errors import MeasurementError, UnavailableError
from latbench.runtimes import Runtime, random_inputs
from latbench.runtimes.onnxruntime_gpu import OnnxRuntimeCuda, OnnxRuntimeTensorRt, started
from latbench.spaces import Workload
from latbench.spaces.weights import with_weights
from latbench.spaces.workload import TensorSpec

RUNTIMES = [OnnxRuntimeCuda, OnnxRuntimeTensorRt]
CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
PROCESSOR = "CPUExecutionProvider"
CARD = Card(
    "Tesla V100-SXM2-16GB",
    "GPU-5ee0-17",
    CardFacts(2**34, "550.1", 300, 1530, "7.0", None, None),
)


@pytest.fixture
def workload() -> Workload:
    """A block."""
    space = latbench.space("digits-mobilenet", image_size=16)
    return space.block_workload(space.blocks[1])


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A card, and a build of ONNX Runtime that says it has both providers."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA])
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for module in (fingerprint, visible):
        monkeypatch.setattr(module, "read_cards", lambda: ([CARD], None))
    started.cache_clear()
    yield
    started.cache_clear()


@pytest.fixture
def card(gpu: None, monkeypatch: pytest.MonkeyPatch) -> type[_Gpu]:
    """A card on which both providers start; what the first takes is theirs."""
    fresh: dict[str, Any] = {
        "Real": onnxruntime.InferenceSession,
        "calls": [],
        "made": [],
        "elsewhere": {},
        "fails": None,
        "version": "10.4",
        "built": 0,
    }
    for name, value in fresh.items():
        monkeypatch.setattr(_Gpu, name, value, raising=False)
    monkeypatch.setattr(onnxruntime, "InferenceSession", _Gpu)
    monkeypatch.setattr(onnxruntime, "OrtValue", _Value)
    return _Gpu


@pytest.mark.parametrize(
    ("runtime", "provider"), list(zip(RUNTIMES, [CUDA, TENSORRT], strict=True))
)
def test_a_build_without_the_provider_says_which_has_it(
    monkeypatch: pytest.MonkeyPatch, runtime: type[Runtime], provider: str
) -> None:
    """The provider is named, and the package that brings it."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    reason = str(runtime().available())
    assert f"no {provider}" in reason
    assert "pip install onnxruntime-gpu" in reason
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [provider])
    assert runtime().available() is None


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_they_never_serve_a_processor(runtime: type[Runtime]) -> None:
    """What runs on a GPU must not be stored under the name of a processor."""
    assert set(runtime.device_kinds) == {"gpu", "soc"}


@pytest.mark.usefixtures("gpu")
@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="there is a GPU build")
@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_provider_that_does_not_start_is_no_fault_of_a_workload(
    workload: Workload, runtime: type[Runtime]
) -> None:
    """ONNX Runtime would go on without it, and the processor would be timed."""
    made = runtime()
    says = r"ExecutionProvider does not start here \(its libraries do not load\).* here is 550\.1$"
    with pytest.raises(UnavailableError, match=says):
        made.compile(workload, made.target("v100"))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_driver_that_is_too_old_is_named(
    card: type[_Gpu], workload: Workload, runtime: type[Runtime]
) -> None:
    """ONNX Runtime raises what CUDA says; it is asked once, not with every workload."""
    card.fails = "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version"
    made = runtime()
    with pytest.raises(UnavailableError, match=r"failure 35: .*nvidia-smi .* here is 550\.1"):
        made.compile(workload, made.target("v100"))
    card.fails = None
    made.compile(workload, made.target("v100"))
    made.compile(workload, made.target("v100"))
    assert len(card.made) == 4
    assert card.made[1].nodes == ["Neg"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_would_run_on_the_processor_is_refused(
    card: type[_Gpu], workload: Workload, runtime: type[Runtime]
) -> None:
    """A node that no provider of the card takes goes there, and ONNX Runtime says nothing."""
    card.elsewhere = {"Conv": PROCESSOR, "FusedConv": PROCESSOR}
    made = runtime()
    with pytest.raises(MeasurementError, match=r"\((Fused)?Conv\) would run on the processor"):
        made.compile(workload, made.target("v100"))


def test_what_computes_shapes_is_no_work_for_the_processor(card: type[_Gpu]) -> None:
    """The shapes of a file are closed before it is compiled, so that nothing computes them."""
    make = helper.make_tensor_value_info
    x = make("x", TensorProto.FLOAT, ["n", 4])
    y = make("y", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Neg", ["x"], ["negative"]),
        helper.make_node("Reshape", ["negative", "shape"], ["y"]),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    card.elsewhere = {"Shape": PROCESSOR}
    runtime = OnnxRuntimeCuda()
    session = runtime.compile(_file(model.SerializeToString(), (3, 4)), runtime.target("v100"))
    assert set(session.build["nodes"]) == {CUDA}


def test_it_is_told_which_provider_runs_how_many_nodes(
    card: type[_Gpu], workload: Workload
) -> None:
    """What TensorRT does not take runs on CUDA, and in fp16 the precision is two."""
    runtime = OnnxRuntimeTensorRt()
    whole = runtime.compile(workload, runtime.target("v100", "fp16"))
    assert list(whole.build["nodes"]) == [TENSORRT]
    assert whole.precision_run == "fp16"
    assert "which layers it keeps in fp32" in whole.build["precision_untold"]
    card.elsewhere = {"Add": CUDA, "Clip": CUDA, "Relu": CUDA}
    space = latbench.space("nasbench201", image_size=8, cells=1)
    network = space.network_workload([3, 2, 1, 4, 3, 2])
    for precision, run in (("fp32", "fp32"), ("fp16", "amp")):
        mixed = runtime.compile(network, runtime.target("v100", precision))
        assert set(mixed.build["nodes"]) == {TENSORRT, CUDA}
        assert mixed.precision_run == run


def test_a_model_of_which_tensorrt_takes_nothing_is_refused(card: type[_Gpu]) -> None:
    """It would be timed on CUDA, under TensorRT's name."""
    card.elsewhere = {"Neg": CUDA}
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [x], [y])
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    runtime = OnnxRuntimeTensorRt()
    with pytest.raises(MeasurementError, match=r"takes nothing of it.* --runtime onnxruntime-cuda"):
        runtime.compile(_file(model.SerializeToString(), (3,)), runtime.target("v100"))


# Engines


def test_a_second_process_builds_no_engine(card: type[_Gpu], workload: Workload) -> None:
    """The provider finds the engine, and the times of kernels, of the first one."""
    runtime = OnnxRuntimeTensorRt()
    first = runtime.compile(workload, runtime.target("v100"))
    assert card.built == 1
    second = runtime.compile(workload, runtime.target("v100"))
    assert card.built == 1
    assert first.build["built_ms"] > 0
    assert second.build["built_ms"] is None
    assert first.build["engines_sha256"] == second.build["engines_sha256"] != []
    inputs = random_inputs(workload.inputs)
    np.testing.assert_array_equal(first.outputs(inputs)[0], second.outputs(inputs)[0])


def test_engines_are_kept_for_one_model_card_and_precision(
    card: type[_Gpu], workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider names them by names of tensors, and would take another model's."""
    runtime = OnnxRuntimeTensorRt()
    space = latbench.space("digits-mobilenet", image_size=16)
    wider = space.block_workload(space.blocks[-1])
    for one, precision in ((workload, "fp32"), (workload, "fp16"), (wider, "fp32")):
        runtime.compile(one, runtime.target("v100", precision))
    assert card.built == 3
    other = replace(CARD, uuid="GPU-another")
    for module in (fingerprint, visible):
        monkeypatch.setattr(module, "read_cards", lambda: ([other], None))
    started.cache_clear()
    runtime.compile(workload, runtime.target("v100"))
    assert card.built == 4


def test_engines_of_another_tensorrt_are_built_anew(card: type[_Gpu], workload: Workload) -> None:
    """It refuses engines and timings of the former one, and those that are new are kept."""
    runtime = OnnxRuntimeTensorRt()
    runtime.compile(workload, runtime.target("v100"))
    card.version = "10.9"
    assert runtime.compile(workload, runtime.target("v100")).build["built_ms"] is not None
    assert runtime.compile(workload, runtime.target("v100")).build["built_ms"] is None
    assert card.built == 2


def test_an_engine_that_was_cut_off_is_not_shown_to_the_provider(
    card: type[_Gpu], workload: Workload, tmp_path: Path
) -> None:
    """It would take it for one."""
    runtime = OnnxRuntimeTensorRt()
    runtime.compile(workload, runtime.target("v100"))
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1])
    made = len(card.made)
    runtime.compile(workload, runtime.target("v100"))
    assert card.built == 2
    assert len(card.made) == made + 1


@pytest.mark.usefixtures("gpu")
def test_options_of_the_providers() -> None:
    """In fp32 no multiplication is rounded to TF32, by neither provider."""
    cuda, tensorrt = OnnxRuntimeCuda(), OnnxRuntimeTensorRt()
    assert cuda.providers(cuda.target("v100")) == [(CUDA, {"use_tf32": "0"})]
    half, _ = tensorrt.providers(tensorrt.target("v100", "fp16"))
    assert half == (TENSORRT, {"trt_fp16_enable": "True"})
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "1"
    full, second = tensorrt.providers(tensorrt.target("v100"))
    assert full == (TENSORRT, {"trt_fp16_enable": "False"})
    assert second[0] == CUDA
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"


def test_nothing_is_copied_in_a_run(card: type[_Gpu], workload: Workload) -> None:
    """Inputs and outputs are bound to the device once, and a run waits until it is done."""
    runtime = OnnxRuntimeCuda()
    session = runtime.compile(workload, runtime.target("v100"))
    assert card.calls == ["in input cuda", "out output cuda", "run", "wait", "end of profile"]
    card.calls.clear()
    session.run_once()
    assert card.calls == ["run", "wait"]
    inputs = random_inputs(workload.inputs)
    model = with_weights(workload.model).SerializeToString()
    (expected,) = card.Real(model, providers=[PROCESSOR]).run(None, inputs)
    np.testing.assert_array_equal(session.outputs(inputs)[0], expected)


@pytest.mark.parametrize(
    "said",
    [
        "Non-zero status code while running Conv node.\nbfc_arena.cc: Failed to allocate memory",
        "CUDA failure 2: out of memory ; GPU=0",
    ],
)
@pytest.mark.parametrize("step", ["build", "run"])
def test_too_little_memory_is_one_line(
    monkeypatch: pytest.MonkeyPatch, card: type[_Gpu], workload: Workload, said: str, step: str
) -> None:
    """In the build and in a run; what to do is said."""

    def fail(*arguments: Any, **options: Any) -> None:
        raise RuntimeError(said)

    runtime = OnnxRuntimeCuda()
    session = runtime.compile(workload, runtime.target("v100"))
    monkeypatch.setattr(_Gpu, "__init__" if step == "build" else "run_with_iobinding", fail)
    with pytest.raises(MeasurementError, match="take a smaller batch, or end what") as refused:
        session.run_once() if step == "run" else runtime.compile(workload, runtime.target("v100"))
    assert str(refused.value).startswith("onnxruntime ")
    assert "\n" not in str(refused.value)


def _file(model: bytes, shape: tuple[int, ...]) -> Workload:
    """Return the workload of a user's file that reads ``x``."""
    inputs = (TensorSpec("x", shape, "float32"),)
    return Workload(
        id="0", name="m.onnx", inputs=inputs, model=model, recipe={"kind": "file"}, nodes=1
    )


class _Value:
    """Stands for memory of the device."""

    def __init__(self, values: Any, device: str) -> None:
        self.values, self.device = values, device

    @classmethod
    def ortvalue_from_numpy(cls, values: Any, device: str, number: int) -> _Value:
        return cls(values, device)


class _Gpu:
    """A session and its binding, which write down what is done; the processor computes.

    Attributes:
        made: the sessions.
        nodes: the operators of this one.
        elsewhere: the provider of operators that the preferred one does not take.
        fails: what a session says instead of starting.
        version: of TensorRT, whose provider keeps engines as the real one does.
        built: engines that it built.
    """

    Real: Any
    calls: list[str]
    made: list[_Gpu]
    elsewhere: dict[str, str]
    fails: str | None
    version: str
    built: int

    def __init__(
        self,
        model: bytes,
        settings: Any = None,
        *,
        providers: list[Any],
        enable_fallback: int = 1,
    ) -> None:
        assert not enable_fallback, "a failure would be followed by a session on the processor"
        type(self).made.append(self)
        graph = onnx.load_model_from_string(model).graph
        self.nodes = [node.op_type for node in graph.node]
        given = [(one, {}) if isinstance(one, str) else one for one in providers]
        self._providers = [name for name, _ in given]
        if self.fails is not None:
            raise RuntimeError(self.fails)
        first, options = given[0]
        if first == TENSORRT and "trt_engine_cache_path" in options:
            self._find_engine(graph, options)
        self._session = self.Real(model, settings, providers=[PROCESSOR])

    def _find_engine(self, graph: Any, options: dict[str, str]) -> None:
        """Take an engine by the names in the graph, whatever else is in it, or build it."""
        assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "True"
        named = repr([name for node in graph.node for name in node.output])
        digest = hashlib.sha256(named.encode()).hexdigest()[:8]
        engine = Path(options["trt_engine_cache_path"]) / f"TRTKernel_graph_{digest}_0.engine"
        timings = Path(options["trt_timing_cache_path"]) / "cache_sm70.timing"
        for kept in (engine, timings):
            if kept.exists() and kept.read_text() != f"of TensorRT {self.version}":
                raise RuntimeError(f"TensorRT EP could not deserialize {kept.name} from cache")
        if not engine.exists():
            type(self).built += 1
        for path in (engine, timings):
            path.write_text(f"of TensorRT {self.version}")

    def end_profiling(self) -> str:
        self.calls.append("end of profile")
        path = Path(self._session.end_profiling())
        events = json.loads(path.read_text())
        for event in events:
            told = event.get("args", {})
            if "provider" in told:
                told["provider"] = self.elsewhere.get(told["op_name"], self._providers[0])
        path.write_text(json.dumps(events))
        return str(path)

    def get_providers(self) -> list[str]:
        return self._providers

    def get_inputs(self) -> Any:
        return self._session.get_inputs()

    def get_outputs(self) -> Any:
        return self._session.get_outputs()

    def io_binding(self) -> _Binding:
        return _Binding(self)

    def run_with_iobinding(self, binding: _Binding) -> None:
        self.calls.append("run")
        binding.given = self._session.run(None, binding.fed)


class _Binding:
    """What a session reads and writes, all of it on the device."""

    def __init__(self, session: _Gpu) -> None:
        self._calls = session.calls
        self.fed: dict[str, Any] = {}
        self.given: list[Any] = []

    def bind_ortvalue_input(self, name: str, value: _Value) -> None:
        self._calls.append(f"in {name} {value.device}")
        self.fed[name] = value.values

    def bind_output(self, name: str, device: str, number: int) -> None:
        self._calls.append(f"out {name} {device}")

    def synchronize_outputs(self) -> None:
        self._calls.append("wait")

    def copy_outputs_to_cpu(self) -> list[Any]:
        return self.given
