"""Which NAS-Bench-201 cells are the same graph: a predictor that sees only that graph says so too.

A cell is four nodes, of which the inner two have no names of their own, and operations on the edges
between them.
"""

from __future__ import annotations

import numpy as np

from latbench.spaces import IntArray
from latbench.spaces.nasbench201 import EDGES, OPERATIONS

Edge = tuple[int, int, int]
"""(from, to, operation)."""

_INPUT, _OUTPUT = 0, 3
_SWAPPED = (0, 2, 1, 3)
_NONE, _SKIP = OPERATIONS.index("none"), OPERATIONS.index("skip_connect")


def classes(X: IntArray, pruned: bool) -> IntArray:
    """Return the number of the isomorphism class of each cell (n,).

    Args:
        X: cells (n, 6).
        pruned: whether cells are the same of which nothing differs but operations without effect:
            those that nothing feeds, those that nobody reads, and connections that nothing else
            joins, whose ends are one node.
    """
    numbers: dict[tuple[Edge, ...], int] = {}
    found = (_canonical(_pruned(_edges(x)) if pruned else _edges(x)) for x in X)
    return np.array([numbers.setdefault(one, len(numbers)) for one in found], dtype=np.int64)


def _edges(x: IntArray) -> list[Edge]:
    return [
        (start, end, int(operation))
        for (start, end), operation in zip(EDGES, x, strict=True)
        if operation != _NONE
    ]


def _pruned(edges: list[Edge]) -> list[Edge]:
    fed, read = {_INPUT}, {_OUTPUT}
    # EDGES are in an order in which what feeds an edge comes before it.
    for start, end, _ in edges:
        fed |= {end} if start in fed else set()
    for start, end, _ in reversed(edges):
        read |= {start} if end in read else set()
    return _contracted([edge for edge in edges if edge[0] in fed and edge[1] in read])


def _contracted(edges: list[Edge]) -> list[Edge]:
    """Return ``edges`` with both ends of each lone skip connection as one node."""
    for skip in edges:
        start, end, operation = skip
        lone = sum(other[1] == end for other in edges) == 1
        if operation == _SKIP and lone and (start, end) != (_INPUT, _OUTPUT):
            gone, kept = (start, end) if end == _OUTPUT else (end, start)
            rest = [edge for edge in edges if edge is not skip]
            return _contracted(
                [
                    (kept if a == gone else a, kept if b == gone else b, operation)
                    for a, b, operation in rest
                ]
            )
    return edges


def _canonical(edges: list[Edge]) -> tuple[Edge, ...]:
    swapped = [(_SWAPPED[a], _SWAPPED[b], operation) for a, b, operation in edges]
    return min(tuple(sorted(edges)), tuple(sorted(swapped)))
