"""Which options fitted networks had, which lie between two that they had, and which are unknown."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from latbench.prediction.inputs import FloatArray, IntArray, Space
from latbench_predictors import one_hot

UNKNOWN, HAD, BETWEEN = 0, 1, 2

Known = npt.NDArray[np.uint8]
"""One of these numbers for each one-hot column, (sum of options,)."""


def known(space: Space, X: IntArray) -> Known:
    """Return what architectures ``X`` (n, choices) tell of every option."""
    found = np.zeros(sum(len(choice.options) for choice in space.choices), dtype=np.uint8)
    for choice, start, column in zip(space.choices, one_hot.starts(space), X.T, strict=True):
        if choice.values is not None:
            found[start + column.min() : start + column.max() + 1] = BETWEEN
    found[one_hot.columns(space, X)] = HAD
    return found


def share(state: Known, space: Space, X: IntArray, *wanted: int) -> FloatArray:
    """Return the share (n,) of the options of ``X`` (n, choices) whose state is one of those."""
    found: FloatArray = np.isin(state[one_hot.columns(space, X)], wanted).mean(axis=1)
    return found


def unknown(state: Known, space: Space, X: IntArray) -> list[str]:
    """Return the options of ``X`` that nothing tells of, as ``choice=option``, each once."""
    missing = state[one_hot.columns(space, X)] == UNKNOWN
    return [
        f"{choice.name}={choice.options[option]}"
        for choice, column, rows in zip(space.choices, X.T, missing.T, strict=True)
        for option in np.unique(column[rows])
    ]
