"""Where the network that a search found misses its target: the nearest one that meets it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from latbench.spaces import FloatArray, IntArray
from latbench.training.alpha import draw, log_chance
from latbench.training.neighbours import find_fastest
from latbench.workflows.found import Nearest, Timed

if TYPE_CHECKING:
    from latbench.searcher import SearchResult
    from latbench.training.task import SearchTask

TRIES = 3
_DRAWS = 4096

Time = Callable[[IntArray], Timed]


def find_nearest(
    task: SearchTask,
    result: SearchResult,
    found: Timed,
    chances: Sequence[FloatArray] | None,
    time: Time,
) -> Nearest | None:
    """Return a network that meets the target, or after :data:`TRIES` the fastest of those tried.

    None if there is none to try: no faster one than the one found is predicted.

    Each try lowers the limit by what the network before took longer than predicted, and takes the
    best-scored network of the search's history that is predicted within it; where there is none,
    the likeliest of those drawn from the learned chances, and else the fastest of the space.

    Args:
        task: tells latencies and scores.
        result: of the search.
        found: the network that missed.
        chances: learned chances of the options of each choice, if the search had any.
        time: measures an architecture (choices,).
    """
    rng = np.random.default_rng([task.seed, 3])
    history = sorted(result.history, key=lambda row: (-row["score"], row["predicted_ms"]))
    tried: list[tuple[Timed, float]] = []
    missing = found
    while len(tried) < TRIES:
        limit_ms = task.target_ms * missing.predicted_ms / missing.true.latency_ms
        x, score = _within(task, limit_ms, history, chances, rng)
        if any((x == one.x).all() for one in (found, *(timed for timed, _ in tried))):
            break  # nothing is faster
        missing = time(x)
        tried.append((missing, float(task.scores(x[np.newaxis])[0]) if score is None else score))
        if missing.true.latency_ms <= task.target_ms:
            break
    if not tried:
        return None
    timed, accuracy = min(tried, key=lambda one: one[0].true.latency_ms)
    return Nearest(timed, accuracy, timed.true.latency_ms <= task.target_ms, len(tried))


def _within(
    task: SearchTask,
    limit_ms: float,
    history: Sequence[dict[str, Any]],
    chances: Sequence[FloatArray] | None,
    rng: np.random.Generator,
) -> tuple[IntArray, float | None]:
    """Return the architecture to try next, with its score if it is known."""
    for row in history:
        if row["predicted_ms"] <= limit_ms:
            return np.array(row["x"]), row["score"]
    if chances is not None:
        X = draw(task.space, chances, rng, _DRAWS)
        X = X[task.latency_ms(X) <= limit_ms]
        if len(X):
            likeliest: IntArray = X[log_chance(task.space, chances, X).argmax()]
            return likeliest, None
    return find_fastest(task.space, task.latency_ms, rng).x, None
