"""Features of a graph: what pruning leaves, the longest path, and what is fed and read."""

from __future__ import annotations

import numpy as np
import pytest

import latbench
from latbench.spaces import Block, SearchSpace, features
from latbench.spaces.convolution import Chain, ConvBlock, InvertedResidual
from latbench.spaces.graph import INPUT

LIVE = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|"
UNREAD = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|none~2|"
UNFED = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|nor_conv_3x3~2|"


@pytest.fixture(scope="module")
def cells() -> SearchSpace:
    return latbench.space("nasbench201", cells=2)


def by_name(space: SearchSpace, X: np.ndarray) -> dict[str, np.ndarray]:
    """Return each feature of ``X`` (n, choices) by its name, (n,)."""
    found = space.features(space.check(X))
    assert found.shape == (len(space.check(X)), len(space.features.names))
    return dict(zip(space.features.names, found.T, strict=True))


@pytest.mark.parametrize("name", ["mobilenet", "fbnet", "nasbench201", "darts"])
def test_counts_and_totals_are_those_of_the_path(name: str) -> None:
    """Blocks are counted as ``path`` counts them, and cost what ``macs`` and ``params`` say."""
    space = latbench.space(name)
    X = space.sample(np.random.default_rng(0), 60)
    found = by_name(space, X)
    assert len(found) == len(space.features.names)  # no name stands twice
    counts = np.stack([found[block.key] for block in space.blocks], axis=1)
    np.testing.assert_array_equal(counts, space.path(X).toarray())
    np.testing.assert_array_equal(found["total blocks"], counts.sum(axis=1))
    np.testing.assert_array_equal(found["total macs"], space.macs(X))
    np.testing.assert_array_equal(found["total params"], space.params(X))
    moved = counts @ np.array([block.moved for block in space.blocks])
    np.testing.assert_array_equal(found["total values moved"], moved)


def test_a_chain_has_no_column_that_tells_nothing() -> None:
    """Where all is fed and read, and one path holds all, there are no such columns."""
    space = latbench.space("mobilenet")
    assert not [name for name in space.features.names if name.split()[0] in ("longest", "read")]
    assert (
        space.features(space.sample(np.random.default_rng(0), 3))[:, space.features.reach].size == 0
    )


def test_the_longest_path_is_that_of_the_steps(cells: SearchSpace) -> None:
    """It is what a walk over the steps that really run finds."""
    X = cells.sample(np.random.default_rng(1), 40)
    found = by_name(cells, X)
    for row, x in enumerate(X):
        longest: dict[str | None, np.ndarray] = {INPUT: np.zeros(4), None: np.zeros(4)}
        for step in cells.graph.plan(x):
            block = Block(step.operation, step.input_shapes)
            costs = np.array([1, block.macs, block.params, block.moved])
            longest[step.name] = costs + np.max([longest[name] for name in step.inputs], axis=0)
        for cost, value in zip(
            ("blocks", "macs", "params", "values moved"), longest["head"], strict=True
        ):
            assert found[f"longest {cost}"][row] == value


def test_what_is_fed_and_read_is_told_apart(cells: SearchSpace) -> None:
    """Of dead operations, one leads nowhere and another is fed by nothing."""
    found = by_name(cells, np.array([cells.encode(text) for text in (LIVE, UNREAD, UNFED)]))
    assert found["total macs"].tolist() == [found["total macs"][0]] * 3
    assert found["fed edge1to2=nor_conv_3x3"].tolist() == [0, 1, 0]
    assert found["read edge1to2=nor_conv_3x3"].tolist() == [0, 0, 0]
    assert found["fed edge2to3=nor_conv_3x3"].tolist() == [0, 0, 0]
    assert found["read edge2to3=nor_conv_3x3"].tolist() == [0, 0, 1]
    assert found["live edge0to1=nor_conv_3x3"].tolist() == [1, 1, 1]
    assert found["fed nor_conv_3x3"].tolist() == [1, 2, 1]
    assert found["read nor_conv_3x3"].tolist() == [1, 1, 2]
    assert found["live nor_conv_3x3"].tolist() == [1, 1, 1]


def test_a_dead_end_is_joined_by_nothing(cells: SearchSpace) -> None:
    """A dead operation is an end if it is alone at its node, and so is what it alone reads."""
    tail = "+|none~0|{}~1|none~2|"
    ends = [
        "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|" + tail.format("nor_conv_1x1"),
        "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_3x3~1|" + tail.format("nor_conv_1x1"),
        "|none~0|+|avg_pool_3x3~0|skip_connect~1|+|nor_conv_1x1~0|none~1|none~2|",
        "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|nor_conv_1x1~0|none~1|none~2|",
        "|nor_conv_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|nor_conv_1x1~0|none~1|none~2|",
    ]
    found = by_name(cells, np.array([cells.encode(text) for text in (LIVE, UNFED, *ends)]))
    assert found["end nor_conv_3x3"].tolist() == [0, 0, 1, 0, 0, 1, 0]
    assert found["end avg_pool_3x3"].tolist() == [0, 0, 0, 0, 1, 1, 0]
    assert not any(found["end none"])
    assert not any(found["end nor_conv_1x1"])


