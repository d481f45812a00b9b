"""Nodes that no kernel names go where their work is done, or are told to be done before."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from latbench.runtimes.attribution import attributed


def model(*nodes: tuple[str, str, str], outputs: str = "z") -> ModelProto:
    """Return a model of nodes (operator, inputs, outputs), called by their first output.

    ``x`` is its input, ``w`` a weight.
    """
    make = helper.make_tensor_value_info
    return helper.make_model(
        helper.make_graph(
            [
                helper.make_node(kind, inputs.split(), given.split(), name=given.split()[0])
                for kind, inputs, given in nodes
            ],
            "g",
            [make("x", TensorProto.FLOAT, [2])],
            [make(name, TensorProto.FLOAT, None) for name in outputs.split()],
            [numpy_helper.from_array(np.ones(2, np.float32), "w")],
        )
    )


def test_a_node_joins_the_first_that_reads_it() -> None:
    """What is merged into the next operation loses its name to it, several in a row too."""
    found = attributed(
        model(("Conv", "x w", "a"), ("Neg", "a", "b"), ("Relu", "b", "c"), ("Add", "c x", "z")),
        [["c"], ["z"]],
    )
    assert found == ([("a", "b", "c"), ("z",)], [])


def test_the_last_node_joins_the_one_before_it() -> None:
    """An Identity before an output is read by no node: its input's kernel writes the output."""
    found = attributed(
        model(("Relu", "x", "a"), ("Identity", "a", "b"), ("Identity", "b", "z")), [["a"]]
    )
    assert found == ([("a", "b", "z")], [])


def test_what_depends_on_constants_or_shapes_is_folded() -> None:
    """It is known before anything runs; so is what nobody reads."""
    found = attributed(
        model(
            ("Sqrt", "w", "root"),
            ("Shape", "x", "shape"),
            ("Neg", "shape", "less"),
            ("Mul", "x root", "a"),
            ("Reshape", "a less", "z"),
            ("Relu", "a", "dead"),
        ),
        [["a"], ["z"]],
    )
    assert found == ([("a",), ("z",)], ["root", "shape", "less", "dead"])


def test_a_constant_that_is_computed_all_the_same_stays() -> None:
    """Folding is only supposed where no kernel claims the node."""
    assert attributed(model(("Sqrt", "w", "a"), ("Mul", "x a", "z")), [["a"], ["z"]]) == (
        [("a",), ("z",)],
        [],
    )


def test_an_input_of_that_name_is_no_constant() -> None:
    """Initialisers may be overridden by inputs of the same name: then they are not known."""
    overridden = model(("Sqrt", "w", "a"), ("Mul", "x a", "z"))
    overridden.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [2]))
    assert attributed(overridden, [["z"]]) == ([("a", "z")], [])


def test_names_of_nobody_are_left_out() -> None:
    """Kernels may tell of weights and of their own; a node in two kernels stands in both."""
    found = attributed(model(("Relu", "x", "a"), ("Neg", "a", "z")), [["w", "a"], ["a", "z"], []])
    assert found == ([("a",), ("a", "z"), ()], [])


def test_what_a_branch_reads_is_read() -> None:
    """A node whose result is captured by an If is not dead."""
    make = helper.make_tensor_value_info
    inner = helper.make_node("Neg", ["a"], ["n"])
    branch = helper.make_graph([inner], "branch", [], [make("n", TensorProto.FLOAT, None)])
    whole = model(("Relu", "x", "a"), ("If", "x", "z"))
    for name in ("then_branch", "else_branch"):
        whole.graph.node[1].attribute.append(helper.make_attribute(name, branch))
    assert attributed(whole, [["z"]]) == ([("a", "z")], [])
