"""FBNet, SNAS and UNAS on a real supernet: temperatures, weights, and one gradient for two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from latbench.errors import UsageError
from latbench.one_shot_searcher import OneShotSearcher
from latbench.spaces.space import SearchSpace
from latbench.training.config import TrainConfig
from latbench.training.data import load_data
from latbench.training.task import SearchTask
from latbench_search.fbnet import FBNet
from latbench_search.relaxed import gumbel_softmax
from latbench_search.snas import SNAS
from latbench_search.unas import UNAS


def begun(searcher: OneShotSearcher, space: SearchSpace, **changes: Any) -> Any:
    """Return a searcher that has begun a task on the digits."""
    settings: dict[str, Any] = {
        "target_ms": 50.0,
        "score": lambda X: np.zeros(len(X)),
        "predict_ms": lambda X: 1.0 + X.sum(axis=1),
        "supernet": space.supernet(seed=1),
        "data": load_data("digits", image_size=8, channels=1),
        "train": TrainConfig(steps=11, batch=16),
        "expected": lambda chances: sum(
            given @ torch.arange(given.shape[-1], dtype=given.dtype) for given in chances.values()
        ),
    }
    searcher.start(SearchTask(space, None, **{**settings, **changes}))
    return searcher


def test_fbnets_temperature_falls_exponentially_from_the_first_step(small: SearchSpace) -> None:
    """Warm-up or not, by one factor a step, from hot to cold."""
    searcher = begun(FBNet(hot=5.0, cold=0.05, warmup=0.5), small)
    seen = []
    while not searcher.done:
        seen.append(searcher.temperature)
        searcher.step()
    assert (seen[0], seen[-1]) == (pytest.approx(5.0), pytest.approx(0.05))
    np.testing.assert_allclose(np.diff(np.log(seen)), np.log(0.01) / 10)


def test_snas_temperature_falls_linearly(small: SearchSpace) -> None:
    """From hot to cold; equal ones leave it as it is."""
    searcher = begun(SNAS(hot=1.0, cold=0.5), small)
    seen = []
    while not searcher.done:
        seen.append(searcher.temperature)
        searcher.step()
    np.testing.assert_allclose(np.diff(seen), -0.05)


@pytest.mark.parametrize("kind", [FBNet, SNAS])
def test_temperatures_that_cannot_be_are_refused(
    small: SearchSpace, kind: type[OneShotSearcher]
) -> None:
    """Cold above hot, or zero."""
    for cold in (0.0, 2.0):
        with pytest.raises(UsageError, match="cold"):
            begun(kind().set_params(hot=1.0, cold=cold), small)


def test_snas_gradients_come_from_one_loss(
    small: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What alpha follows is the gradient of the very loss that the weights step down."""
    searcher = begun(SNAS(), small)
    seen: dict[str, Any] = {}
    monkeypatch.setattr(
        searcher.state, "follow", lambda loss, gradients: seen.update(loss=loss, found=gradients)
    )
    other = begun(SNAS(), small)
    images, labels = other.state.train.draw()
    weights = [
        gumbel_softmax(given, other.state.uniform(len(given)), other.temperature)
        for given in other.state.alpha.log_chances()
    ]
    logits = other.state.supernet.mixed(images, weights)
    loss = other.state.losses(logits, labels, smoothed=True).mean()
    wanted = torch.autograd.grad(loss, list(other.state.alpha.parameters()))
    searcher.step()
    torch.testing.assert_close(seen["loss"], loss)
    for found, one in zip(seen["found"], wanted, strict=True):
        torch.testing.assert_close(found, one)


@pytest.mark.parametrize("draws", ["images", "batch"])
def test_unas_searches_a_real_supernet(small: SearchSpace, draws: str) -> None:
    """One architecture an image or a batch: alpha moves, and all numbers stay finite."""
    searcher = begun(UNAS(draws=draws, warmup=0.0), small)
    before = searcher.chances
    for _ in range(3):
        searcher.step()
    assert not all(map(np.array_equal, before, searcher.chances))
    assert all(np.isfinite(given).all() for given in searcher.chances)


def test_unas_latency_weight_rises(small: SearchSpace) -> None:
    """From nothing to its full weight over the ramp, and no further."""
    searcher = begun(UNAS(latency_weight=2.0, ramp=0.5), small, train=TrainConfig(steps=20))
    weights = []
    for step in (0, 5, 10, 15):
        searcher.state.step = step
        weights.append(searcher._weight())
    assert weights == [0.0, 1.0, 2.0, 2.0]


def test_unas_needs_a_control_variate(small: SearchSpace) -> None:
    """Without an expected latency there is none."""
    with pytest.raises(UsageError, match="give expected"):
        begun(UNAS(), small, expected=None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.0),
        ("floor", -1.0),
        ("gap", float("nan")),
        ("draws", "both"),
        ("ramp", 2.0),
        ("latency_draws", 0),
    ],
)
def test_unas_refuses_what_cannot_be(small: SearchSpace, name: str, value: Any) -> None:
    """By name and value."""
    with pytest.raises(UsageError, match=name):
        begun(UNAS().set_params(**{name: value}), small)
