"""DARTS's parameters of edges: what is mixed, and what is exported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import latbench
from latbench import registry
from latbench.hooks import SampledLatency
from latbench.spaces.space import SearchSpace
from latbench.training.alpha import most_likely
from latbench.training.config import TrainConfig
from latbench.training.data import load_data
from latbench.training.task import SearchTask
from latbench_search.darts import DARTS
from latbench_search.edge_alpha import EdgeAlpha


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """The smallest network with both cells."""
    return latbench.space("darts", image_size=8, width=4, cells=3, channels=1)


@pytest.fixture
def alpha(space: SearchSpace) -> EdgeAlpha:
    """Unequal weights."""
    return EdgeAlpha(space, np.random.default_rng(0), 1.5)


def test_fourteen_edges_with_eight_operations_each(alpha: EdgeAlpha) -> None:
    """For each of the two cells."""
    assert sum(len(logits) for logits in alpha.logits) == 2 * 14
    assert {logits.shape[1] for logits in alpha.logits} == {8}


def test_the_mixed_forward_is_the_sum_over_all_edges(space: SearchSpace, alpha: EdgeAlpha) -> None:
    """Each operation has its softmax weight beside ``none``, and every edge takes part once."""
    weights = dict(zip([choice.name for choice in space.choices], alpha.mixing(), strict=True))
    for logits, (pair, edges) in zip(alpha.logits, space.edge_groups, strict=True):
        softmax = logits.softmax(-1)
        for row, edge in zip(softmax, edges, strict=True):
            torch.testing.assert_close(weights[edge], row[1:])
        options = next(one.options for one in space.choices if one.name == pair)
        for place in range(len(edges)):
            taking = [str(place) in option.split("+") for option in options]
            assert float(weights[pair].detach()[taking].sum()) == pytest.approx(1)


def test_the_most_likely_is_the_export_rule(space: SearchSpace, alpha: EdgeAlpha) -> None:
    """Two edges a node, those of the strongest operation other than none, and that operation."""
    x = most_likely(space, alpha.chances())
    found = {
        choice.name: choice.options[value] for choice, value in zip(space.choices, x, strict=True)
    }
    for logits, (pair, edges) in zip(alpha.logits, space.edge_groups, strict=True):
        weights = logits.detach().softmax(-1)[:, 1:].numpy()
        kept = sorted(np.argsort(-weights.max(axis=1))[:2].tolist())
        assert found[pair] == "+".join(map(str, kept))
        for edge in kept:
            choice = next(one for one in space.choices if one.name == edges[edge])
            assert found[edges[edge]] == choice.options[int(weights[edge].argmax())]


def settled(space: SearchSpace, depth: float = 40.0) -> EdgeAlpha:
    """Return weights next to one-hot: an operation on the first two edges of a node, else none."""
    alpha = EdgeAlpha(space, np.random.default_rng(0), 0.0)
    with torch.no_grad():
        for logits in alpha.logits:
            logits[:, 0] = depth
            logits[:2, 0] = 0.0
            logits[:2, 3] = depth
    return alpha


def test_settled_weights_give_a_certain_architecture(space: SearchSpace) -> None:
    """Where each edge is next to one-hot and two a node are kept, the chances are one-hot."""
    for chances, choice in zip(settled(space).chances(), space.choices, strict=True):
        if choice.name.endswith("inputs"):
            assert chances[choice.options.index("0+1")] == pytest.approx(1, abs=1e-6)
        elif "edge0" in choice.name or "edge1" in choice.name:
            assert chances[2] == pytest.approx(1, abs=1e-6)


def test_none_everywhere_still_keeps_two_edges(space: SearchSpace) -> None:
    """However small the weights of all operations are, some pair of edges is the strongest."""
    alpha = EdgeAlpha(space, np.random.default_rng(0), 1.0)
    with torch.no_grad():
        for logits in alpha.logits:
            logits[:, 0] = 400.0
    for given in alpha.chances():
        assert given.sum() == pytest.approx(1, abs=1e-5)


def test_chances_are_distributions_with_a_gradient(space: SearchSpace, alpha: EdgeAlpha) -> None:
    """One a choice; and every logit but those of a lost edge can move them."""
    probabilities = alpha.probabilities()
    assert [len(given) for given in probabilities] == list(space.sizes)
    for given in probabilities:
        assert float(given.detach().sum()) == pytest.approx(1, abs=1e-5)
    weights = [torch.randn(len(given)) for given in probabilities]
    value = sum(w @ given for w, given in zip(weights, probabilities, strict=True))
    for slope in torch.autograd.grad(value, list(alpha.parameters())):  # type: ignore[arg-type]
        assert (slope != 0).any(dim=1).all()


def test_the_expected_latency_is_that_of_the_exported_cell(space: SearchSpace) -> None:
    """At settled weights it is the prediction of the architecture that is exported."""
    rng = np.random.default_rng(0)
    block_ms = {block.key: float(rng.uniform(0.1, 1.0)) for block in space.blocks}
    sums = np.array(list(block_ms.values()))
    X = space.sample(rng, 60)
    lut = registry.load(registry.PREDICTORS, "lut")(space, block_ms, calibration="none")
    lut.fit(X, space.path(X) @ sums)
    alpha = settled(space)
    expected = SampledLatency(lut, samples=50)(
        space.by_choice(given.detach() for given in alpha.probabilities())
    )
    exported = most_likely(space, alpha.chances())
    assert float(expected) == pytest.approx(lut.predict(exported)[0], rel=1e-5)
    assert lut.predict(X).std() > 0.01 * float(expected)


def test_darts_searches_its_own_space(space: SearchSpace) -> None:
    """A few steps on the digits end in the genotype that the learned weights export."""
    settings: dict[str, Any] = {
        "target_ms": 1e9,
        "score": lambda X: np.ones(len(X)),
        "predict_ms": lambda X: 1.0 + X.sum(axis=1),
        "supernet": space.supernet(seed=1),
        "data": load_data("digits", image_size=8, channels=1),
        "train": TrainConfig(steps=3, batch=16),
    }
    searcher = DARTS(warmup=0.0, finalists=1)
    result = searcher.run(SearchTask(space, None, **settings))
    np.testing.assert_array_equal(result.x, most_likely(space, searcher.chances))
    np.testing.assert_array_equal(space.encode(space.decode(result.x)), result.x)
