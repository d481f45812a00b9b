"""Gradients of the architecture in whole searchers, against enumeration and against autograd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import latbench
from latbench.hooks import ExpectedLatency
from latbench.hooks.penalties import PENALTIES
from latbench.one_shot_searcher import OneShotSearcher
from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.testing.architecture_gradients import (
    Comparison,
    enumerated_gradient,
    every_architecture,
    followed_gradients,
    losses_of_every,
    reinforce_variance,
    unsettle,
)
from latbench.testing.searcher_fixtures import Toy
from latbench.testing.toy_supernet import ToySupernet, constant, toy_data
from latbench.testing.unmet import unmet
from latbench.training.alpha import most_likely
from latbench.training.config import TrainConfig
from latbench.training.data import ImageData, Split
from latbench.training.task import SearchTask
from latbench_search.proxylessnas import ProxylessNAS
from latbench_search.unas import UNAS


@pytest.fixture(scope="module")
def toy() -> Toy:
    """Three places: 125 architectures."""
    return Toy(latbench.space("digits-mobilenet", settings=[[16, 3, 1]]))


def begun(searcher: OneShotSearcher, toy: Toy, **changes: Any) -> Any:
    """Return a searcher that has begun, with unequal chances."""
    settings: dict[str, Any] = {
        "target_ms": toy.quantile_ms(0.5),
        "score": toy.score,
        "supernet": ToySupernet(toy),
        "data": toy_data(),
        "train": TrainConfig(batch=16, label_smoothing=0.0),
        "expected": ExpectedLatency(toy.predictor),
    }
    searcher.set_params(warmup=0.0, every=1)
    searcher.start(SearchTask(toy.space, toy.predictor, **{**settings, **changes}))
    unsettle(searcher)
    return searcher


def repeated(searcher: OneShotSearcher, term: Callable[[], Tensor], times: int) -> Tensor:
    """Return the gradients in alpha of a term that draws anew each time, (times, parameters)."""
    alphas = list(searcher.state.alpha.parameters())
    rows = [torch.cat(torch.autograd.grad(term(), alphas)) for _ in range(times)]
    return torch.stack(rows).double()


# UNAS


def dim(n: int) -> ImageData:
    """Return the toy's data with ``n`` images a split, and validation images of less contrast."""
    data = toy_data()
    train, validation = (
        Split(
            shade * split.images.repeat(n // len(split), 1, 1, 1),
            split.labels.repeat(n // len(split)),
        )
        for shade, split in ((1.0, data.train), (0.4, data.validation))
    )
    return replace(data, train=train, validation=validation)


@pytest.mark.parametrize(("draws", "batch", "times"), [("images", 256, 60), ("batch", 16, 1000)])
def test_unas_follows_the_mean_loss_and_its_gap(
    toy: Toy, draws: str, batch: int, times: int
) -> None:
    """The gradient of the mean over networks of train + gap · |validation - train|."""
    train = TrainConfig(batch=batch, label_smoothing=0.0)
    searcher = begun(UNAS(draws=draws, gap=0.7), toy, data=dim(512), train=train)
    state = searcher.state
    trained = losses_of_every(searcher)
    unseen = losses_of_every(searcher, state.validation.split)
    values = trained + 0.7 * (unseen - trained).abs()
    followed = repeated(searcher, lambda: searcher._task_term(*state.train.draw()), times)
    found = Comparison(followed, enumerated_gradient(searcher, values))
    assert found.deviation < 4
    assert found.error_percent < 15
    assert float((unseen - trained).min()) > 0.1 * float(trained.max())


@pytest.mark.parametrize("floor", [0.0, 0.05])
def test_unas_follows_the_mean_of_what_is_measured(
    toy: Toy, floor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient of the mean hinge of measurements, of which its surrogate knows nothing."""

    def measure(X: IntArray) -> FloatArray:
        told_ms: FloatArray = 0.7 * toy.predictor.predict(X) + 0.8 * (X[:, 0] == X[:, 1])
        return told_ms

    params: dict[str, Any] = {"latency_weight": 2.0, "ramp": 0.0, "latency_draws": 1000}
    searcher = begun(UNAS(**params, floor=floor), toy, measure=measure)
    followed = repeated(searcher, searcher._latency_term, 60)
    measured = torch.from_numpy(measure(every_architecture(toy.space)))
    hinges = 2.0 * (measured / searcher.task.target_ms - 1).clamp(min=0)
    # What is drawn with a floor has other chances than alpha's.
    drawn = [given.exp() for given in searcher._log_chances()]
    monkeypatch.setattr(searcher.state.alpha, "probabilities", lambda: drawn)
    found = Comparison(followed, enumerated_gradient(searcher, hinges))
    assert found.deviation < 4
    assert found.error_percent < 15
    assert 0.1 < float((hinges > 0).double().mean()) < 0.9


# ProxylessNAS


def crossed(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each image, as a loss of the task's own."""
    losses: Tensor = F.cross_entropy(logits, labels, reduction="none")
    return losses


def test_rewards_give_the_gradient_of_their_mean(toy: Toy) -> None:
    """Of quality and latency together, whatever the baseline that is taken off."""
    searcher = begun(
        ProxylessNAS(mode="reinforce", latency_exponent=0.8, networks=5), toy, loss=crossed
    )
    assert searcher.unbiased
    # The first baseline is the mean of the very rewards that it is taken off.
    followed = followed_gradients(searcher, 801)[1:]
    latencies_ms = toy.predictor.predict(every_architecture(toy.space))
    shares = torch.from_numpy((searcher.task.target_ms / latencies_ms) ** 0.8)
    rewards = (-losses_of_every(searcher)).exp() * shares
    found = Comparison(followed, enumerated_gradient(searcher, -rewards))
    assert found.deviation < 4
    assert found.error_percent < 20


def test_the_variance_by_enumeration_is_that_of_draws(toy: Toy) -> None:
    """Of the policy gradient with the mean as its baseline."""
    searcher = begun(UNAS(), toy)
    losses = losses_of_every(searcher)
    chances = searcher.state.alpha.log_chance(every_architecture(toy.space)).detach().exp()
    baseline = float(chances.double() @ losses)
    drawn = torch.multinomial(
        chances, 3000, replacement=True, generator=torch.Generator().manual_seed(0)
    )
    log_chance = searcher.state.alpha.log_chance(every_architecture(toy.space))
    alphas = list(searcher.state.alpha.parameters())
    slopes = [torch.autograd.grad(one, alphas, retain_graph=True) for one in log_chance]
    steps = torch.stack([torch.cat(one) for one in slopes]).double()
    steps = steps * (losses - baseline)[:, None]
    found = reinforce_variance(searcher, losses)
    assert found == pytest.approx(float(steps[drawn].var(0).sum()), rel=0.15)


@pytest.mark.parametrize("name", sorted(PENALTIES))
def test_two_paths_follow_the_shares_of_their_pair(
    toy: Toy, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient by autograd where a pair shares what it has, and all else is held.

    Gates pass it straight through to the shares; the latency sees the chances, of which the shares
    are a part.
    """
    searcher = begun(ProxylessNAS(mode="two"), toy, penalty=unmet(name, toy.fastest_ms))
    state, task = searcher.state, searcher.task
    calls: list[Any] = []
    mixed = state.supernet.mixed

    def keep(images: Tensor, weights: Any, **options: Any) -> Any:
        calls.append((weights, options["running"]))
        return mixed(images, weights, **options)

    monkeypatch.setattr(state.supernet, "mixed", keep)
    (followed,) = followed_gradients(searcher, 1)
    (drawn, pairs), *_ = calls  # and then the step of the weights
    logits = [given.detach().requires_grad_() for given in state.alpha.logits]
    gates, chances = [], []
    for given, gate, pair in zip(logits, drawn, pairs, strict=True):
        options = torch.tensor(sorted(pair))
        shares = given[options].softmax(0)
        gates.append(gate.detach().index_add(0, options, shares - shares.detach()))
        known = given.detach().softmax(0)
        chances.append(known.index_copy(0, options, known[options].sum() * shares))
    split = state.validation.split
    output = mixed(split.images, gates, running=pairs)
    objective = task.penalty(
        state.losses(output, split.labels).mean(), task.expected(toy.space.by_choice(chances))
    )
    exact = torch.cat(torch.autograd.grad(objective, logits)).double()
    torch.testing.assert_close(followed, exact, rtol=1e-3, atol=1e-6)
    assert int((exact != 0).sum()) == 2 * len(pairs)


@pytest.mark.parametrize("name", sorted(PENALTIES))
def test_two_paths_lead_to_the_fastest(toy: Toy, name: str) -> None:
    """With a constant task loss and a target that nothing meets, under every penalty."""
    searcher = begun(
        ProxylessNAS(mode="two", rate=0.1),
        toy,
        train=TrainConfig(steps=300, batch=4),
        loss=constant,
        penalty=unmet(name, toy.fastest_ms),
    )
    while not searcher.done:
        searcher.step()
    np.testing.assert_array_equal(most_likely(toy.space, searcher.chances), toy.fastest)
