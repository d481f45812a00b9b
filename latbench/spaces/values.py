"""Names for the values of many architectures at once: what computes the same has one name.

A name is a number of 64 bits, scattered so that no two values share one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import numpy.typing as npt

from latbench.spaces.graph import INPUT

if TYPE_CHECKING:
    from latbench.spaces.graph import BoolArray, Candidate, IntArray, StaticGraph
    from latbench.spaces.operation import Operation

Values = npt.NDArray[np.uint64]

# SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): its steps scatter any two numbers far apart.
_STEPS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
_INCREMENT = 0x9E3779B97F4A7C15


def named(
    graph: StaticGraph, X: IntArray, placed: IntArray, alive: dict[str, BoolArray]
) -> dict[str, Values]:
    """Return the names of the values at each node, (n,), by the node's.

    Where a node holds no value, or one that nothing alive made, its name means nothing.

    Operations without weights give the same value where they are one block on the same values, in
    any order where they are joined; one with weights gives a value of its own.

    Args:
        graph: of the space.
        X: canonical architectures, (n, choices).
        placed: which block runs at each node, (n, nodes).
        alive: where a value exists, (n,) each, by the name of its node.
    """
    n = len(X)
    values: dict[str, Values] = {INPUT: np.ones(n, dtype=np.uint64)}
    for position, node in enumerate(graph.nodes):
        found = np.zeros(n, dtype=np.uint64)
        for chosen, candidate in graph.chosen(node, X):
            operation = candidate.operation
            if operation.is_zero:
                continue
            given, alone = taken(candidate, values, alive)
            own = placed[:, position].astype(np.uint64)
            if operation.params() > 0:  # what it computes, no other node does
                own = own + np.uint64((position + 1) << 32)
            result = joined(operation, given) if operation.joins else then(given, own)
            found = np.where(chosen, np.where(alone, given, result), found)
        values[node.name] = found
    return values


def taken(
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
        together = np.where(present, scattered(names), 0).sum(axis=0, dtype=np.uint64)
        alone: BoolArray = present.sum(axis=0) == 1
        return np.where(alone, np.where(present, names, 0).sum(axis=0), together), alone
    found = np.zeros(names.shape[1], dtype=np.uint64)
    for name, there in zip(names, present, strict=True):
        found = scattered(found + np.where(there, name, np.uint64(0)))
    return found, np.zeros(names.shape[1], dtype=np.bool_)


def joined(operation: Operation, given: Values) -> Values:
    """Return a name for what a join makes of values whose scattered names add up to ``given``."""
    kind = np.uint64(crc32(operation.key.encode()))
    return then(given, np.full(len(given), kind))


def then(given: Values, what: Values) -> Values:
    """Return a name for what ``what`` makes of ``given``, both (n,)."""
    return scattered(given + scattered(what))


def scattered(numbers: Values) -> Values:
    """Return each number's own, far from those of its neighbours."""
    found = numbers + np.uint64(_INCREMENT)
    for shift, factor in _STEPS:
        found = (found ^ (found >> np.uint64(shift))) * np.uint64(factor)
    return found
