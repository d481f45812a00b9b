"""OpenVINO: what ran, in which precision, and which nodes each of its layers computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import latbench
from latbench.errors import MeasurementError, UnavailableError
from latbench.runtimes import CompiledGraph, Kernel, packages, random_inputs
from latbench.runtimes import openvino as module
from latbench.runtimes.openvino import OpenVino, OpenVinoSession
from latbench.spaces import TensorSpec, Workload

pytestmark = pytest.mark.skipif(
    OpenVino().available() is not None, reason=f"openvino: {OpenVino().available()}"
)


@pytest.fixture
def network() -> Workload:
    """A network of inverted residuals."""
    space = latbench.space("digits-mobilenet", image_size=16)
    return space.network_workload([1] * 8)


def compiled(workload: Workload) -> OpenVinoSession:
    """Return ``workload``, compiled."""
    runtime = OpenVino()
    session = runtime.compile(workload, runtime.target("cpu"))
    assert isinstance(session, OpenVinoSession)
    return session


def test_fp32_is_what_runs(network: Workload) -> None:
    """The precision is asked for, whatever the processor prefers, and read back."""
    session = compiled(network)
    assert session.precision_run == "fp32"
    assert session._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
    assert session._compiled.get_property("NUM_STREAMS") == 1
    assert session._compiled.get_property("INFERENCE_NUM_THREADS") == 1


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([("Convolution", "bf16"), ("Reorder", "f32"), ("FullyConnected", "bf16")], "bf16"),
        ([("Convolution", "f16"), ("FullyConnected", "f32")], "amp"),
        ([("Convolution", "i8"), ("Eltwise", "f32")], "int8"),
        ([("Eltwise", "f16"), ("Reshape", "i64")], "fp16"),
        ([("Const", "f32"), ("Input", "f32")], "fp32"),
    ],
)
def test_precision_is_that_of_the_computing_layers(
    layers: list[tuple[str, str]], expected: str
) -> None:
    """Inputs and layers around them may keep fp32; two precisions of computing layers are amp."""
    assert module._precision_run(_Compiled(layers)) == expected


def test_what_is_made_of_weights_alone_is_no_kernel(network: Workload) -> None:
    """Reorders are told however short they are; shapes of biases were set once, and are not."""
    told = compiled(network).kernels(runs=2)
    assert {kernel.kind for kernel in told.kernels if kernel.inserted} == {"Reorder"}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_precision_that_the_processor_lacks_is_refused(
    monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """Emulated, it would be timed as if it ran; the reason names what there is."""
    monkeypatch.setattr(module, "_core", lambda: _Core(["FP32", "INT8"]))
    with pytest.raises(UnavailableError, match=rf"not compute in {precision} .* does in fp32$"):
        OpenVino().target("cpu", precision)
    monkeypatch.setattr(module, "_core", lambda: _Core(["FP32", "BF16", "FP16"]))
    assert OpenVino().target("cpu", precision).precision == precision


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Absent or half there, it is one line with the command that mends it."""
    monkeypatch.setattr(module, "_core", _broken)
    reason = OpenVino().available()
    assert reason is not None
    assert "ImportError: libopenvino.so is not here)" in reason
    assert "pip install --force-reinstall openvino" in reason
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    assert str(OpenVino().available()).endswith("run: pip install openvino")


def test_what_is_timed_is_what_is_checked(network: Workload) -> None:
    """``run_once`` reads the inputs in place, and gives what ``outputs`` does for them."""
    session = compiled(network)
    session.run_once()
    (expected,) = session.outputs(random_inputs(network.inputs))
    np.testing.assert_array_equal(session._request.output_tensors[0].data, expected)
    for values in session._inputs.values():
        values[...] = 1
    session.run_once()
    assert (session._request.output_tensors[0].data != expected).any()


def test_open_shapes_become_those_of_the_workload() -> None:
    """A graph of unknown shapes would be compiled for every shape, and run slower."""
    model = odd_model()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    session = compiled(workload_of(model))
    assert list(session._compiled.inputs[0].shape) == [1, 3, 8, 8]


def test_reasons_say_what_and_not_where() -> None:
    """Of OpenVINO's many lines those are kept that name the trouble."""
    model = odd_model()
    del model.graph.node[5].attribute[:]
    model.graph.node[5].input[0] = "nothing"
    with pytest.raises(MeasurementError) as refused:
        compiled(workload_of(model))
    assert str(refused.value) == "openvino refused it: nothing node not found in graph cache"
    model = odd_model()
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(MeasurementError, match="found for operations: NoSuchOperator") as refused:
        compiled(workload_of(model))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "Exception from src/a.cpp:1:\nCheck 'false' failed at src/b.cpp:2:\nno such\n\n",
            "no such",
        ),
        (
            "-- Mean-20 with a message:\nWhile validating 'n1':\nno type\nmore",
            "While validating 'n1': no type",
        ),
        ("Exception from src/a.cpp:1:\n", "Exception from src/a.cpp:1:"),
        ("", "RuntimeError"),
    ],
)
def test_reasons_are_never_empty(text: str, reason: str) -> None:
    """Where nothing else is told, the place is better than nothing."""
    assert module._reason(RuntimeError(text)) == reason


# The compiled graph


