"""The space of DARTS: its size, its genotypes, its published network, and what its cells hold."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import latbench
from latbench.errors import UsageError
from latbench.spaces import Concat, IntArray
from latbench.spaces.darts import DartsSpace
from latbench.spaces.exporting import export_module
from latbench.spaces.genotype import KEPT, OPERATIONS
from latbench.spaces.identity import graph_id

# The cells of the second-order search on CIFAR-10, as DARTS_V2 in cnn/genotypes.py of
# github.com/quark0/darts; figure 4 of the paper draws them.
DARTS_V2 = """Genotype(
    normal=[
        ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
        ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2),
    ],
    normal_concat=[2, 3, 4, 5],
    reduce=[
        ('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1),
        ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1),
    ],
    reduce_concat=[2, 3, 4, 5],
)"""

SPACE = DartsSpace()
SMALL = DartsSpace(image_size=8, width=4, cells=4)

architectures = st.integers(0, 10**6).map(
    lambda seed: SMALL.sample(np.random.default_rng(seed), 1)[0]
)


def chosen(space: DartsSpace, x: IntArray) -> dict[str, str]:
    """Return the option of each choice by its name."""
    return {c.name: c.options[value] for c, value in zip(space.choices, x, strict=True)}


def blocks(space: DartsSpace, x: IntArray) -> dict[str, float]:
    """Return the blocks of an architecture with their counts."""
    row = space.path(x).toarray()[0]
    return {block.key: n for block, n in zip(space.blocks, row, strict=True) if n}


# Size


def test_choices_are_pairs_and_operations() -> None:
    """One choice of a pair a node, one of seven operations an edge, for each of the two cells."""
    assert SPACE.sizes == 2 * (1, 7, 7, 3, 7, 7, 7, 6, 7, 7, 7, 7, 10, 7, 7, 7, 7, 7)
    assert OPERATIONS[0] == "none"
    assert {c.options for c in SPACE.choices if ".edge" in c.name} == {OPERATIONS[1:]}


def test_a_cell_has_as_many_architectures_as_the_paper_says() -> None:
    """180 · 49^4, found by writing down every combination of options of one node at a time.

    The nodes are independent: an edge depends on the inputs of its own node alone.
    """
    columns = {choice.name: column for column, choice in enumerate(SPACE.choices)}
    found = []
    for group in SPACE.edge_groups[:4]:
        own = [columns[group.inputs], *(columns[edge] for edge in group.edges)]
        every = list(itertools.product(*(range(SPACE.sizes[column]) for column in own)))
        X = np.zeros((len(every), len(SPACE.choices)), dtype=np.int64)
        X[:, own] = every
        found.append(len(np.unique(SPACE.check(X)[:, own], axis=0)))
        for edge in group.edges:
            active = SPACE.choices[columns[edge]].active
            assert active is not None
            assert active[0] == group.inputs
    assert found == [1 * 49, 3 * 49, 6 * 49, 10 * 49]
    assert math.prod(found) == 180 * 49**4


def test_groups_hold_every_choice() -> None:
    """For a searcher with a softmax an edge: which inputs govern which edges, in their order."""
    names = [name for group in SPACE.edge_groups for name in (group.inputs, *group.edges)]
    assert names == [choice.name for choice in SPACE.choices]
    inputs, edges = SPACE.edge_groups[5]
    assert inputs == "reduce.node3.inputs"
    assert edges == ("reduce.edge0to3", "reduce.edge1to3", "reduce.edge2to3")
    by_name = {choice.name: choice for choice in SPACE.choices}
    assert by_name[inputs].options == ("0+1", "0+2", "1+2")
    assert by_name[edges[2]].active == (inputs, ("0+2", "1+2"))


# Genotypes


def test_a_genotype_names_pairs_and_operations() -> None:
    """The published cells read as the options that stand in them."""
    options = chosen(SPACE, SPACE.encode(DARTS_V2))
    taken = {name: option for name, option in options.items() if name.endswith("inputs")}
    assert list(taken.values()) == ["0+1", "0+1", "0+1", "0+2", "0+1", "1+2", "0+2", "1+2"]
    assert options["normal.edge2to5"] == "dil_conv_3x3"
    assert options["reduce.edge1to5"] == "max_pool_3x3"


def test_decoding_writes_the_form_of_the_papers_code() -> None:
    """What is read back is the same architecture, whatever the order of edges was."""
    x = SPACE.encode(DARTS_V2)
    text = SPACE.decode(x)
    assert text.startswith(
        "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
        "('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), ('skip_connect', 0), "
        "('dil_conv_3x3', 2)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), "
    )
    np.testing.assert_array_equal(SPACE.encode(text), x)


def test_cells_that_differ_have_genotypes_that_differ() -> None:
    """The text tells every architecture apart."""
    X = np.unique(SPACE.sample(np.random.default_rng(0), 300), axis=0)
    assert len({SPACE.decode(x) for x in X}) == len(X)


# Networks


def test_the_published_network_has_its_published_parameters() -> None:
    """3.3 M in the paper's table 1; its code prints ``param size = 3.349342MB`` on CIFAR-10."""
    space = DartsSpace(width=36, cells=20)
    x = space.encode(DARTS_V2)
    parameters = sum(weight.numel() for weight in space.network(x).parameters())
    assert parameters == space.params(x)[0] == 3_349_342


