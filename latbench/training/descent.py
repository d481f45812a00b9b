"""From learned chances to an architecture within the limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.training.alpha import draw, log_chance, most_likely
from latbench.training.neighbours import neighbours
from latbench.training.task import SearchTask

_DRAWS = 4096


def likely_within(
    task: SearchTask, chances: Sequence[FloatArray], fallback: IntArray, rng: np.random.Generator
) -> IntArray:
    """Return the likeliest architecture (choices,) within the limit that is found.

    That is the most likely of all if it is within the limit. Otherwise it is the likeliest of two
    kinds: those drawn from the chances, and the one that is reached from the most likely by
    changing one choice at a time, each time the one that saves most latency for what it loses in
    the logarithm of the chance. A knapsack solved greedily: it need not be the likeliest there is.

    Args:
        task: tells latencies and the limit.
        chances: of the options of each choice, (options,).
        fallback: an architecture within the limit, for where neither kind has one.
        rng: draws.
    """
    best = most_likely(task.space, chances)
    if task.within_limit(best[np.newaxis])[0]:
        return best
    found = draw(task.space, chances, rng, _DRAWS)
    found = found[task.within_limit(found)]
    reached = _descend(task, chances, best)
    within = np.concatenate([fallback[np.newaxis], found, *([] if reached is None else [reached])])
    x: IntArray = within[log_chance(task.space, chances, within).argmax()]
    return x


def _descend(task: SearchTask, chances: Sequence[FloatArray], x: IntArray) -> IntArray | None:
    """Return the first architecture (1, choices) within the limit on the way down from ``x``."""
    latency_ms = float(task.latency_ms(x[np.newaxis])[0])
    while True:
        X = neighbours(task.space, x)
        latencies_ms = task.latency_ms(X)
        saved = latency_ms - latencies_ms
        faster = saved > 0
        if not faster.any():
            return None
        X, saved, latencies_ms = X[faster], saved[faster], latencies_ms[faster]
        lost = log_chance(task.space, chances, x[np.newaxis]) - log_chance(task.space, chances, X)
        # What loses nothing, or even gains, comes first.
        worth = saved / np.maximum(lost, 1e-9)
        step = int(worth.argmax())
        x, latency_ms = X[step], float(latencies_ms[step])
        if task.within_limit(x[np.newaxis], latencies_ms[step : step + 1])[0]:
            return x[np.newaxis]