def test_every_node_of_a_network_is_in_one_kernel(network: Workload) -> None:
    """Activations and additions are fused into the convolutions before them."""
    graph = compiled(network).kernels(runs=3)
    assert graph.folded == ()
    whole = [kernel for kernel in graph.kernels if kernel.nodes]
    assert sum(len(kernel.nodes) for kernel in whole) == network.nodes
    stem = whole[0]
    assert stem.kind == "Convolution"
    assert [name.rsplit("/", 1)[1] for name in stem.nodes] == ["Conv", "Clip"]
    assert stem.name.startswith(stem.nodes[0])
    assert {kernel.precision for kernel in graph.kernels} == {"fp32"}


def test_times_are_of_steady_runs(network: Workload) -> None:
    """The first run prepares the layers: its time is not in theirs."""
    graph = compiled(network).kernels(runs=5)
    times = [kernel.time_ms for kernel in graph.kernels]
    assert graph.whole_ms is not None
    known = [time for time in times if time is not None]
    assert len(known) == len(times)
    assert min(known) >= 0
    assert 0 < sum(known) < graph.whole_ms + 1e-3 * len(known)


def test_odd_names_come_back() -> None:
    """Empty and repeated names, commas, and an output's name in place of its node's."""
    graph = compiled(workload_of(odd_model())).kernels(runs=2)
    of = kernel_of(graph)
    assert of("Conv:c") is of("BatchNormalization:bn")  # nobody tells of the convolution
    assert of("[0], /a") is not of("[0], /b")
    assert of("same:h").nodes == ("same:h",)
    assert of("same:id") is of("[0], /b")  # an Identity is not run
    assert "end, of it" in of("end, of it").name
    assert set(graph.folded) == {"two", "root", "dead"}


def test_inserted_kernels_have_no_nodes() -> None:
    """A change of layout is nobody's work; it is told where it ran, however short it is."""
    for runs in (1, 20):
        graph = compiled(workload_of(odd_model())).kernels(runs)
        inserted = [kernel for kernel in graph.kernels if kernel.inserted]
        assert {kernel.kind for kernel in inserted} <= {"Reorder", "Convert", "Transpose"}
        assert all(kernel.time_ms is not None for kernel in inserted)


def test_a_network_that_is_constant_has_no_kernels() -> None:
    """No path leads to its output: everything is computed when compiling."""
    space = latbench.space("nasbench201", image_size=8, cells=1)
    workload = space.network_workload([0] * 6)
    graph = compiled(workload).kernels(runs=2)
    assert graph.kernels == ()
    assert len(graph.folded) == workload.nodes


def kernel_of(graph: CompiledGraph) -> Callable[[str], Kernel]:
    """Return what finds the kernel of a node."""
    found = {node: kernel for kernel in graph.kernels for node in kernel.nodes}
    return found.__getitem__


def workload_of(model: ModelProto) -> Workload:
    """Return ``model`` as a file of the user."""
    inputs = (TensorSpec("x", (1, 3, 8, 8), "float32"),)
    content = model.SerializeToString()
    return Workload("g1:odd", "odd.onnx", inputs, content, {"kind": "file"}, len(model.graph.node))


def odd_model() -> ModelProto:
    """Return a model whose nodes have names on which OpenVINO's lists break."""
    rng = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array(rng.uniform(0.1, 1, shape).astype(np.float32), name)

    def node(kind: str, inputs: str, given: str, name: str, **attributes: Any) -> Any:
        return helper.make_node(kind, inputs.split(), given.split(), name=name, **attributes)

    make = helper.make_tensor_value_info
    nodes = [
        node("Conv", "x w", "c", "", pads=[1] * 4),
        node("BatchNormalization", "c s b m v", "bn", ""),
        node("HardSigmoid", "bn", "h", "same", alpha=0.2, beta=0.4),
        node("Mul", "bn h", "sw", "[0], /a"),
        node("Identity", "sw", "id", "same"),
        node("Split", "id", "s1 s2", "[0], /b", axis=1, num_outputs=2),
        node("Concat", "s2 s1", "cc", "join", axis=1),
        node("Constant", "", "k", "two", value=numpy_helper.from_array(np.array([2], np.float32))),
        node("Sqrt", "k", "r", "root"),
        node("Mul", "cc r", "y", "end, of it"),
        node("Relu", "y", "unread", "dead"),
    ]
    graph = helper.make_graph(
        nodes,
        "odd",
        [make("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [make("y", TensorProto.FLOAT, None), make("s1", TensorProto.FLOAT, None)],
        [weight("w", 8, 3, 3, 3), *(weight(name, 8) for name in "sbmv")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def _broken() -> Any:
    raise ImportError("libopenvino.so is not here")


class _Core:
    """A core on a processor with these capabilities."""

    def __init__(self, capabilities: list[str]) -> None:
        self._capabilities = capabilities

    def get_property(self, device: str, name: str) -> list[str]:
        return self._capabilities


class _Compiled:
    """A compiled model whose runtime graph has these kinds and precisions of layers."""

    def __init__(self, layers: list[tuple[str, str]]) -> None:
        self._layers = layers

    def get_runtime_model(self) -> _Compiled:
        return self

    def get_ordered_ops(self) -> list[_Operation]:
        return [_Operation(kind, precision) for kind, precision in self._layers]


class _Operation:
    def __init__(self, kind: str, precision: str) -> None:
        facts = {"layerType": kind, "runtimePrecision": precision, "originalLayersNames": ""}
        self._facts = {key: _Any(value) for key, value in facts.items()}

    def get_friendly_name(self) -> str:
        return "layer"

    def inputs(self) -> list[object]:
        return []

    def get_rt_info(self) -> dict[str, _Any]:
        return self._facts


class _Any:
    def __init__(self, value: str) -> None:
        self._value = value

    def astype(self, kind: type) -> Any:
        return kind(self._value)
