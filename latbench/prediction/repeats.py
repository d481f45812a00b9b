"""Networks that were measured more than once: whether their latencies can be of one thing."""

from __future__ import annotations

import warnings

import numpy as np

from latbench.prediction.inputs import FloatArray, IntArray, Space

APART = 2.0
"""Latencies of one network that differ by more than this factor are no noise."""


def ranges(groups: IntArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the least and the greatest latency (g,) in ms of each network.

    Args:
        groups: network of each row (n,), numbered from 0.
        y: latencies (n,) in ms.
    """
    low, high = np.full(groups.max() + 1, np.inf), np.zeros(groups.max() + 1)
    np.minimum.at(low, groups, y)
    np.maximum.at(high, groups, y)
    return low, high


def tell_apart(space: Space, X: IntArray, y: FloatArray, groups: IntArray, level: int) -> None:
    """Warn of networks whose latencies are not within :data:`APART` of each other.

    A robust fit gives up what is wrong where more is right; of two latencies none can tell which.

    Args:
        space: of the architectures.
        X: architectures (n, choices).
        y: latencies (n,) in ms.
        groups: network of each row (n,), numbered from 0.
        level: whose line the warning names; 1 is the caller's.
    """
    low, high = ranges(groups, y)
    apart = np.flatnonzero(high > APART * low)
    if not len(apart):
        return
    rows = np.flatnonzero(groups == apart[0])
    fast, slow = rows[np.argmin(y[rows])], rows[np.argmax(y[rows])]
    others = f", and {len(apart) - 1} other networks are as odd" if len(apart) > 1 else ""
    warnings.warn(
        f"{space.decode(X[fast])!r} takes {y[fast]:g} ms in row {fast} and {y[slow]:g} ms in row "
        f"{slow}, more than a factor of {APART:g} apart{others}; all rows are kept, and what is "
        "predicted may lie between: leave out what is wrong, or measure it again",
        stacklevel=level + 1,
    )
