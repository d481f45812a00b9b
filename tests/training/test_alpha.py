"""Architecture parameters: chances, draws, and the likeliest within a limit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import latbench
from latbench.spaces.architectures import FloatArray
from latbench.spaces.space import SearchSpace
from latbench.training.alpha import Alpha, draw, entropy, log_chance, most_likely
from latbench.training.descent import likely_within
from latbench.training.task import SearchTask


@pytest.fixture(scope="module")
def small() -> SearchSpace:
    """Two places of four and five options."""
    return latbench.space(
        "digits-mobilenet", settings=[[8, 2, 2]], image_size=8, stem_width=8, head_width=16
    )


def chances_of(space: SearchSpace, seed: int = 0, sharpness: float = 1.0) -> list[FloatArray]:
    """Return unequal chances."""
    rng = np.random.default_rng(seed)
    raised = [np.exp(sharpness * rng.normal(size=size)) for size in space.sizes]
    return [one / one.sum() for one in raised]


def test_alpha_begins_with_equal_chances(small: SearchSpace) -> None:
    """Or close to it, where it begins with small normal logits."""
    for alpha in (Alpha(small), Alpha(small, np.random.default_rng(0), 1e-3)):
        for given, size in zip(alpha.chances(), small.sizes, strict=True):
            np.testing.assert_allclose(given, 1 / size, rtol=0.01)
        assert entropy(alpha.chances()) == pytest.approx(1.0, abs=1e-5)


def test_tiny_chances_have_logarithms(small: SearchSpace) -> None:
    """Where a softmax is zero in single precision, its logarithm is still a number."""
    alpha = Alpha(small)
    with torch.no_grad():
        alpha.logits[0][0] = -500.0
    assert alpha.chances()[0][0] == 0.0
    assert alpha.log_chances()[0][0].item() == pytest.approx(-500, abs=2)


def test_draws_come_at_their_chances(small: SearchSpace) -> None:
    """Every pair of options comes up as often as the product of its chances."""
    chances = chances_of(small)
    X = draw(small, chances, np.random.default_rng(1), 200_000)
    for a, b in itertools.product(*map(range, small.sizes)):
        share = np.mean((X[:, 0] == a) & (X[:, 1] == b))
        expected = chances[0][a] * chances[1][b]
        assert abs(share - expected) < 5 * np.sqrt(expected / len(X))


def test_log_chance_is_that_of_the_draw(small: SearchSpace) -> None:
    """The chances of all architectures sum to one."""
    chances = chances_of(small)
    X = np.array(list(itertools.product(*map(range, small.sizes))))
    assert np.exp(log_chance(small, chances, X)).sum() == pytest.approx(1)


def test_an_impossible_option_has_no_chance(small: SearchSpace) -> None:
    """It is never drawn, and its logarithm is minus infinity."""
    chances = [np.array([0.0, 1.0, *[0.0] * (size - 2)]) for size in small.sizes]
    X = draw(small, chances, np.random.default_rng(0), 100)
    assert np.all(X == 1)
    assert log_chance(small, chances, np.zeros((1, 2), dtype=np.int64))[0] == -np.inf
    assert entropy(chances) == 0.0


# Within a limit


def knapsack(space: SearchSpace, share: float, seed: int = 0) -> SearchTask:
    """Return a task with additive latencies, whose limit a ``share`` of the networks meet."""
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(space.sizes)[:-1]])
    options_ms = rng.uniform(0.1, 1.0, sum(space.sizes))
    drawn_ms = options_ms[space.sample(rng, 2000) + starts].sum(axis=1)
    return SearchTask(
        space,
        None,
        target_ms=float(np.quantile(drawn_ms, share)),
        score=lambda X: np.zeros(len(X)),
        predict_ms=lambda X: options_ms[X + starts].sum(axis=1),
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_likeliest_within_the_limit_is_found(small: SearchSpace, seed: int) -> None:
    """In a small space, the very one that enumeration finds."""
    task = knapsack(small, 0.3, seed)
    chances = chances_of(small, seed)
    X = np.array(list(itertools.product(*map(range, small.sizes))))
    X = X[task.within_limit(X)]
    best = X[log_chance(small, chances, X).argmax()]
    fallback = X[task.latency_ms(X).argmin()]
    found = likely_within(task, chances, fallback, np.random.default_rng(0))
    np.testing.assert_array_equal(found, best)


def test_a_sharp_distribution_over_the_limit_is_left_in_small_steps() -> None:
    """No draw is within the limit; the descent gives up little of the logarithm."""
    space = latbench.space("mobilenet")
    task = knapsack(space, 1e-3)
    chances = chances_of(space, sharpness=8.0)
    rng = np.random.default_rng(0)
    assert not task.within_limit(draw(space, chances, rng, 4096)).any()
    fallback = np.array([0] * 21)
    for column, size in enumerate(space.sizes):
        rows = np.tile(fallback, (size, 1))
        rows[:, column] = np.arange(size)
        fallback[column] = int(task.latency_ms(rows).argmin())
    found = likely_within(task, chances, fallback, rng)
    assert task.within_limit(found[np.newaxis])[0]
    logs = log_chance(space, chances, np.stack([found, fallback, most_likely(space, chances)]))
    assert logs[1] < logs[0] < logs[2]


def test_within_the_limit_the_most_likely_stays(small: SearchSpace) -> None:
    """Nothing is changed where nothing has to be."""
    task = knapsack(small, 1.0)
    chances = chances_of(small, sharpness=3.0)
    rng = np.random.default_rng(3)
    found = likely_within(task, chances, small.sample(rng, 1)[0], rng)
    np.testing.assert_array_equal(found, most_likely(small, chances))


def test_choices_that_do_not_matter_have_no_part_in_the_gradient() -> None:
    """An edge that is not taken teaches nothing; all else is as it is with arrays."""
    cells = latbench.space("darts")
    alpha = Alpha(cells, np.random.default_rng(0), deviation=1.0)
    X = cells.sample(np.random.default_rng(1), 8)
    found = alpha.log_chance(X)
    np.testing.assert_allclose(
        found.detach().numpy(), log_chance(cells, alpha.chances(), X), rtol=1e-4
    )
    idle = ~cells.active(X[:1])[0]
    assert idle.any()
    idle |= np.array(cells.sizes) == 1  # there is nothing to learn
    slopes = torch.autograd.grad(found[0], list(alpha.parameters()), materialize_grads=True)
    assert [not slope.any() for slope in slopes] == idle.tolist()
