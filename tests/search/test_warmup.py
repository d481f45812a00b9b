"""The warm-up of a one-shot search: its own settings of the weights, and when passes end."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from latbench import registry
from latbench.errors import UsageError
from latbench.spaces.architectures import FloatArray
from latbench.spaces.space import SearchSpace
from latbench.testing.one_shot_searchers import Toy, ToySupernet, toy_data
from latbench.training.callbacks import Callback
from latbench.training.config import TrainConfig, WarmupConfig
from latbench.training.data import load_data
from latbench.training.task import SearchTask
from latbench_search.darts import DARTS
from latbench_search.fbnet import FBNet
from latbench_search.snas import SNAS

WARMUP = WarmupConfig(lr=0.4, momentum=0.5, weight_decay=0.0, clip_norm=1e-6)


@pytest.fixture(scope="module")
def toy() -> Toy:
    """Latencies of a small space."""
    return Toy(registry.load(registry.SPACES, "digits-mobilenet")())


def task(toy: Toy, train: TrainConfig, **changes: Any) -> SearchTask:
    """Return a task with this training."""
    given = SearchTask(
        toy.space,
        toy.predictor,
        toy.quantile_ms(0.5),
        toy.score,
        supernet=ToySupernet(toy),
        data=toy_data(),
        train=train,
    )
    return dataclasses.replace(given, **changes)


def test_the_weights_learn_otherwise_until_the_architecture_does(
    toy: Toy, small: SearchSpace
) -> None:
    """By the settings of the warm-up for its share of the steps, then by those of the training."""
    train = TrainConfig(steps=4, batch=16, weight_decay=1e-3, warmup=WARMUP)
    searcher = DARTS(warmup=0.5)
    real = {"supernet": small.supernet(seed=1), "data": load_data("digits", 8, channels=1)}
    known = {"space": small, "predictor": None, "predict_ms": lambda X: 1.0 + 0.0 * X[:, 0]}
    searcher.start(task(toy, train, **real, **known, target_ms=1.0))
    state = searcher.state
    found, moved = [], []
    for _ in range(4):
        decay = max(state.decays)
        before = [weight.detach().clone() for weight in state.weights]
        searcher.step()
        group, _ = state._weight_optimizer.param_groups
        assert group["weight_decay"] == decay
        found.append((group["lr"], (group["momentum"], decay)))
        pairs = zip(state.weights, before, strict=True)
        moved.append(max(float((now.detach() - was).abs().max()) for now, was in pairs))
    cosine = [TrainConfig(lr=1.0).lr_at(step, 4) for step in range(4)]
    warm, after = (0.5, 0.0), (0.9, 1e-3)
    wanted = [(0.4, warm), (0.4, warm), (0.1, after), (0.1, after)]
    for (lr, others), (first, told), share in zip(found, wanted, cosine, strict=True):
        assert lr == pytest.approx(first * share)
        assert others == told
    # The clipped gradient alone moves them while warming up.
    assert 0 < moved[0] < 1e-6
    assert moved[2] > 1e-3


def test_settings_of_no_warm_up_are_refused(toy: Toy) -> None:
    """A searcher without a warm-up has no use for them."""
    with pytest.raises(UsageError, match="warmup of the searcher is 0"):
        SNAS(warmup=0.0).start(task(toy, TrainConfig(steps=4, batch=16, warmup=WARMUP)))


@pytest.mark.parametrize(
    ("train", "passes"),
    [
        (TrainConfig(epochs=3, batch=16), [2, 4, 6]),
        (TrainConfig(epochs=4, batch=8, accumulate=2), [2, 4, 6, 8]),
        (TrainConfig(steps=5, batch=16), [2, 4, 5]),
    ],
)
def test_passes_are_told_where_they_end(toy: Toy, train: TrainConfig, passes: list[int]) -> None:
    """Over 32 images, and at the last step; whenever reports are made."""

    class Listening(Callback):
        def __init__(self) -> None:
            self.steps: list[int] = []

        def on_pass(self, step: int, chances: Mapping[str, FloatArray]) -> None:
            assert [*chances] == [choice.name for choice in toy.space.choices]
            self.steps.append(step)

    listening: Any = Listening()
    FBNet(finalists=1).run(task(toy, train), [listening])
    assert listening.steps == passes