def test_of_unconnected_cells_the_first_is_fed_and_the_last_is_read(cells: SearchSpace) -> None:
    """Where nothing passes a cell, its value reaches the next no more: a share of six is left."""
    text = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"
    found = by_name(cells, cells.encode(text)[None])
    assert found["fed edge0to1=nor_conv_3x3"] == pytest.approx(1 / 6)
    assert found["read edge2to3=nor_conv_1x1"] == pytest.approx(1 / 6)


def test_walking_and_looking_up_agree(cells: SearchSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A space too large for a table is walked for each batch, with the same result."""
    X = cells.sample(np.random.default_rng(2), 30)
    looked_up = cells.features(X)
    monkeypatch.setattr(features, "_ENUMERABLE", 0)
    np.testing.assert_array_equal(features.GraphFeatures(cells)(X), looked_up)


def test_values_moved_by_hand() -> None:
    """Inputs, outputs and weights of each step count, also between the steps of a block."""
    conv = ConvBlock(2, 4, 3, stride=2)
    assert conv.moved(((2, 8, 8),)) == 2 * 64 + 4 * 16 + (9 * 8 + 2 * 4)
    both = Chain((conv, ConvBlock(4, 4, 1)))
    assert both.moved(((2, 8, 8),)) == conv.moved(((2, 8, 8),)) + 2 * 4 * 16 + (16 + 2 * 4)
    residual = InvertedResidual(2, 2, 3, 1, 3)
    hidden = 6 * 64
    assert residual.moved(((2, 8, 8),)) == 2 * (2 * 64 + hidden) + 2 * hidden + residual.params()


def walked(space: SearchSpace, x: np.ndarray) -> dict[str, float]:
    """Return what others save each block in the steps of ``x``."""
    same: dict[str | None, int] = {INPUT: 0, None: -1}
    values: dict[tuple[object, ...], int] = {}
    alike: dict[tuple[object, ...], list[str]] = {}
    blocks = iter(space.blocks[number].key for number in space.placed(x)[0] if number >= 0)
    for step, block in zip(space.graph.plan(x), blocks, strict=True):
        operation = step.operation
        taken = [same[name] for name in step.inputs]
        parts = tuple(sorted(taken) if operation.joins else taken)
        weighted = operation.params() > 0
        value = (block, parts, step.name if weighted else None)
        same[step.name] = values.setdefault(value, len(values) + 1)
        group = ("beside", type(operation), parts) if weighted else ("again", *value)
        alike.setdefault(group, []).append(block)
    saved: dict[str, float] = {}
    for (kind, *_), members in alike.items():
        for block in members if len(members) > 1 else []:
            saved[f"{kind} {block}"] = saved.get(f"{kind} {block}", 0) + 1 - 1 / len(members)
    return saved


@pytest.mark.parametrize("name", ["nasbench201", "darts"])
def test_what_may_be_computed_once_is_found_by_a_walk_over_the_steps(name: str) -> None:
    """Values are the same where operations without weights and what they take are."""
    space = latbench.space(name, cells=3)
    X = space.sample(np.random.default_rng(2), 40)
    found = by_name(space, X)
    told = {key: column for key, column in found.items() if key.split()[0] in ("again", "beside")}
    assert len(told) == 2 * len(space.blocks)
    for row, x in enumerate(X):
        saved = {key: column[row] for key, column in told.items() if column[row]}
        assert saved == pytest.approx(walked(space, x))
    assert sum(map(np.sum, told.values())) > 0


def test_two_pools_of_one_value_are_one(cells: SearchSpace) -> None:
    """And so are the sums that take them, and what comes behind."""
    twice = "|avg_pool_3x3~0|+|avg_pool_3x3~0|none~1|+|none~0|avg_pool_3x3~1|avg_pool_3x3~2|"
    found = by_name(cells, np.array([cells.encode(twice)]))
    pools = {key: value[0] for key, value in found.items() if key.startswith("again avgpool")}
    # Two cells in each of three stages; in each, one pool of two, twice.
    assert list(pools.values()) == [4, 4, 4]


def test_a_chain_computes_nothing_twice() -> None:
    """It has no column of that."""
    shared = latbench.space("mobilenet").features.shared
    assert shared.start == shared.stop
