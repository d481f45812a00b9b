"""What of a network a compiler may compute once: common subexpressions.

Two operations without weights that take the same value give the same one, such as two average pools
of one node of a cell: many compilers run one of them (an engine that executes node by node runs
both). And operations of one kind that take the same value may begin alike, such as convolutions
behind a ReLU: their weights differ, but the ReLU is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from latbench.spaces.blocks import NOTHING
from latbench.spaces.graph import INPUT

if TYPE_CHECKING:
    from latbench.spaces.architectures import FloatArray
    from latbench.spaces.graph import BoolArray, Candidate, IntArray, StaticGraph

Values = npt.NDArray[np.uint64]

# SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): its steps scatter any two numbers far apart.
_STEPS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
_INCREMENT = 0x9E3779B97F4A7C15


def shared(
    graph: StaticGraph, X: IntArray, placed: IntArray, alive: dict[str, BoolArray]
) -> tuple[FloatArray, FloatArray]:
    """Return how much of each node others save, *again* and *beside*, each (n, nodes).

    Of m nodes that compute the same, m - 1 are computed *again*: a share 1 - 1/m of each, whichever
    comes first. They are operations without weights, of one kind and of the same values, in any
    order where they are joined. *Beside* tells the same of operations with weights that are of one
    class and take the same value.

    Values have names: numbers of 64 bits, scattered so that no two values share one.

    Args:
        graph: of the space.
        X: canonical architectures, (n, choices).
        placed: which block runs at each node, (n, nodes).
        alive: where a value exists, (n,) each, by the name of its node.
    """
    n = len(X)
    values: dict[str, Values] = {INPUT: np.ones(n, dtype=np.uint64)}
    given, begun = (np.zeros(placed.shape, dtype=np.uint64) for _ in range(2))
    weighted = np.zeros(placed.shape, dtype=np.bool_)
    classes: dict[type, int] = {}
    for position, node in enumerate(graph.nodes):
        found = np.zeros(n, dtype=np.uint64)
        for chosen, candidate in graph.chosen(node, X):
            operation = candidate.operation
            if operation.is_zero:
                continue
            taken, alone = _taken(candidate, values, alive)
            own = placed[:, position].astype(np.uint64)
            has_weights = operation.params() > 0
            if has_weights:  # what it computes, no other node does
                own = own + np.uint64((position + 1) << 32)
            result = np.where(alone, taken, _scattered(taken + _scattered(own)))
            found = np.where(chosen, result, found)
            number = classes.setdefault(type(operation), len(classes))
            start = _scattered(taken + _scattered(np.full(n, number, dtype=np.uint64)))
            begun[:, position] = np.where(chosen, start, begun[:, position])
            weighted[:, position] |= chosen & has_weights
        values[node.name] = given[:, position] = found
    runs = placed != NOTHING
    return _shares(given, runs & ~weighted), _shares(begun, runs & weighted)


def _taken(
    candidate: Candidate, values: dict[str, Values], alive: dict[str, BoolArray]
) -> tuple[Values, BoolArray]:
    """Return a name for what ``candidate`` takes, (n,), and where it hands a value on as it is."""
    operation = candidate.operation
    if operation.passes_through:
        (source,) = candidate.inputs
        return values[source], np.ones(len(values[source]), dtype=np.bool_)
    present = np.stack([alive[name] for name in candidate.inputs])
    names = np.stack([values[name] for name in candidate.inputs])
    if operation.joins:
        together = np.where(present, _scattered(names), 0).sum(axis=0, dtype=np.uint64)
        alone: BoolArray = present.sum(axis=0) == 1
        return np.where(alone, np.where(present, names, 0).sum(axis=0), together), alone
    taken = np.zeros(names.shape[1], dtype=np.uint64)
    for name, there in zip(names, present, strict=True):
        taken = _scattered(taken + np.where(there, name, np.uint64(0)))
    return taken, np.zeros(names.shape[1], dtype=np.bool_)


def _scattered(numbers: Values) -> Values:
    """Return each number's own, far from those of its neighbours."""
    found = numbers + np.uint64(_INCREMENT)
    for shift, factor in _STEPS:
        found = (found ^ (found >> np.uint64(shift))) * np.uint64(factor)
    return found


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
