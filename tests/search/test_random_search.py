"""Random search: uniform within the limit."""

from __future__ import annotations

import numpy as np
import pytest

import latbench
from latbench.errors import UsageError
from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.training.task import SearchTask
from latbench_search.random_search import RandomSearch


def ones_ms(X: IntArray) -> FloatArray:
    """Return 1 ms and one more for each choice that is not at its first option."""
    return 1.0 + np.asarray((X != 0).sum(axis=1), dtype=np.float64)


def task(evaluations: int, target_ms: float) -> SearchTask:
    """Return a task on the small space, whose slower architectures score higher."""
    return SearchTask(
        latbench.space("digits-mobilenet"),
        None,
        target_ms=target_ms,
        score=lambda X: ones_ms(X) / 10,
        predict_ms=ones_ms,
        evaluations=evaluations,
    )


def test_draws_are_uniform_within_the_limit() -> None:
    """Within the limit, every option of a choice comes as often as it is feasible."""
    wanted = task(4000, target_ms=7.0)
    result = RandomSearch().run(wanted)
    X = np.array([row["x"] for row in result.history])
    drawn = wanted.space.sample(np.random.default_rng(7), 100_000)
    feasible = drawn[ones_ms(drawn) <= 7.0]
    for column, options in enumerate(wanted.space.sizes):
        share = np.bincount(X[:, column], minlength=options) / len(X)
        expected = np.bincount(feasible[:, column], minlength=options) / len(feasible)
        np.testing.assert_allclose(share, expected, atol=0.03)


def test_the_batch_changes_nothing_but_the_batches() -> None:
    """Scores are asked for ``batch`` at a time."""
    sizes: list[int] = []

    def score(X: IntArray) -> FloatArray:
        sizes.append(len(X))
        return ones_ms(X)

    wanted = task(100, target_ms=8.0)
    RandomSearch(batch=30).run(
        SearchTask(wanted.space, None, 8.0, score, predict_ms=ones_ms, evaluations=100)
    )
    assert sizes == [30, 30, 30, 10]


def test_an_empty_batch_is_refused() -> None:
    """A batch of nothing would never end."""
    with pytest.raises(UsageError, match="batch must be a whole number"):
        RandomSearch(batch=0).run(task(10, 8.0))
