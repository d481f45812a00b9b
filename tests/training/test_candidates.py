"""Candidates: distinct, feasible, counted."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import latbench
from latbench.errors import InfeasibleError
from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.spaces.space import SearchSpace
from latbench.training.candidates import FLOOR, TRIES_EACH, Candidates, row_keys
from latbench.training.task import SearchTask

SPACE: SearchSpace = latbench.space("digits-mobilenet")


def sum_ms(X: IntArray) -> FloatArray:
    """Return 1 ms and as many more as the options' numbers sum to."""
    return 1.0 + np.asarray(X.sum(axis=1), dtype=np.float64)


def candidates(target_ms: float = 100.0, **changes: Any) -> Candidates:
    """Return candidates within a limit on :func:`sum_ms`."""
    settings: dict[str, Any] = {"predict_ms": sum_ms, **changes}
    task = SearchTask(SPACE, None, target_ms, sum_ms, **settings)
    return Candidates(task, np.random.default_rng(0))


@given(hnp.arrays(np.int64, (12, 5), elements=st.integers(0, 3)))
def test_equal_rows_have_equal_keys(X: IntArray) -> None:
    """Keys are equal exactly where rows are."""
    keys = row_keys(X)
    assert len(keys) == len(X)
    for i, first in enumerate(X):
        for j, second in enumerate(X):
            assert (keys[i] == keys[j]) == bool((first == second).all())


def test_counts_add_up() -> None:
    """Each proposal is given out, a duplicate, or over the limit."""
    found = candidates(target_ms=14.0)
    rng = np.random.default_rng(1)
    offered = SPACE.sample(rng, 40)
    missing = found.draw(lambda n: offered[rng.integers(len(offered), size=n)], 5)
    counts = found.counts
    assert missing == 0
    assert counts.proposed == 5 + counts.duplicates + counts.filtered
    assert counts.filtered > 0
    assert (sum_ms(np.array(found.given)) <= 14.0).all()


def test_proposals_after_the_last_taken_do_not_count() -> None:
    """Batches are proposed for speed; the count is as if one at a time."""
    found = candidates()
    X = np.unique(SPACE.sample(np.random.default_rng(2), 300), axis=0)[:200]
    found.draw(lambda n: X[:n], 3)
    assert found.counts.proposed == 3
    np.testing.assert_array_equal(found.given, X[:3])
    found.draw(lambda n: X[:10], 2)
    assert (found.counts.proposed, found.counts.duplicates) == (8, 3)
    np.testing.assert_array_equal(found.given, X[:5])


def test_a_source_of_nothing_new_ends() -> None:
    """The number of proposals is bounded, and what is missing is said."""
    found = candidates()
    x = SPACE.sample(np.random.default_rng(2), 1)
    assert found.draw(lambda n: np.repeat(x, n, axis=0), 4) == 3
    assert found.counts.proposed == FLOOR + 4 * TRIES_EACH


def test_wandering_reaches_every_feasible_architecture() -> None:
    """From the fastest, single mutations lead to all that sampling would hardly ever hit."""
    found = candidates(target_ms=2.0)
    assert found.draw(found.wander, 50) > 0
    assert len(found.given) == 1 + len(SPACE.choices)


def test_the_anchor_is_the_fastest() -> None:
    """The architecture that others are reached from is the fastest there is."""
    assert not candidates(target_ms=1.0).anchor.any()


def test_a_filter_that_refuses_the_fastest_is_sampled() -> None:
    """A filter may judge by more than the prediction; then any accepted one will do."""

    def first_choice_last(X: IntArray) -> npt.NDArray[np.bool_]:
        return np.asarray(X[:, 0] == SPACE.sizes[0] - 1)

    assert candidates(feasible=first_choice_last).anchor[0] == SPACE.sizes[0] - 1


def test_an_infeasible_limit_says_what_was_tried() -> None:
    """The fastest, its latency, the limit with its confidence and the number of tries."""
    with pytest.raises(InfeasibleError) as raised:
        candidates(target_ms=0.5, confidence=0.95)
    text = str(raised.value)
    assert "within 0.5 ms with confidence 0.95" in text
    assert SPACE.decode(np.zeros(len(SPACE.choices), dtype=np.int64)) in text
    assert "predicted at 1 ms" in text
    assert "tried" in text


def test_state_comes_back() -> None:
    """What was given out, its latencies, its keys and the counts survive JSON."""
    found, again = candidates(), candidates()
    found.draw(lambda n: SPACE.sample(found.rng, n), 20)
    again.restore(json.loads(json.dumps(found.state())))
    assert again.state() == found.state()
    assert again.index == found.index
