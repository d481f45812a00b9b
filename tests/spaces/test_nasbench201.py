"""NAS-Bench-201: its strings, its published sizes, and cells that compute less than they seem."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import latbench
from latbench.errors import UsageError
from latbench.spaces import SearchSpace
from latbench.spaces.nasbench201 import EDGES, OPERATIONS
from latbench.testing import onnx_models

FULL = latbench.space("nasbench201")
SMALL = latbench.space("nasbench201", image_size=8, cells=1, width=4)
NOTHING = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"

cells = st.lists(st.integers(0, 4), min_size=6, max_size=6).map(np.array)


def blocks(space: SearchSpace, text: str) -> dict[str, float]:
    """Return the blocks of an architecture with their counts."""
    row = space.path(space.encode(text)).toarray()[0]
    return {block.key: n for block, n in zip(space.blocks, row, strict=True) if n}


def test_strings_are_the_benchmarks() -> None:
    """A string of the benchmark reads as the operations on its six edges, in order."""
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
    x = FULL.encode(text)
    named = {
        choice.name: choice.options[value] for choice, value in zip(FULL.choices, x, strict=True)
    }
    assert named == {
        "edge0to1": "nor_conv_3x3",
        "edge0to2": "none",
        "edge1to2": "skip_connect",
        "edge0to3": "avg_pool_3x3",
        "edge1to3": "none",
        "edge2to3": "nor_conv_1x1",
    }
    assert FULL.decode(x) == text


@pytest.mark.parametrize(
    "text",
    [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|",
        "|nor_conv_3x3~1|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|skip_connect~2|",
        "|nor_conv_5x5~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|skip_connect~2|",
    ],
)
def test_other_strings_are_refused(text: str) -> None:
    """A missing node, a wrong source and an unknown operation are UsageErrors."""
    with pytest.raises(UsageError):
        FULL.encode(text)


@pytest.mark.parametrize(
    ("operation", "params", "macs"),
    [("nor_conv_3x3", 1_531_546, 220.11968e6), ("skip_connect", 73_306, 7.78304e6)],
)
def test_costs_are_the_benchmarks(operation: str, params: int, macs: float) -> None:
    """The largest and the smallest connected cell have the benchmark's parameters and FLOPs."""
    x = [OPERATIONS.index(operation)] * 6
    assert FULL.params(x)[0] == params
    assert FULL.macs(x)[0] == pytest.approx(macs)


def test_cells_repeat() -> None:
    """The same cell stands five times in each stage, at three sizes."""
    text = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|"
    counts = blocks(FULL, text)
    for shape, width in (("16x32x32", 16), ("32x16x16", 32), ("64x8x8", 64)):
        assert counts[f"relu-conv-k3-s1-c{width}-{width}@{shape}"] == 5
        assert counts[f"relu-conv-k1-s1-c{width}-{width}@{shape}"] == 5


def test_a_dead_cell_leaves_the_head_alone() -> None:
    """Where nothing reaches the output, neither stem nor cells are built, charged or timed."""
    assert blocks(FULL, NOTHING) == {"bn-relu-classifier-c64-10@64x8x8": 1}
    head = 2 * 64 + 65 * 10
    assert FULL.params(FULL.encode(NOTHING))[0] == head
    network = FULL.network(FULL.encode(NOTHING))
    assert sum(weight.numel() for weight in network.parameters()) == head


def test_a_dead_cell_gives_constant_logits() -> None:
    """Such a network is valid: in torch and in ONNX its logits do not depend on the image."""
    x = SMALL.encode(NOTHING)
    one, other = torch.randn(2, 2, *SMALL.input_shape)
    network = SMALL.network(x).eval()
    torch.testing.assert_close(network(one), network(other))
    model = SMALL.to_onnx(x, batch=2)
    (first,) = onnx_models.run(model, {"input": one.numpy()})
    (second,) = onnx_models.run(model, {"input": other.numpy()})
    assert first.shape == (2, 10)
    np.testing.assert_array_equal(first, second)


def test_an_edge_into_nowhere_is_not_charged() -> None:
    """A convolution whose result only a ``none`` would read leaves the cell."""
    useful = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
    wasteful = "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|nor_conv_3x3~0|none~1|none~2|"
    assert blocks(FULL, useful) == blocks(FULL, wasteful)
    ids = {FULL.network_workload(FULL.encode(text)).id for text in (useful, wasteful)}
    assert len(ids) == 1


def test_an_edge_from_nowhere_is_not_charged() -> None:
    """A convolution that nothing reaches leaves the cell, whoever reads it."""
    useful = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
    wasteful = "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_1x1~1|nor_conv_1x1~2|"
    assert blocks(FULL, useful) == blocks(FULL, wasteful)


def test_a_shared_ancestor_stays() -> None:
    """What two edges read is kept, and counted once, as long as one of them is needed."""
    both = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"
    one = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|"
    for text, pointwise in ((both, 10), (one, 5)):
        counts = blocks(FULL, text)
        assert counts["relu-conv-k3-s1-c16-16@16x32x32"] == 5
        assert counts["relu-conv-k1-s1-c16-16@16x32x32"] == pointwise


def test_isomorphic_cells_share_a_workload() -> None:
    """Cells that compute alike are measured once, though they are different architectures."""
    first = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"
    second = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|skip_connect~2|"
    a, b = FULL.encode(first), FULL.encode(second)
    assert FULL.hash(a) != FULL.hash(b)
    assert FULL.network_workload(a).id == FULL.network_workload(b).id


def test_what_two_edges_compute_alike_is_computed_once() -> None:
    """The ReLU of two convolutions on one tensor stands once in the stitched network.

    So it does in torch's own export, which is what a found network is deployed as.
    """
    text = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|skip_connect~1|skip_connect~2|"
    space = latbench.space("nasbench201", image_size=8, cells=1)
    model = space.to_onnx(space.encode(text))
    read = [node.input[0] for node in model.graph.node if node.op_type == "Relu"]
    assert len(read) == len(set(read))


@given(cells)
def test_logits_depend_on_the_image_exactly_where_the_output_is_reached(x: np.ndarray) -> None:
    """Pruning agrees with walking the six edges of the cell by hand."""
    reached = {0}
    for (source, to), value in sorted(zip(EDGES, x, strict=True), key=lambda pair: pair[0][1]):
        if OPERATIONS[value] != "none" and source in reached:
            reached.add(to)
    stem = next(i for i, block in enumerate(SMALL.blocks) if block.key.startswith("conv-"))
    assert SMALL.path(x).toarray()[0, stem] == (3 in reached)


@given(cells)
def test_costs_grow_with_convolutions(x: np.ndarray) -> None:
    """Replacing a convolution by a larger one never costs less."""
    larger = np.where(x == OPERATIONS.index("nor_conv_1x1"), OPERATIONS.index("nor_conv_3x3"), x)
    assert SMALL.macs(larger)[0] >= SMALL.macs(x)[0]
    assert SMALL.params(larger)[0] >= SMALL.params(x)[0]
