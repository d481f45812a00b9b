"""Single mutations and the descent to the fastest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import latbench
from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.spaces.space import SearchSpace
from latbench.training.neighbours import find_fastest, mutate

CHAIN: SearchSpace = latbench.space("digits-mobilenet")
CELL: SearchSpace = latbench.space("nasbench201")


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30)
def test_exactly_one_gene_changes(seed: int) -> None:
    """In a chain a child differs from its parent in one choice, and is an architecture."""
    rng = np.random.default_rng(seed)
    parents = CHAIN.sample(rng, 50)
    before = parents.copy()
    children = mutate(CHAIN, parents, rng)
    assert ((children != parents).sum(axis=1) == 1).all()
    np.testing.assert_array_equal(CHAIN.check(children), children)
    np.testing.assert_array_equal(parents, before)


def test_a_child_is_another_network() -> None:
    """Where genes can be inactive, the canonical form changes, not just a gene that is unused."""
    space = latbench.space("digits-mobilenet")
    first, *others = space.choices
    # The others matter only where the first choice takes its first option.
    space.choices = (
        first,
        *(replace(choice, active=(first.name, first.options[:1])) for choice in others),
    )
    rng = np.random.default_rng(0)
    parents = space.sample(rng, 500)
    children = mutate(space, parents, rng)
    np.testing.assert_array_equal(space.check(children), children)
    assert (children != parents).any(axis=1).all()
    inactive = parents[:, 0] > 0
    assert (children[inactive, 0] != parents[inactive, 0]).all()


def test_cells_mutate_too() -> None:
    """A space of cells gives architectures that differ."""
    rng = np.random.default_rng(0)
    parents = CELL.sample(rng, 500)
    children = mutate(CELL, parents, rng)
    np.testing.assert_array_equal(CELL.check(children), children)
    assert (children != parents).any(axis=1).all()


def test_every_neighbour_is_as_likely_as_its_choice() -> None:
    """The choice is uniform, then the option is."""
    x = np.zeros((40_000, len(CHAIN.sizes)), dtype=np.int64)
    children = mutate(CHAIN, x, np.random.default_rng(1))
    for column, options in enumerate(CHAIN.sizes):
        counts = np.bincount(children[:, column], minlength=options)[1:]
        expected = len(x) / len(CHAIN.sizes) / (options - 1)
        np.testing.assert_allclose(counts, expected, rtol=0.12)


def additive(space: SearchSpace, seed: int) -> tuple[IntArray, FloatArray]:
    """Return starts and prices of options, for a latency that is their sum."""
    prices = np.random.default_rng(seed).uniform(0.1, 1.0, sum(space.sizes))
    return np.concatenate([[0], np.cumsum(space.sizes)[:-1]]), prices


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30)
def test_the_fastest_of_a_sum_is_found(seed: int) -> None:
    """Where the latency is a sum over choices, the descent is exact."""
    starts, prices = additive(CHAIN, seed)
    parts = np.split(prices, starts[1:])

    def latency_ms(X: IntArray) -> FloatArray:
        return np.asarray(prices[X + starts].sum(axis=1))

    fastest = find_fastest(CHAIN, latency_ms, np.random.default_rng(seed))
    assert fastest.latency_ms == pytest.approx(sum(part.min() for part in parts))
    assert latency_ms(fastest.x[np.newaxis])[0] == fastest.latency_ms


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15)
def test_no_neighbour_is_faster(seed: int) -> None:
    """Where neighbouring choices interact, the end is a local optimum at least."""
    rng = np.random.default_rng(seed)
    starts, prices = additive(CHAIN, seed)
    width = len(prices)
    pairs = rng.uniform(-0.5, 0.5, (width, width))

    def latency_ms(X: IntArray) -> FloatArray:
        places = X + starts
        joint = pairs[places[:, :-1], places[:, 1:]].sum(axis=1)
        return np.asarray(10 + prices[places].sum(axis=1) + joint)

    fastest = find_fastest(CHAIN, latency_ms, rng, sweeps=50)
    around = mutate(CHAIN, np.tile(fastest.x, (500, 1)), rng)
    assert (latency_ms(around) >= fastest.latency_ms).all()
    assert fastest.latency_ms <= latency_ms(CHAIN.sample(rng, 200)).min()


def test_predictions_are_counted_and_bounded() -> None:
    """``tried`` is what was asked of the predictor, and a descent ends."""
    asked = 0

    def latency_ms(X: IntArray) -> FloatArray:
        nonlocal asked
        asked += len(X)
        return np.full(len(X), 1.0 / asked)

    fastest = find_fastest(CHAIN, latency_ms, np.random.default_rng(0), samples=10, sweeps=3)
    assert fastest.tried == asked == 10 + 3 * 4 * sum(CHAIN.sizes)