def test_reduction_cells_stand_at_a_third_and_two_thirds() -> None:
    """They halve the maps and double the width; the output has the width of four nodes."""
    shapes = [SPACE.graph.shapes[f"cell{number}.output"] for number in range(1, 9)]
    assert shapes == [
        *[(64, 32, 32)] * 2,
        *[(128, 16, 16)] * 3,
        *[(256, 8, 8)] * 3,
    ]
    reducing = {
        node.name.partition(".")[0]
        for node in SPACE.graph.nodes
        if node.choice is not None and SPACE.choices[node.choice].name.startswith("reduce")
    }
    assert reducing == {"cell3", "cell6"}


def test_cells_take_the_two_before_them() -> None:
    """At its own width, and at its own size where the cell between has halved the maps."""
    feeds = {node.name: node.candidates[0] for node in SPACE.graph.nodes}
    assert feeds["cell1.input0"].inputs == feeds["cell1.input1"].inputs == ("stem",)
    assert feeds["cell2.input0"].inputs == ("stem",)
    assert feeds["cell5.input0"].inputs == ("cell3.output",)
    assert feeds["cell5.input1"].inputs == ("cell4.output",)
    reduced = {
        name
        for name, candidate in feeds.items()
        if ".input" in name and candidate.operation.key.startswith("factorized")
    }
    assert reduced == {"cell4.input0", "cell7.input0"}


def test_edges_inside_a_reduction_cell_keep_their_size() -> None:
    """Only what enters it is strided: a skip from a node to a node is the identity."""
    skips = {
        name: node.candidates[KEPT.index("skip_connect")].operation.passes_through
        for node in SPACE.graph.nodes
        if (name := node.name).startswith("cell3.edge")
    }
    assert {name for name, same in skips.items() if not same} == {
        name for name in skips if re.search("edge[01]to", name)
    }


@given(architectures)
def test_every_node_runs_two_edges(x: IntArray) -> None:
    """What a node does not take is left out, and all that is left is needed and fed."""
    names = [node.name for node in SMALL.graph.nodes]
    live, _ = SMALL.graph.live(x[np.newaxis])
    running = {name for name, runs in zip(names, live[0], strict=True) if runs}
    taken = {name: option for name, option in chosen(SMALL, x).items() if "inputs" in name}
    expected = {name for name in names if ".edge" not in name}
    for number, kind in enumerate(("normal", "reduce", "reduce", "normal"), start=1):
        for node in range(2, 6):
            sources = taken[f"{kind}.node{node}.inputs"].split("+")
            expected |= {f"cell{number}.edge{source}to{node}" for source in sources}
    assert running == expected


def test_sums_are_of_two() -> None:
    """There is no block to measure that no architecture has."""
    counts = np.asarray(SMALL.path(SMALL.sample(np.random.default_rng(0), 500)).sum(axis=0))
    assert (counts > 0).all()
    assert len(SPACE.blocks) < 60


def test_skips_cost_sums_alone() -> None:
    """A cell of skips computes its two inputs, four sums and one concatenation."""
    skips = re.sub(r"'\w+'", "'skip_connect'", DARTS_V2)
    counts = blocks(SMALL, SMALL.encode(skips))
    assert not [key for key in counts if "pool" in key or "sep" in key]
    assert sum(n for key, n in counts.items() if key.startswith("sum")) == 4 * 4
    assert sum(n for key, n in counts.items() if key.startswith("concat")) == 4


@pytest.mark.parametrize("options", [{"cells": 2}, {"image_size": 2}, {"width": 0}])
def test_options_that_leave_no_space_are_refused(options: dict[str, int]) -> None:
    """With two cells both would reduce, and two pixels cannot be halved twice."""
    with pytest.raises(UsageError, match=next(iter(options))):
        latbench.space("darts", **options)


def test_images_of_odd_size_have_networks() -> None:
    """Stitched and exported alike; the paper's code takes even sizes alone."""
    space = DartsSpace(image_size=7, width=3, cells=4)
    x = space.encode(DARTS_V2)
    whole = export_module(space.network(x), ((1, *space.input_shape),))
    assert graph_id(whole) == space.network_workload(x).id


def test_what_two_shortcuts_compute_alike_is_computed_once() -> None:
    """Two strided skips of one input share the ReLU and the shifted map, as in torch's export."""
    text = DARTS_V2.replace("max_pool_3x3", "skip_connect")
    model = SMALL.to_onnx(SMALL.encode(text))
    for operator in ("Relu", "Slice"):
        read = [node.input[0] for node in model.graph.node if node.op_type == operator]
        assert len(read) == len(set(read)) > 0
    needed = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= needed


def test_maps_of_two_sizes_are_not_joined() -> None:
    """A concatenation joins channels of maps of one size, and says which it got."""
    assert Concat().output_shape(((2, 4, 4), (3, 4, 4))) == (5, 4, 4)
    with pytest.raises(ValueError, match="maps of one size"):
        Concat().output_shape(((2, 4, 4), (2, 4, 5)))
