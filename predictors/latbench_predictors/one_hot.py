"""The columns of a one-hot encoding: which an architecture has, and how they belong together."""

from __future__ import annotations

import numpy as np

from latbench.prediction.inputs import FloatArray, IntArray, Space


def starts(space: Space) -> IntArray:
    """Return the first column of each choice, (choices,)."""
    sizes = [len(choice.options) for choice in space.choices]
    first: IntArray = np.cumsum([0, *sizes[:-1]])
    return first


def columns(space: Space, X: IntArray) -> IntArray:
    """Return the column of each chosen option in ``space.one_hot(X)``, (n, choices)."""
    return X + starts(space)


def shared(space: Space) -> FloatArray:
    """Return what options have in common, (sum of options, columns).

    ``one_hot @ shared`` counts how often an option of each name is chosen, wherever it stands. In
    the space of a table, whose columns may have nothing to do with each other, only choices among
    equal options share names. Choices among quantities follow, each with its standardised value.
    """
    choices = space.choices
    names = [
        (() if space.has_networks else tuple(choice.options), option)
        for choice in choices
        for option in choice.options
    ]
    kinds = list(dict.fromkeys(names))
    parts = [np.array([[name == kind for kind in kinds] for name in names], dtype=np.float64)]
    for choice, start in zip(choices, starts(space), strict=True):
        if choice.values is not None and len(choice.values) > 1:
            values = np.asarray(choice.values, dtype=np.float64)
            part = np.zeros((len(names), 1))
            part[start : start + len(values), 0] = (values - values.mean()) / values.std()
            parts.append(part)
    return np.hstack(parts)
