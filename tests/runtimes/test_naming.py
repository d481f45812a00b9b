"""Plain names for nodes, and the way back to those that people know."""

from __future__ import annotations

from onnx import ModelProto, NodeProto, TensorProto, helper

from latbench.runtimes.naming import named


def chain(*names: str, tensor: str = "t") -> ModelProto:
    """Return Relus of these names in a row; their outputs are called ``<tensor>1``, …."""
    nodes = [
        helper.make_node("Relu", [f"{tensor}{place}"], [f"{tensor}{place + 1}"], name=name)
        for place, name in enumerate(names)
    ]
    return wrapped(nodes, f"{tensor}0", f"{tensor}{len(names)}")


def wrapped(nodes: list[NodeProto], first: str, last: str) -> ModelProto:
    """Return a model of ``nodes`` on one float."""
    make = helper.make_tensor_value_info
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [make(first, TensorProto.FLOAT, [1])],
            [make(last, TensorProto.FLOAT, [1])],
        )
    )


def test_nodes_are_numbered_and_shown_by_their_own_name() -> None:
    """Commas and brackets, on which engines stumble, are in the shown names alone."""
    model = chain("stem, [0]", "/body/Relu")
    copy, shown = named(model)
    assert [node.name for node in copy.graph.node] == ["n0", "n1"]
    assert shown == {"n0": "stem, [0]", "n1": "/body/Relu"}


def test_the_model_itself_is_left_alone() -> None:
    """The copy differs in the names of nodes and nothing else."""
    model = chain("a", "b")
    before = model.SerializeToString()
    copy, _ = named(model)
    assert model.SerializeToString() == before
    for node, own in zip(copy.graph.node, "ab", strict=True):
        node.name = own
    assert copy.SerializeToString() == before


def test_nodes_without_a_name_are_shown_by_operator_and_output() -> None:
    """An empty name says nothing; the output is what tells such nodes apart."""
    _, shown = named(chain("", "b", ""))
    assert shown == {"n0": "Relu:t1", "n1": "b", "n2": "Relu:t3"}


def test_repeated_names_are_told_apart_by_their_outputs() -> None:
    """Otherwise two nodes would be one in every table."""
    _, shown = named(chain("same", "same", "other"))
    assert shown == {"n0": "same:t1", "n1": "same:t2", "n2": "other"}


def test_plain_names_are_free() -> None:
    """A tensor, or a node inside a branch, that is called n1 is not taken for a node."""
    copy, shown = named(chain("a", "b", tensor="n"))
    assert [node.name for node in copy.graph.node] == ["nn0", "nn1"] == list(shown)

    make = helper.make_tensor_value_info
    inner = helper.make_node("Constant", [], ["c"], name="n0", value_float=1.0)
    branch = helper.make_graph([inner], "branch", [], [make("c", TensorProto.FLOAT, [])])
    choice = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    copy, shown = named(wrapped([choice], "x", "y"))
    assert shown == {"nn0": "If:y"}
    assert copy.graph.node[0].attribute[0].g.node[0].name == "n0"
