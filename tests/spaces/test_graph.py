"""The static graph: what a choice leaves alive, and which graphs are refused."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latbench.spaces import (
    INPUT,
    Block,
    Candidate,
    Choice,
    Concat,
    Identity,
    Node,
    Operation,
    SearchSpace,
    StaticGraph,
    Sum,
    Zero,
)
from latbench.spaces.blocks import BlockTable
from latbench.spaces.convolution import Classifier, ConvBlock
from latbench.testing import onnx_models

SHAPE = (4, 8, 8)


def conv(kernel: int = 3) -> Operation:
    """A convolution that keeps the shape."""
    return ConvBlock(SHAPE[0], SHAPE[0], kernel)


def fixed(name: str, operation: Operation, *inputs: str) -> Node:
    """A node without a choice."""
    return Node(name, (Candidate(operation, inputs),))


class JoinSpace(SearchSpace):
    """The example of NNablaNAS: a join that selects one of two parents, or a Zero.

    ``input - first - second - join - last``, where the join may also take ``first`` or nothing.
    """

    name: ClassVar[str] = "join-example"

    def __init__(self) -> None:
        parents = (
            Candidate(Identity(), ("second",)),
            Candidate(Identity(), ("first",)),
            Candidate(Zero(SHAPE), ()),
        )
        nodes = [
            fixed("first", conv(1), INPUT),
            fixed("second", conv(3), "first"),
            Node("join", parents, choice=0),
            fixed("last", conv(5), "join"),
        ]
        super().__init__({}, [Choice("join", ("second", "first", "zero"))], nodes, SHAPE)


def kernels(space: SearchSpace, option: int) -> list[int]:
    """Return the kernel sizes of the convolutions that run, small ones first."""
    row = space.path([[option]]).toarray()[0]
    found = []
    for block, count in zip(space.blocks, row, strict=True):
        assert isinstance(block.operation, ConvBlock)
        found += [block.operation.kernel] * int(count)
    return sorted(found)


def test_a_join_that_selects_zero_leaves_the_last_convolution() -> None:
    """Only the last convolution is built and charged: nothing else has an effect."""
    space = JoinSpace()
    assert kernels(space, 2) == [5]
    network = space.network([2])
    assert [tuple(weight.shape) for weight in network.parameters()] == [(4, 4, 5, 5), (4,), (4,)]
    model = space.to_onnx([2])
    assert [node.op_type for node in model.graph.node if node.op_type == "Conv"] == ["Conv"]


def test_a_join_builds_what_it_selects_alone() -> None:
    """The parent that is not selected is neither built nor charged; a shared ancestor stays."""
    space = JoinSpace()
    assert kernels(space, 0) == [1, 3, 5]
    assert kernels(space, 1) == [1, 5]


@pytest.mark.parametrize("option", range(3))
def test_joined_networks_compute_the_same_in_onnx(option: int) -> None:
    """What is pruned in torch is pruned in the stitched network alike."""
    space = JoinSpace()
    images = torch.randn(1, *SHAPE)
    (first,) = onnx_models.run(space.to_onnx([option]), {"input": images.numpy()})
    (second,) = onnx_models.run(space.to_onnx([option]), {"input": 2 * images.numpy()})
    assert first.shape == (1, *SHAPE)
    assert (first == second).all() == (option == 2)


def test_the_size_of_a_sum_follows_what_is_alive() -> None:
    """A sum of three inputs is a block of three, of two, or no block, as they are alive."""
    branch = (Candidate(conv(), (INPUT,)), Candidate(Zero(SHAPE), ()))
    nodes = [
        *(Node(f"branch{n}", branch, choice=n) for n in range(3)),
        fixed("sum", Sum(), "branch0", "branch1", "branch2"),
        fixed("head", Classifier(SHAPE[0], 2), "sum"),
    ]
    table = BlockTable(StaticGraph(nodes, SHAPE))
    X = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 1], [1, 1, 1]])
    rows = table.path(X).toarray()
    by_key = {block.key: column for block, column in zip(table.blocks, rows.T, strict=True)}
    assert by_key["sum@4x8x8,4x8x8,4x8x8"].tolist() == [1, 0, 0, 0]
    assert by_key["sum@4x8x8,4x8x8"].tolist() == [0, 1, 0, 0]
    assert by_key["conv-k3-s1-c4-4-relu6@4x8x8"].tolist() == [3, 2, 1, 0]
    assert by_key["classifier-c4-2@4x8x8"].tolist() == [1, 1, 1, 1]


def test_a_place_that_nobody_reads_is_not_charged() -> None:
    """A dangling branch is pruned, and the space is not taken for a plain sum."""
    nodes = [
        fixed("used", conv(3), INPUT),
        fixed("dangling", conv(5), "used"),
        fixed("head", Classifier(SHAPE[0], 2), "used"),
    ]
    table = BlockTable(StaticGraph(nodes, SHAPE))
    row = table.path(np.empty((1, 0), np.int64)).toarray()[0]
    counts = {block.key: n for block, n in zip(table.blocks, row, strict=True)}
    assert counts["conv-k5-s1-c4-4-relu6@4x8x8"] == 0
    assert not table.additive


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([fixed("a", conv(), "b"), fixed("b", conv(), INPUT)], "does not come before it"),
        ([fixed("a", conv(), INPUT), fixed("a", conv(), "a")], "two nodes are called 'a'"),
        ([Node("a", (Candidate(conv(), (INPUT,)),) * 2)], "no choice but 2 candidates"),
        (
            [Node("a", (Candidate(conv(), (INPUT,)), Candidate(Classifier(4, 2), (INPUT,))), 0)],
            "differ in shape",
        ),
        ([fixed("a", Identity(), INPUT)], "candidate 'identity', which may"),
        ([fixed("a", Sum(), INPUT, INPUT)], "candidate 'sum', which may"),
        (
            [Node("a", (Candidate(conv(), (INPUT,)), Candidate(Zero(SHAPE), ())), 0)],
            "candidate 'zero', which may",
        ),
    ],
)
def test_impossible_graphs_are_refused(nodes: list[Node], message: str) -> None:
    """What could not be laid out, or would compute nothing, is the space author's mistake."""
    with pytest.raises(ValueError, match=message):
        StaticGraph(nodes, SHAPE)


