"""FBNet, SNAS and UNAS on a real supernet: temperatures, weights, and one gradient for two."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

import latbench
from latbench.errors import UsageError
from latbench.hooks import ExpectedLatency, SampledLatency
from latbench.hooks.relaxed import gumbel_softmax
from latbench.one_shot_searcher import OneShotSearcher
from latbench.spaces.space import SearchSpace
from latbench.training.config import TrainConfig
from latbench.training.data import load_data
from latbench.training.task import SearchTask
from latbench_search.fbnet import FBNet
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


class Bent:
    """A predictor that is no sum, as far as an estimate asks for one."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space

    def predict(self, X: Any) -> Any:
        """Return the latencies (n,) of architectures (n, choices)."""
        return 2.0 + X.sum(axis=1) + 3.0 * (X[:, 0] == X[:, 1])


def exact_pull(searcher: Any, target_ms: float) -> torch.Tensor:
    """Return the gradient in alpha of the mean of each network's hinge, by enumeration."""
    space = searcher.task.space
    X = space.check(list(itertools.product(*map(range, space.sizes))))
    over = torch.from_numpy(np.maximum(Bent(space).predict(X) / target_ms - 1, 0))
    chances = torch.ones(len(X), dtype=torch.float64)
    for column, given in enumerate(searcher.state.alpha.probabilities()):
        chances = chances * given.double()[X[:, column]]
    alphas = list(searcher.state.alpha.parameters())
    return torch.cat(torch.autograd.grad(chances @ over, alphas))


@pytest.mark.parametrize("control", ["exact", "wrong", "sampled", "none"])
def test_unas_pulls_at_the_mean_hinge_of_single_networks(control: str) -> None:
    """Without bias for any surrogate, also where the expected latency is itself an estimate."""
    space = latbench.space("digits-mobilenet", settings=[[8, 3, 1]], image_size=8)
    made: Any = Bent(space)
    expected = {
        "exact": ExpectedLatency.from_table(
            {one.name: [*range(1, 1 + len(one.options))] for one in space.choices}
        ),
        "wrong": lambda chances: 5.0 + 4.0 * sum(row[..., 0] ** 2 for row in chances.values()),
        "sampled": SampledLatency(made, samples=2),
        "none": None,
    }[control]
    target_ms = 8.0
    searcher = begun(
        UNAS(ramp=0.0, latency_draws=20),
        space,
        expected=expected,
        predict_ms=made.predict,
        target_ms=target_ms,
    )
    with torch.no_grad():
        for logits in searcher.state.alpha.logits:
            logits.copy_(torch.linspace(0.6, -0.6, len(logits)))
    alphas = list(searcher.state.alpha.parameters())
    found = torch.stack(
        [torch.cat(torch.autograd.grad(searcher._latency_term(), alphas)) for _ in range(1000)]
    ).double()
    error = found.std(0) / len(found) ** 0.5
    assert bool(((found.mean(0) - exact_pull(searcher, target_ms)).abs() < 4 * error).all())
    told = searcher.state._notes.means()
    assert ("latency_variance_left" in told) == (control in ("exact", "wrong"))
    if control == "exact":
        assert told["latency_variance_left"] < 1


def test_unas_tells_what_its_control_variates_are_worth(small: SearchSpace) -> None:
    """The share of the variance that is left, of loss and latency."""
    searcher = begun(UNAS(warmup=0.0), small, target_ms=6.0)
    for _ in range(3):
        searcher.step()
    told = searcher.state._notes.means()
    for name in ("loss_variance_left", "latency_variance_left"):
        assert told[name] > 0
        assert np.isfinite(told[name])


def test_one_draw_has_no_baseline(small: SearchSpace) -> None:
    """Where nothing tells the latency of a relaxed sample, the other draws are the baseline."""
    with pytest.raises(UsageError, match="latency_draws is 1"):
        begun(UNAS(latency_draws=1), small, expected=None)
    begun(UNAS(latency_draws=1), small)


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
