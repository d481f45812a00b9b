"""Several batches a step: one large batch in little memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latbench import registry
from latbench.errors import UsageError
from latbench.hooks import ExpectedLatency
from latbench.hooks.penalties import Additive
from latbench.one_shot_searcher import OneShotSearcher
from latbench.testing.one_shot_searchers import Toy, ToySupernet, toy_data
from latbench.training.config import TrainConfig
from latbench.training.task import SearchTask
from latbench_search.darts import DARTS
from latbench_search.fbnet import FBNet
from latbench_search.proxylessnas import ProxylessNAS
from latbench_search.snas import SNAS
from latbench_search.unas import UNAS


@pytest.fixture(scope="module")
def toy() -> Toy:
    """Latencies of a small space."""
    return Toy(registry.load(registry.SPACES, "digits-mobilenet")())


def begun(
    searcher: OneShotSearcher, toy: Toy, batch: int, accumulate: int, alpha_accumulate: int = 1
) -> OneShotSearcher:
    """Return a searcher that has begun to search within the toy."""
    train = TrainConfig(
        steps=4, batch=batch, accumulate=accumulate, alpha_accumulate=alpha_accumulate, lr=0.1
    )
    task = SearchTask(
        toy.space,
        toy.predictor,
        toy.quantile_ms(0.5),
        toy.score,
        supernet=ToySupernet(toy),
        data=toy_data(),
        train=train,
        expected=ExpectedLatency(toy.predictor),
        penalty=Additive(0.1) if searcher.follows_penalty else None,
    )
    searcher.start(task)
    return searcher


def test_two_small_batches_are_a_large_one(toy: Toy) -> None:
    """Where nothing is drawn beside the batches, the weights end where a large batch takes them."""
    ends = []
    for batch, accumulate in ((16, 1), (8, 2)):
        searcher = begun(DARTS(warmup=0.9), toy, batch, accumulate)
        for _ in range(3):
            searcher.step()
        ends.append([p.detach().clone() for p in searcher.state.weights])
    assert any(weight.abs().max() > 0 for weight in ends[0])
    for large, small in zip(*ends, strict=True):
        torch.testing.assert_close(large, small)


@pytest.mark.parametrize("kind", [DARTS, FBNet, ProxylessNAS, SNAS, UNAS])
def test_a_step_is_one_of_each(toy: Toy, kind: type[OneShotSearcher]) -> None:
    """Of the architecture and of the weights, however many batches it has."""
    searcher = begun(kind().set_params(warmup=0.0, every=1), toy, batch=8, accumulate=3)
    for _ in range(2):
        searcher.step()
    state = searcher.state
    assert state.step == 2
    assert {int(one["step"]) for one in state._alpha_optimizer.state.values()} == {2}
    assert state.train.position == 16  # six batches of eight: a pass over 32 images, and two


def test_two_small_batches_are_a_large_one_for_the_architecture(toy: Toy) -> None:
    """Its gradients are averaged over validation batches, as those of the weights over others."""
    ends, last = [], []
    for batch, parts in ((16, 1), (8, 2)):
        searcher = begun(DARTS(order=1, warmup=0.0), toy, batch, parts, parts)
        first = searcher.chances
        for _ in range(3):
            searcher.step()
        assert not all(map(np.array_equal, first, searcher.chances))
        ends.append(np.concatenate(searcher.chances))
        last.append(searcher.state.validation.position)
    large, small = ends
    np.testing.assert_allclose(small, large, rtol=1e-4)
    assert last == [16, 16]  # a pass over 32 images, and half of another


@pytest.mark.parametrize("kind", [DARTS, FBNet, ProxylessNAS, UNAS])
def test_the_architecture_takes_one_step_with_several_batches(
    toy: Toy, kind: type[OneShotSearcher]
) -> None:
    """However many of them; the weights take as many as they did."""
    searcher = begun(kind().set_params(warmup=0.0, every=1), toy, 8, 1, alpha_accumulate=3)
    for _ in range(2):
        searcher.step()
    state = searcher.state
    assert {int(one["step"]) for one in state._alpha_optimizer.state.values()} == {2}
    assert (state.train.position, state.validation.position) == (16, 16)


def test_snas_has_no_batches_for_the_architecture_alone(toy: Toy) -> None:
    """What it follows comes with the step of the weights."""
    searcher = begun(SNAS(), toy, 8, 1, alpha_accumulate=3)
    with pytest.raises(UsageError, match=r"alpha_accumulate is 3, .* give accumulate instead"):
        searcher.step()
