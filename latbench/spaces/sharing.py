"""What of a network a compiler may compute once: common subexpressions.

Two operations without weights that take the same value give the same one, such as two average pools
of one node of a cell: many compilers run one of them (an engine that executes node by node runs
both). And operations of one kind that take the same value may begin alike, such as convolutions
behind a ReLU: their weights differ, but the ReLU is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from latbench.spaces.blocks import NOTHING
from latbench.spaces.values import Values, taken, then

if TYPE_CHECKING:
    from latbench.spaces.architectures import FloatArray
    from latbench.spaces.graph import BoolArray, IntArray, StaticGraph


def shared(
    graph: StaticGraph,
    X: IntArray,
    placed: IntArray,
    alive: dict[str, BoolArray],
    values: dict[str, Values],
) -> tuple[FloatArray, FloatArray]:
    """Return how much of each node others save, *again* and *beside*, each (n, nodes).

    Of m nodes that compute the same, m - 1 are computed *again*: a share 1 - 1/m of each, whichever
    comes first. They are operations without weights, of one kind and of the same values, in any
    order where they are joined. *Beside* tells the same of operations with weights that are of one
    class and take the same value.

    Args:
        graph: of the space.
        X: canonical architectures, (n, choices).
        placed: which block runs at each node, (n, nodes).
        alive: where a value exists, (n,) each, by the name of its node.
        values: their names (:func:`latbench.spaces.values.named`).
    """
    n = len(X)
    given = np.stack([values[node.name] for node in graph.nodes], axis=1)
    begun = np.zeros(placed.shape, dtype=np.uint64)
    weighted = np.zeros(placed.shape, dtype=np.bool_)
    classes: dict[type, int] = {}
    for position, node in enumerate(graph.nodes):
        for chosen, candidate in graph.chosen(node, X):
            operation = candidate.operation
            if operation.is_zero:
                continue
            number = classes.setdefault(type(operation), len(classes))
            start = then(taken(candidate, values, alive)[0], np.full(n, number, dtype=np.uint64))
            begun[:, position] = np.where(chosen, start, begun[:, position])
            if operation.params() > 0:
                weighted[:, position] |= chosen
    runs = placed != NOTHING
    return _shares(given, runs & ~weighted), _shares(begun, runs & weighted)


def _shares(names: Values, where: BoolArray) -> FloatArray:
    """Return for each of m nodes of one name the share 1 - 1/m, and 0 elsewhere, (n, nodes)."""
    nodes = names.shape[1]
    # What does not count gets a name of its own, too small to be one of a value.
    told = np.where(where, names, np.arange(nodes, dtype=np.uint64))
    order = np.argsort(told, axis=1)
    ranked = np.take_along_axis(told, order, axis=1)
    groups = np.zeros(names.shape, dtype=np.int64)
    groups[:, 1:] = np.cumsum(ranked[:, 1:] != ranked[:, :-1], axis=1)
    sizes = np.zeros(names.shape)
    np.add.at(sizes, (np.arange(len(names))[:, np.newaxis], groups), 1.0)
    shares = np.empty(names.shape)
    np.put_along_axis(shares, order, 1 - 1 / np.take_along_axis(sizes, groups, axis=1), axis=1)
    return shares
