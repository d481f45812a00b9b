"""REINFORCE: an unbiased gradient, a baseline, and a policy that follows from the scores."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

import latbench
from latbench.errors import UsageError
from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.training.task import SearchTask
from latbench_search.policy import Policy
from latbench_search.random_search import RandomSearch
from latbench_search.reinforce import Reinforce

SIZES = (3, 2, 4)
EVERY = np.array(list(itertools.product(*map(range, SIZES))))


def rewarded(X: IntArray) -> FloatArray:
    """Return a reward that no sum over choices is."""
    return np.asarray(np.sin(1.0 + X @ np.array([1.0, 2.5, 0.7])) + X[:, 0] * X[:, 1], dtype=float)


def chances(policy: Policy, X: IntArray) -> FloatArray:
    """Return the chance of each architecture."""
    return np.asarray(
        np.prod([policy.probabilities[c, X[:, c]] for c in range(len(SIZES))], axis=0), dtype=float
    )


def skewed() -> Policy:
    """Return a policy of unequal chances."""
    policy = Policy(SIZES)
    some = EVERY[::5]
    advantages = np.arange(len(some), dtype=float) - 1.0
    policy.step(policy.gradient(some, np.ones(some.shape, dtype=bool), advantages), 0.7)
    return policy


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("baseline", [0.0, 1.3])
def test_the_gradient_is_unbiased(baseline: float, conditional: bool) -> None:
    """Its mean, over all architectures by their chance, is the slope of the mean reward.

    Also where the last choice matters beside one option of the first alone.
    """
    policy = skewed()
    active = np.ones(EVERY.shape, dtype=bool)
    active[:, -1] = (EVERY[:, 0] == 0) | (not conditional)
    canonical = np.where(active, EVERY, 0)
    rewards = rewarded(canonical)
    mean = sum(
        chance * policy.gradient(x[np.newaxis], matters[np.newaxis], reward[np.newaxis] - baseline)
        for chance, x, matters, reward in zip(
            chances(policy, EVERY), canonical, active, rewards, strict=True
        )
    )
    for choice, size in enumerate(SIZES):
        for option in range(size):
            values = []
            for shift in (1e-6, -1e-6):
                policy.logits[choice, option] += shift
                values.append(chances(policy, EVERY) @ rewards)
                policy.logits[choice, option] -= shift
            slope = (values[0] - values[1]) / 2e-6
            assert mean[choice, option] == pytest.approx(slope, abs=1e-6)


def test_options_are_drawn_at_their_chance() -> None:
    """Also rare ones; what is no option never is."""
    policy = skewed()
    policy.logits[2, 3] = -6.0
    X = policy.draw(np.random.default_rng(0), 200_000)
    for choice, size in enumerate(SIZES):
        share = np.bincount(X[:, choice], minlength=size) / len(X)
        assert len(share) == size
        errors = np.sqrt(policy.probabilities[choice, :size] / len(X))
        assert (np.abs(share - policy.probabilities[choice, :size]) < 5 * errors).all()


def test_an_option_that_was_not_drawn_moves_with_its_softmax_alone() -> None:
    """There is no momentum: a gradient of zero moves nothing."""
    policy = skewed()
    before = policy.logits.copy()
    policy.step(np.zeros_like(before), 1.0)
    np.testing.assert_array_equal(policy.logits, before)


def task(evaluations: int = 400, seed: int = 0) -> SearchTask:
    """Return a task whose score is the share of choices at their last option."""
    space = latbench.space("digits-mobilenet")
    last = np.array(space.sizes) - 1

    def score(X: IntArray) -> FloatArray:
        return np.asarray((last == X).mean(axis=1), dtype=np.float64)

    return SearchTask(
        space,
        None,
        target_ms=1.0,
        score=score,
        predict_ms=lambda X: np.ones(len(X)),
        evaluations=evaluations,
        seed=seed,
    )


def test_it_learns_what_scores_well() -> None:
    """With equal evaluations it finds better networks than chance, and knows the best options."""
    found, by_chance = [], []
    for seed in range(5):
        searcher = Reinforce()
        found.append(searcher.run(task(seed=seed)).score)
        by_chance.append(RandomSearch().run(task(seed=seed)).score)
        sizes = searcher.task.space.sizes
        last = searcher.policy.probabilities[range(len(sizes)), np.array(sizes) - 1]
        assert last.mean() > 2 * np.mean([1 / size for size in sizes])
    assert min(found) > max(by_chance)


def test_the_policy_follows_from_the_scores() -> None:
    """A search that goes on from its state, in pieces of any size, has the same policy."""
    whole, parts = Reinforce(batch=8), Reinforce(batch=8)
    whole.run(task(60))
    parts.start(task(60))
    state = whole.state()
    parts.restore(state)
    np.testing.assert_array_equal(parts.policy.logits, whole.policy.logits)
    parts.start(task(60))
    np.testing.assert_array_equal(parts.policy.logits, Policy(parts.task.space.sizes).logits)
    other = latbench.space("nasbench201")
    parts.start(dataclasses.replace(task(60), space=other))
    assert parts.policy.sizes == other.sizes


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"batch": 0}, "batch must be a whole number"),
        ({"rate": 0.0}, "rate is 0.0"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"decay": 1.0}, "decay is 1.0"),
    ],
)
def test_what_cannot_learn_is_refused(settings: dict[str, float], told: str) -> None:
    """The message names the value."""
    with pytest.raises(UsageError, match=told):
        Reinforce(**settings).run(task(20))  # type: ignore[arg-type]
