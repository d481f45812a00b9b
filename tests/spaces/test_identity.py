"""The identity of a graph: what it must not depend on, and what it must."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

import latbench
from latbench.spaces.identity import graph_id

SPACE = latbench.space("nasbench201", image_size=8, cells=1, width=4)
RNG = np.random.default_rng(0)

INPUT = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 8, 8))
OUTPUT = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)


def weight(name: str, *shape: int) -> TensorProto:
    """An initialiser with other values at each call."""
    return numpy_helper.from_array(RNG.standard_normal(shape).astype(np.float32), name)


def constant(name: str, value: object, dtype: type = np.float32) -> TensorProto:
    """An initialiser of these values."""
    return numpy_helper.from_array(np.array(value, dtype=dtype), name)


def model(
    nodes: list[onnx.NodeProto], initializers: list[TensorProto], opset: int = 17, **graph: Any
) -> ModelProto:
    """A model from ``x`` to ``y``."""
    inputs = graph.pop("inputs", [INPUT])
    made = helper.make_graph(nodes, "any", inputs, [OUTPUT], initializers, **graph)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def conv(x: str = "x", w: str = "w", y: str = "c", **attributes: Any) -> onnx.NodeProto:
    """A 3×3 convolution, as exporters write it."""
    written = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], **attributes}
    return helper.make_node("Conv", [x, w], [y], **written)


def base(opset: int = 17, high: float = 6.0, **attributes: Any) -> ModelProto:
    """Convolution, clip, a sum with the input, flattening and a matrix product."""
    return model(
        [
            conv(**attributes),
            helper.make_node("Clip", ["c", "low", "high"], ["r"]),
            helper.make_node("Add", ["r", "x"], ["s"]),
            helper.make_node("Reshape", ["s", "shape"], ["f"]),
            helper.make_node("Gemm", ["f", "v"], ["y"]),
        ],
        [
            weight("w", 4, 4, 3, 3),
            weight("v", 256, 5),
            constant("low", 0.0),
            constant("high", high),
            constant("shape", [1, -1], np.int64),
        ],
        opset,
    )


def renamed(original: ModelProto, name: Callable[[str], str]) -> ModelProto:
    """Return the model with every tensor and node called otherwise."""
    changed = ModelProto()
    changed.CopyFrom(original)
    graph = changed.graph
    for part in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        part.name = name(part.name)
    for node in graph.node:
        node.input[:] = [name(tensor) if tensor else "" for tensor in node.input]
        node.output[:] = [name(tensor) if tensor else "" for tensor in node.output]
        node.name = name(node.name)
    graph.name = name(graph.name)
    return changed


def reordered(original: ModelProto, rng: np.random.Generator) -> ModelProto:
    """Return the model with nodes in another order that is possible, and initialisers in any."""
    changed = ModelProto()
    changed.CopyFrom(original)
    graph = changed.graph
    nodes = list(graph.node)
    known = {value.name for value in (*graph.input, *graph.initializer)} | {""}
    del graph.node[:]
    while nodes:
        ready = [node for node in nodes if known.issuperset(node.input)]
        chosen = ready[rng.integers(len(ready))]
        graph.node.append(chosen)
        known.update(chosen.output)
        nodes.remove(chosen)
    tensors = list(graph.initializer)
    del graph.initializer[:]
    graph.initializer.extend(tensors[i] for i in rng.permutation(len(tensors)))
    return changed


architectures = st.lists(st.integers(0, 4), min_size=6, max_size=6)


@given(architectures, st.integers(0, 2**32))
@settings(deadline=None, max_examples=30)
def test_names_order_and_values_do_not_count(x: list[int], seed: int) -> None:
    """The same graph under other names, in another order, with other weights, has the same id."""
    rng = np.random.default_rng(seed)
    whole = SPACE.to_onnx(x)
    for tensor in whole.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = rng.standard_normal(tuple(tensor.dims)).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    other = renamed(reordered(whole, rng), lambda name: f"{seed}.{name[::-1]}")
    assert graph_id(other) == SPACE.network_workload(x).id


@given(architectures, architectures)
@settings(deadline=None, max_examples=50)
def test_graphs_of_other_operators_differ(x: list[int], y: list[int]) -> None:
    """Two networks that do not run the same operators never share an id."""
    one, other = SPACE.network_workload(x), SPACE.network_workload(y)
    operators = [
        sorted(node.op_type for node in onnx.load_model_from_string(workload.model).graph.node)
        for workload in (one, other)
    ]
    if operators[0] != operators[1]:
        assert one.id != other.id


def identity_between() -> ModelProto:
    changed = base()
    changed.graph.node[1].input[0] = "again"
    changed.graph.node.insert(1, helper.make_node("Identity", ["c"], ["again"]))
    return changed


def constants_as_nodes() -> ModelProto:
    changed = base()
    low = changed.graph.initializer[2]
    assert low.name == "low"
    del changed.graph.initializer[2]
    changed.graph.node.insert(0, helper.make_node("Constant", [], ["low"], value_float=0.0))
    return changed


def with_a_dead_branch() -> ModelProto:
    changed = base()
    changed.graph.node.append(conv(w="w", y="unused"))
    changed.graph.node.append(helper.make_node("Relu", ["unused"], ["unused2"]))
    return changed


def terms_swapped() -> ModelProto:
    changed = base()
    changed.graph.node[2].input[:] = ["x", "r"]
    return changed


def without_kernel_shape() -> ModelProto:
    changed = base()
    (position,) = (
        i for i, one in enumerate(changed.graph.node[0].attribute) if one.name == "kernel_shape"
    )
    del changed.graph.node[0].attribute[position]
    return changed


def domain_written_out() -> ModelProto:
    changed = base()
    for node in changed.graph.node:
        node.domain = "ai.onnx"
    return changed


def weights_listed_as_inputs() -> ModelProto:
    changed = base()
    changed.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, (4, 4, 3, 3)))
    return changed


def documented() -> ModelProto:
    changed = base()
    changed.producer_name = "somebody"
    changed.doc_string = changed.graph.doc_string = changed.graph.node[0].doc_string = "words"
    return changed


@pytest.mark.parametrize(
    "make",
    [
        base,
        identity_between,
        constants_as_nodes,
        with_a_dead_branch,
        terms_swapped,
        without_kernel_shape,
        domain_written_out,
        weights_listed_as_inputs,
        documented,
        lambda: base(opset=18),
        lambda: base(strides=[1, 1], dilations=[1, 1], group=1, auto_pad="NOTSET"),
    ],
)
def test_what_computes_alike_is_alike(make: Callable[[], ModelProto]) -> None:
    """Other weights, identities, dead branches, defaults and operator sets leave the id."""
    assert graph_id(make()) == graph_id(base())


def test_defaults_of_other_operators_do_not_count() -> None:
    """Defaults are those of the standard, for every operator."""
    written = base()
    written.graph.node[4].attribute.append(helper.make_attribute("alpha", 1.0))
    written.graph.node[4].attribute.append(helper.make_attribute("transB", 0))
    assert graph_id(written) == graph_id(base())
    written.graph.node[4].attribute[0].f = 2.0
    assert graph_id(written) != graph_id(base())


def wider_input(shape: tuple[int, ...]) -> ModelProto:
    changed = base()
    changed.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, shape))
    return changed


def half_precision() -> ModelProto:
    changed = base()
    changed.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    for tensor in changed.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return changed


def other_shape() -> ModelProto:
    changed = base()
    changed.graph.initializer[4].CopyFrom(constant("shape", [-1, 256], np.int64))
    return changed


def another_operator() -> ModelProto:
    changed = base()
    changed.graph.node[2].op_type = "Mul"
    return changed


def another_source() -> ModelProto:
    changed = base()
    changed.graph.node[2].input[0] = "c"
    return changed


@pytest.mark.parametrize(
    "make",
    [
        lambda: base(pads=[0, 0, 2, 2]),
        lambda: base(strides=[2, 2]),
        lambda: base(dilations=[2, 2]),
        lambda: base(group=4),
        lambda: base(high=5.0),
        lambda: wider_input((1, 4, 9, 9)),
        lambda: wider_input((2, 4, 8, 8)),
        half_precision,
        other_shape,
        another_operator,
        another_source,
    ],
)
def test_what_computes_otherwise_differs(make: Callable[[], ModelProto]) -> None:
    """Attributes, shapes, batch, dtypes, clips, operators and wiring all change the id."""
    assert graph_id(make()) != graph_id(base())


def two_convolutions(second: str, first_kernel: int = 3) -> ModelProto:
    """``conv(conv(x))``, whose second convolution reads the weights ``second``."""
    return model(
        [conv(w="w", y="c"), conv(x="c", w=second, y="y")],
        [weight("w", 4, 4, first_kernel, 3), weight("v", 4, 4, 3, 3)],
    )


def test_sharing_a_weight_differs_from_copies() -> None:
    """A shared weight stays in cache: such a network is another workload."""
    assert graph_id(two_convolutions("w")) != graph_id(two_convolutions("v"))


def test_sharing_a_subtree_differs_from_copies() -> None:
    """Computing something twice is more work than reading it twice."""
    relu = helper.make_node("Relu", ["x"], ["a"])
    twin = helper.make_node("Relu", ["x"], ["b"])
    shared = model([relu, helper.make_node("Add", ["a", "a"], ["y"])], [])
    copied = model([relu, twin, helper.make_node("Add", ["a", "b"], ["y"])], [])
    assert graph_id(shared) != graph_id(copied)


def test_the_operands_of_a_difference_count() -> None:
    """Operands may change places only where the operator says so."""
    relu = helper.make_node("Relu", ["x"], ["a"])
    one = model([relu, helper.make_node("Sub", ["a", "x"], ["y"])], [])
    other = model([relu, helper.make_node("Sub", ["x", "a"], ["y"])], [])
    assert graph_id(one) != graph_id(other)


def test_absent_inputs_are_told_apart_by_place() -> None:
    """A Clip without its lower bound is not one without its upper bound."""
    low = model([helper.make_node("Clip", ["x", "b"], ["y"])], [constant("b", 1.0)])
    high = model([helper.make_node("Clip", ["x", "", "b"], ["y"])], [constant("b", 1.0)])
    trailing = model([helper.make_node("Clip", ["x", "b", ""], ["y"])], [constant("b", 1.0)])
    assert graph_id(low) != graph_id(high)
    assert graph_id(low) == graph_id(trailing)


def test_absent_outputs_do_not_disturb() -> None:
    """A node that leaves out an output does not change what absent inputs mean elsewhere."""
    pool = helper.make_node("MaxPool", ["x"], ["p", ""], kernel_shape=[2, 2])
    without = helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2])
    clip = helper.make_node("Clip", ["p", "", "b"], ["y"])
    one, other = (model([node, clip], [constant("b", 1.0)]) for node in (pool, without))
    assert graph_id(one) == graph_id(other)


def test_only_the_second_output_may_be_used() -> None:
    """Recurrent nodes whose first output is left out still count once each."""

    def network(*hidden: int) -> ModelProto:
        nodes, tensors, sums = [], [], []
        for number, size in enumerate(hidden):
            w, r, y = f"w{number}", f"r{number}", f"y{number}"
            nodes.append(helper.make_node("RNN", ["x", w, r], ["", y], hidden_size=size))
            tensors += [weight(w, 1, size, 4), weight(r, 1, size, size)]
            sums.append(y)
        nodes.append(helper.make_node("Sum", sums, ["y"]))
        shape = helper.make_tensor_value_info("x", TensorProto.FLOAT, (3, 1, 4))
        return model(nodes, tensors, inputs=[shape])

    ids = {graph_id(network(*sizes)) for sizes in ((5,), (5, 5), (5, 5, 5), (6,))}
    assert len(ids) == 4


def branching(inner: str, outer_kernel: int = 3) -> ModelProto:
    """An If whose branches read a convolution from outside."""

    def branch(operator: str) -> GraphProto:
        node = helper.make_node(operator, ["c"], ["out"])
        value = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
        return helper.make_graph([node], operator, [], [value])

    return model(
        [
            conv(w="w", y="c", kernel_shape=[outer_kernel] * 2, pads=[outer_kernel // 2] * 4),
            helper.make_node(
                "If", ["flag"], ["y"], then_branch=branch("Relu"), else_branch=branch(inner)
            ),
        ],
        [weight("w", 4, 4, outer_kernel, outer_kernel), constant("flag", True, np.bool_)],
    )


def test_subgraphs_count_with_what_they_capture() -> None:
    """Neither a branch nor what it reads from outside is overlooked."""
    ids = {
        graph_id(made)
        for made in (branching("Neg"), branching("Abs"), branching("Neg", outer_kernel=5))
    }
    assert len(ids) == 3


def test_tensors_in_attributes_count_with_their_type() -> None:
    """Equal bytes of different types are different constants."""

    def filled(attributes: Mapping[str, Any]) -> ModelProto:
        nodes = [
            helper.make_node("ConstantOfShape", ["shape"], ["z"], **attributes),
            helper.make_node("Cast", ["z"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["x", "f"], ["y"]),
        ]
        return model(nodes, [constant("shape", [1], np.int64)])

    ones = [{"value": constant("", [1], dtype)} for dtype in (np.int32, np.uint32)]
    assert graph_id(filled(ones[0])) != graph_id(filled(ones[1]))


def test_ids_are_stable() -> None:
    """The id is part of stored data: it may change with the version of its name only."""
    made = "g1:479bbbfebf2bab55bf59d5c9c5c7527b9cfd3341acc963045260ac7abb556826"
    assert graph_id(two_convolutions("v")) == made