def test_a_concatenation_needs_all_its_inputs() -> None:
    """It cannot leave one out, as a sum does: what it is read by expects all the channels."""
    nodes = [
        Node("first", (Candidate(conv(), (INPUT,)), Candidate(Zero(SHAPE), ())), choice=0),
        fixed("second", conv(), INPUT),
        fixed("both", Concat(), "first", "second"),
        fixed("head", Classifier(2 * SHAPE[0], 2), "both"),
    ]
    graph = StaticGraph(nodes, SHAPE)
    alive, dead = ([step.name for step in graph.plan(np.array([option]))] for option in (0, 1))
    assert alive == ["first", "second", "both", "head"]
    assert dead == ["head"]


def test_candidates_must_match_their_options() -> None:
    """A place with fewer candidates than its choice has options would vanish silently."""

    class Short(SearchSpace):
        name = "short"

    node = Node("a", (Candidate(conv(), (INPUT,)),), choice=0)
    with pytest.raises(ValueError, match="1 candidates"):
        Short({}, [Choice("a", ("one", "two"))], [node], SHAPE)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Node], np.ndarray]:
    """Draw nodes of every kind over earlier ones, with a head, and one architecture."""
    names = [INPUT]
    nodes: list[Node] = []
    x: list[int] = []

    def candidate() -> Candidate:
        source = st.sampled_from(names)
        kind = draw(st.sampled_from(["conv", "identity", "zero", "sum"]))
        if kind == "zero":
            return Candidate(Zero(SHAPE), ())
        if kind == "sum":
            return Candidate(Sum(), tuple(draw(st.lists(source, min_size=1, max_size=3))))
        operation = Identity() if kind == "identity" else conv(draw(st.sampled_from([1, 3])))
        return Candidate(operation, (draw(source),))

    for number in range(draw(st.integers(1, 7))):
        count = draw(st.integers(1, 3))
        candidates = tuple(candidate() for _ in range(count))
        nodes.append(Node(f"n{number}", candidates, len(x) if count > 1 else None))
        if count > 1:
            x.append(draw(st.integers(0, count - 1)))
        names.append(nodes[-1].name)
    nodes.append(fixed("head", Classifier(SHAPE[0], 2), draw(st.sampled_from(names))))
    return nodes, np.array(x, dtype=np.int64)


def blocks_by_hand(nodes: list[Node], x: np.ndarray) -> Counter[str]:
    """Return the blocks that an output needs, found by walking from it, one node at a time."""
    chosen = {
        node.name: node.candidates[0 if node.choice is None else x[node.choice]] for node in nodes
    }

    def alive(name: str) -> bool:
        if name == INPUT:
            return True
        operation, inputs = chosen[name].operation, chosen[name].inputs
        if operation.is_zero:
            return False
        return (any if operation.joins else all)(alive(source) for source in inputs)

    found: Counter[str] = Counter()
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name == INPUT or name in seen:
            return
        seen.add(name)
        operation = chosen[name].operation
        fed = [source for source in chosen[name].inputs if alive(source)]
        for source in fed:
            visit(source)
        if operation.joins and len(fed) < 2:
            return
        if not operation.passes_through:
            count = len(fed) if operation.joins else 1
            found[Block(operation, (SHAPE,) * count).key] += 1

    visit("head")
    return found


@given(graphs())
def test_pruning_agrees_with_walking_from_the_output(drawn: tuple[list[Node], np.ndarray]) -> None:
    """Counts and plan are those of a walk that asks each node whether a value reaches it."""
    nodes, x = drawn
    graph = StaticGraph(nodes, SHAPE)
    table = BlockTable(graph)
    row = table.path(x[np.newaxis]).toarray()[0]
    counts = {block.key: n for block, n in zip(table.blocks, row, strict=True) if n}
    by_hand = blocks_by_hand(nodes, x)
    assert counts == by_hand
    planned = Counter(Block(step.operation, step.input_shapes).key for step in graph.plan(x))
    assert planned == by_hand


@given(graphs())
def test_a_plan_reads_what_it_has_made(drawn: tuple[list[Node], np.ndarray]) -> None:
    """Each step takes values of steps before it, and only the head may take zeros."""
    nodes, x = drawn
    made = {INPUT}
    plan = StaticGraph(nodes, SHAPE).plan(x)
    for step in plan:
        assert {name for name in step.inputs if name is not None} <= made
        assert None not in step.inputs or step is plan[-1]
        made.add(step.name)
    assert plan[-1].name == "head"


@given(graphs())
def test_parts_of_additive_graphs_add_up(drawn: tuple[list[Node], np.ndarray]) -> None:
    """Where a graph says it is additive, base and parts give the path of any architecture."""
    nodes, x = drawn
    table = BlockTable(StaticGraph(nodes, SHAPE))
    sizes = tuple(len(node.candidates) for node in nodes if node.choice is not None)
    if not table.additive:
        return
    base, parts = table.option_counts(sizes)
    total = base + sum(
        (part.toarray()[option] for part, option in zip(parts, x, strict=True)), np.zeros_like(base)
    )
    np.testing.assert_array_equal(table.path(x[np.newaxis]).toarray()[0], total)
