"""What is offered where the found network misses its target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import latbench
from latbench.searcher import SearchResult
from latbench.spaces import FloatArray, IntArray, SearchSpace
from latbench.training.task import SearchTask
from latbench.workflows.found import Latency, Nearest, Timed
from latbench.workflows.nearest import TRIES, find_nearest

SPACE: SearchSpace = latbench.space("digits-mobilenet")
FASTEST = np.zeros(len(SPACE.choices), dtype=np.int64)
FOUND = SPACE.one(np.array([1, 1, 1, 1, 1, 1, 0, 0]))


def predict_ms(X: IntArray) -> FloatArray:
    """Return 1 ms and as many more as the options' numbers sum to: 7 ms for what was found."""
    return 1.0 + np.asarray(X.sum(axis=1), dtype=np.float64)


def score(X: IntArray) -> FloatArray:
    """Return what grows with the latency, up to 1."""
    return predict_ms(X) / 100


class Clock:
    """Times networks that take longer than predicted, by a factor for each network in turn."""

    def __init__(self, *slower: float) -> None:
        self.slower = [*slower]
        self.timed: list[IntArray] = []

    def __call__(self, x: IntArray) -> Timed:
        self.timed.append(x)
        predicted_ms = float(predict_ms(x[np.newaxis])[0])
        true_ms = predicted_ms * self.slower.pop(0)
        true = Latency(true_ms, true_ms, true_ms, "ok")
        return Timed(x, predicted_ms, predicted_ms, predicted_ms, predicted_ms, true)


def nearest(
    clock: Clock,
    history: Sequence[IntArray] = (),
    chances: Sequence[FloatArray] | None = None,
    found: IntArray = FOUND,
    target_ms: float = 7.0,
) -> Nearest | None:
    """Look for the nearest network after ``found`` was timed."""
    task = SearchTask(SPACE, None, target_ms, score, predict_ms=predict_ms)
    rows: list[dict[str, Any]] = [
        {
            "n": n,
            "x": x.tolist(),
            "score": float(score(x[np.newaxis])[0]),
            "predicted_ms": float(predict_ms(x[np.newaxis])[0]),
        }
        for n, x in enumerate([found, *history], 1)
    ]
    result = SearchResult(
        "random", {}, 0, found, rows[0]["score"], rows[0]["predicted_ms"], target_ms, len(rows),
        rows, {}, 0.0,
    )  # fmt: skip
    return find_nearest(task, result, clock(found), chances, clock)


def of(total: int) -> IntArray:
    """Return an architecture whose options' numbers sum to ``total``, at most 8."""
    return SPACE.one(np.array([1] * total + [0] * (8 - total)))


def test_the_best_of_the_history_within_the_lowered_limit() -> None:
    """Twice as slow as predicted: half the limit; of what is predicted within it the best."""
    clock = Clock(2.0, 2.0)
    found = nearest(clock, [of(1), of(2), of(3)])
    assert found is not None
    # 3.5 ms is half of the target: 3 ms is the best within it.
    assert found.timed.x.tolist() == of(2).tolist()
    assert (found.met, found.tries, found.accuracy) == (True, 1, 0.03)


def test_the_limit_is_lowered_again() -> None:
    """A network that misses it too lowers the limit by its own error."""
    clock = Clock(1.25, 2.0, 1.0)
    found = nearest(clock, [of(4), of(3), of(2), of(1)])
    assert found is not None
    assert [int(x.sum()) for x in clock.timed] == [6, 4, 2]
    assert (found.met, found.tries) == (True, 2)


def test_the_likeliest_where_the_history_has_none() -> None:
    """Of those that learned chances give, within the limit, the likeliest; it is scored."""
    chances = [np.full(size, 1 / size) for size in SPACE.sizes]
    for given in chances[:2]:
        given[:] = 0.1 / (len(given) - 1)
        given[1] = 0.9
    for given in chances[2:]:
        given[:] = 0.1 / (len(given) - 1)
        given[0] = 0.9
    found = nearest(Clock(2.0, 1.0), chances=chances)
    assert found is not None
    assert found.timed.x.tolist() == of(2).tolist()
    assert found.accuracy == pytest.approx(0.03)


def test_the_fastest_where_nothing_else_is_within() -> None:
    """Without chances and a history that helps, the fastest network of the space is tried."""
    found = nearest(Clock(2.0, 1.0), [of(4), of(5)])
    assert found is not None
    assert found.timed.x.tolist() == FASTEST.tolist()
    assert (found.met, found.accuracy) == (True, 0.01)


def test_tries_are_bounded_and_the_fastest_is_named() -> None:
    """After three that miss it, the fastest of these is offered as what it is."""
    clock = Clock(1.01, 1.3, 1.42, 2.6, 1.0)
    found = nearest(clock, [of(5), of(4), of(3), of(2), of(1)])
    assert found is not None
    assert [int(x.sum()) for x in clock.timed] == [6, 5, 4, 3]
    assert (found.met, found.tries) == (False, TRIES)
    # 7.8, 7.1 and 10.4 ms at a target of 7 ms.
    assert found.timed.x.tolist() == of(4).tolist()


def test_nothing_faster_is_nothing_to_offer() -> None:
    """Where the network found is the fastest there is, nothing more is timed."""
    clock = Clock(9.0)
    assert nearest(clock, found=FASTEST) is None
    assert len(clock.timed) == 1


def test_the_fastest_is_tried_once() -> None:
    """It may miss the target, too; then there is no other to try."""
    clock = Clock(2.0, 9.0)
    found = nearest(clock)
    assert found is not None
    assert (found.met, found.tries, len(clock.timed)) == (False, 1, 2)
