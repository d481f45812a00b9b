"""DARTS's parameters of edges: what is mixed, and what is exported."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

import latbench
from latbench import registry
from latbench.hooks import SampledLatency
from latbench.hooks.penalties import Additive
from latbench.predictor import Predictor
from latbench.spaces.graph import IntArray
from latbench.spaces.mixing import MixedNetwork, Options
from latbench.spaces.space import SearchSpace
from latbench.testing.toy_supernet import constant
from latbench.training.alpha import most_likely
from latbench.training.config import TrainConfig
from latbench.training.data import load_data
from latbench.training.neighbours import find_fastest
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
    lut, alpha = fitted(space), settled(space)
    expected = SampledLatency(lut, samples=50)(
        space.by_choice(given.detach() for given in alpha.probabilities())
    )
    exported = most_likely(space, alpha.chances())
    assert float(expected) == pytest.approx(lut.predict(exported)[0], rel=1e-5)
    X = space.sample(np.random.default_rng(0), 60)
    assert lut.predict(X).std() > 0.01 * float(expected)


COMPETING = (2, 5)
"""Operations that have a chance on the edges of two nodes."""


def fitted(space: SearchSpace) -> Predictor:
    """Return a lookup table that is exact for made-up latencies of blocks."""
    rng = np.random.default_rng(0)
    block_ms = {block.key: float(rng.uniform(0.1, 1.0)) for block in space.blocks}
    X = space.sample(rng, 60)
    lut = registry.load(registry.PREDICTORS, "lut")(space, block_ms, calibration="none")
    fitted: Predictor = lut.fit(X, space.path(X) @ np.array(list(block_ms.values())))
    return fitted


def partly_settled(space: SearchSpace) -> EdgeAlpha:
    """Return unequal weights of two nodes, with all others settled."""
    alpha = settled(space)
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for logits in alpha.logits[:2]:
            logits[:] = -40.0
            for column in (0, *(1 + option for option in COMPETING)):
                logits[:, column] = torch.randn(len(logits), generator=draw)
    return alpha


def exported_cells(space: SearchSpace, alpha: EdgeAlpha) -> Iterator[tuple[Tensor, IntArray]]:
    """Yield each cell that those two nodes can be, with its chance under the export rule.

    Written out from the logits: two edges a node by the product of their strongest operations,
    and on each an operation by its weight among those other than none.
    """
    columns = {choice.name: column for column, choice in enumerate(space.choices)}
    nodes = []
    for logits, (inputs, edges) in zip(alpha.logits[:2], space.edge_groups, strict=False):
        weights = logits.double().softmax(-1)
        pairs = list(itertools.combinations(range(len(edges)), 2))
        strongest = weights[:, 1:].max(-1).values
        products = [strongest[a] * strongest[b] for a, b in pairs]
        cells = []
        for number, pair in enumerate(pairs):
            for options in itertools.product(COMPETING, repeat=2):
                chance = products[number] / torch.stack(products).sum()
                entries = {columns[inputs]: number}
                for edge, option in zip(pair, options, strict=True):
                    chance = chance * weights[edge, 1 + option] / (1 - weights[edge, 0])
                    entries[columns[edges[edge]]] = option
                cells.append((chance, entries))
        nodes.append(cells)
    rest = most_likely(space, settled(space).chances())
    for (one, entries), (other, more) in itertools.product(*nodes):
        x = rest.copy()
        for column, option in {**entries, **more}.items():
            x[column] = option
        yield one * other, space.one(x)


def test_the_expected_latency_of_mixed_weights_is_that_of_enumeration(space: SearchSpace) -> None:
    """Value and gradient in the logits, within four standard errors of the sampled estimate."""
    lut, alpha = fitted(space), partly_settled(space)
    chances, X = zip(*exported_cells(space, alpha), strict=True)
    latencies_ms = torch.from_numpy(lut.predict(np.array(X)))
    mixed = list(alpha.logits[:2])
    exact = torch.stack(chances) @ latencies_ms
    assert float(torch.stack(chances).detach().sum()) == pytest.approx(1, abs=1e-5)
    wanted = torch.cat([exact.detach()[None], *(g.flatten() for g in grads(exact, mixed))])
    sampled = SampledLatency(lut, samples=400)
    rows = []
    for _ in range(50):
        value = sampled(space.by_choice(alpha.probabilities()))
        slopes = grads(value, mixed)
        rows.append(torch.cat([value.detach()[None], *(one.flatten() for one in slopes)]))
    found = torch.stack(rows).double()
    errors = found.std(0) / len(found) ** 0.5
    off = (found.mean(0) - wanted).abs()
    assert bool((off <= 4 * errors + 1e-5 * wanted.abs().max()).all())
    assert bool((wanted[1:].abs() > 10 * errors[1:]).any())


def grads(value: Tensor, logits: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the gradient of ``value`` in each of ``logits``."""
    return torch.autograd.grad(value, logits)


class Still(MixedNetwork):
    """Says the same whatever runs."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self.space = space
        self.says = nn.Parameter(torch.zeros(10))

    def forward(self, images: Tensor, x: npt.ArrayLike) -> Tensor:
        return self.says.expand(len(images), -1)

    def mixed(
        self,
        images: Tensor,
        weights: Sequence[Tensor],
        running: Options | None = None,
        learning: Options | None = None,
    ) -> Tensor:
        return self.says.expand(len(images), -1)


def test_the_latency_alone_leads_to_the_fastest_cells(space: SearchSpace) -> None:
    """With a constant task loss, DARTS ends at the fastest genotype."""
    lut = fitted(space)
    settings: dict[str, Any] = {
        "target_ms": 1e9,
        "score": lambda X: np.ones(len(X)),
        "supernet": Still(space),
        "data": load_data("digits", image_size=8, channels=1),
        "train": TrainConfig(steps=250, batch=4),
        "expected": SampledLatency(lut, samples=64),
        "penalty": Additive(1.0),
        "loss": constant,
    }
    searcher = DARTS(rate=0.1, warmup=0.0, weight_decay=0.0)
    searcher.start(SearchTask(space, lut, **settings))
    while not searcher.done:
        searcher.step()
    fastest = find_fastest(space, lut.predict, np.random.default_rng(0))
    found = most_likely(space, searcher.chances)
    assert lut.predict(found)[0] == pytest.approx(fastest.latency_ms, rel=1e-9)


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
