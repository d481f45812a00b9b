"""The columns of a one-hot encoding: which an architecture has, and how they belong together."""

from __future__ import annotations

import numpy as np

from latbench.prediction.inputs import FloatArray, IntArray, Space
from latbench.spaces import SearchSpace
from latbench.spaces.operation import Shape


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


def own(space: Space) -> FloatArray:
    """Return what tells choices apart beyond the names of options, (sum of options, columns).

    By default an option at its place is a column. Where a space prunes, its choices are the edges
    of cells, and those that choose among the same blocks are alike: what an operation costs there
    hangs on what feeds and what reads it, not on the number of its edge. Their options share
    columns, and where all choices are alike there are no columns: the names say it all.
    """
    kinds = _kinds(space)
    names = [(kinds[at], option) for at, one in enumerate(space.choices) for option in one.options]
    columns = list(dict.fromkeys(names)) if len(set(kinds)) > 1 or len(kinds) == 1 else []
    table = np.array([[name == column for column in columns] for name in names], dtype=np.float64)
    return table.reshape(len(names), len(columns))


def _kinds(space: Space) -> list[int]:
    """Return a number for each choice, the same for those that are alike."""
    if not (isinstance(space, SearchSpace) and space.has_networks and space.graph.prunes):
        return list(range(len(space.choices)))
    graph = space.graph
    placed: list[list[tuple[tuple[str, tuple[Shape, ...]], ...]]] = [[] for _ in space.choices]
    for node in graph.nodes:
        if node.choice is not None:
            blocks = [(one.operation.key, graph.input_shapes(one)) for one in node.candidates]
            placed[node.choice].append(tuple(blocks))
    described = [
        (choice.options, tuple(sorted(places)))
        for choice, places in zip(space.choices, placed, strict=True)
    ]
    return [described.index(one) for one in described]
