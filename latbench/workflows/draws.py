"""Scores from several draws of the networks that are held out: means, and how far they spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from latbench.spaces import IntArray

Scores = dict[str, float | None]
"""Scores by name; None where one is not defined."""


def split(groups: IntArray, share: float, seed: int) -> tuple[IntArray, IntArray]:
    """Return the rows to fit on and those to score on, at least one network of each.

    Args:
        groups: the network of each row, numbered from 0; one measured twice is never split.
        share: of the networks that are held out.
        seed: of the draw.
    """
    n = int(groups.max()) + 1
    held_out = np.random.default_rng(seed).permutation(n) < max(1, round(share * n))
    return np.flatnonzero(~held_out[groups]), np.flatnonzero(held_out[groups])


def mean(draws: Sequence[Scores]) -> Scores:
    """Return the mean of each score; None where it is not defined in every draw."""
    return _each(draws, lambda values: float(np.mean(values)))


def deviation(draws: Sequence[Scores]) -> Scores:
    """Return the standard deviation of each score between two draws or more."""
    return _each(draws, lambda values: float(np.std(values, ddof=1)))


def _each(draws: Sequence[Scores], function: Callable[[list[float]], float]) -> Scores:
    found: Scores = {}
    for name in draws[0]:
        known = [value for one in draws if (value := one[name]) is not None]
        found[name] = function(known) if len(known) == len(draws) else None
    return found
