"""What a compiler makes of a network: which operations are computed, and which of them are fused.

Runtimes agree on a few rewrites. What passes a value on costs nothing, and what is computed twice
is computed once. A convolution adds what it computes to another value on its way out, if nobody
else reads it (ONNX Runtime), and only if all else that reads the other value has done so by then,
for it writes over that one (OpenVINO). Additions that no convolution could do are one kernel where
only the next one reads what the last one wrote (OpenVINO). A ReLU is applied by the convolution or
the addition that writes a value, if nobody reads the value without it; in ONNX Runtime an addition
by itself applies none.
The rest are kernels of their own, each of which reads and writes a whole map. How many there are of
each, and how they add up with each other, tells more of a latency than the names of the options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from latbench.spaces.reading import Reads
from latbench.spaces.values import joined, scattered

if TYPE_CHECKING:
    from latbench.spaces.architectures import FloatArray
    from latbench.spaces.graph import BoolArray, IntArray, StaticGraph
    from latbench.spaces.operation import Operation
    from latbench.spaces.values import Values

KERNELS = (
    "weighted",
    "weighted macs",
    "unweighted",
    "additions",
    "additions fused",
    "additions in place",
    "additions in a row",
    "rectified",
    "rectified fused",
)
"""Names of the columns of :func:`kernels`."""


def kernels(
    graph: StaticGraph,
    X: IntArray,
    live: BoolArray,
    alive: dict[str, BoolArray],
    values: dict[str, Values],
) -> FloatArray:
    """Return how many there are of each of :data:`KERNELS`, (n, kernels).

    Operations with weights and their multiply-accumulates; others, but for joins; additions of two
    values, of which a join of k has k - 1; those that an operation with weights does on its way
    out, and those that write over the other value; those that another addition alone reads, where
    no operation with weights does either; values that are read through a ReLU; and those that are
    read in no other way, and written by an operation with weights or an addition.

    Args:
        graph: of the space.
        X: canonical architectures, (n, choices).
        live: which nodes must run, (n, nodes).
        alive: where a value exists, (n,) each, by the name of its node.
        values: their names (:func:`latbench.spaces.values.named`).
    """
    found = _Operations(len(X))
    for position, node in enumerate(graph.nodes):
        for chosen, candidate in graph.chosen(node, X):
            operation = candidate.operation
            runs, value = chosen & live[:, position], values[node.name]
            if operation.joins:
                inputs = [(alive[name], values[name]) for name in candidate.inputs]
                _add(found, operation, runs, value, inputs)
            elif not (operation.is_zero or operation.passes_through):
                kind = _Kind(
                    macs=operation.macs(graph.input_shapes(candidate)),
                    weighted=operation.params() > 0,
                    rectifies=operation.rectifies,
                )
                found.add(runs, value, kind, [values[name] for name in candidate.inputs])
    return found.counted()


def _add(
    found: _Operations,
    join: Operation,
    runs: BoolArray,
    value: Values,
    inputs: list[tuple[BoolArray, Values]],
) -> None:
    """Add the additions of a join, one after the other; the last one gives its ``value``.

    In the order of its inputs, as a runtime finds them: of a convolution, a pooling and another
    convolution both additions are fused; where the pooling comes last, it is added by itself.
    """
    last = np.sum([alive for alive, _ in inputs], axis=0)
    seen = np.zeros(len(runs), dtype=np.int64)
    total = np.zeros(len(runs), dtype=np.uint64)
    for alive, given in inputs:
        both = alive & (seen > 0)
        seen += alive
        # Named as a join of these two is: who has that has this.
        pair = joined(join, scattered(total) + scattered(given))
        result = np.where(seen == last, value, pair)
        found.add(runs & both, result, _Kind(addition=True), [total, given])
        total = np.where(both, result, np.where(alive, given, total))


@dataclass(frozen=True)
class _Kind:
    """What is told of an operation, the same for all architectures."""

    macs: int = 0
    weighted: bool = False
    addition: bool = False
    rectifies: bool = False


class _Operations:
    """The operations of ``n`` architectures in one list, and what each of them reads."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._count = 0
        self._rows: list[IntArray] = []
        self._values: list[Values] = []
        self._kinds: list[FloatArray] = []
        self._readers: list[IntArray] = []
        self._read: list[Values] = []

    def add(self, runs: BoolArray, value: Values, kind: _Kind, inputs: list[Values]) -> None:
        """Add an operation where it ``runs``, which makes ``value`` of ``inputs``; all (n,)."""
        rows = np.flatnonzero(runs)
        told = (kind.macs, kind.weighted, kind.addition, kind.rectifies)
        self._rows.append(rows)
        self._values.append(value[rows])
        self._kinds.append(np.tile(np.array(told, dtype=np.float64), (len(rows), 1)))
        self._readers += [np.arange(self._count, self._count + len(rows))] * len(inputs)
        self._read += [given[rows] for given in inputs]
        self._count += len(rows)

    def counted(self) -> FloatArray:
        """Return how many there are of each of :data:`KERNELS`, (n, kernels)."""
        rows = np.concatenate(self._rows)
        macs, weighted, addition, rectifies = np.vstack(self._kinds).T
        own = scattered(rows.astype(np.uint64))  # tells values of different architectures apart
        made, first = np.unique(np.concatenate(self._values) ^ own, return_index=True)
        once = np.zeros(self._count, dtype=np.bool_)
        once[first] = True
        reads = self._reads(own, once, made, first)
        reader, maker = reads.reader, reads.maker
        readers = reads.sums(maker)
        alone = readers[maker] == 1
        rectifying = reads.sums(maker, rectifies[reader])
        fused = (addition > 0) & (reads.sums(reader, alone * weighted[maker]) > 0)
        by_itself = (addition > 0) & ~fused
        rectified = rectifying > 0
        columns = (
            weighted,
            macs,
            (weighted == 0) & (addition == 0),
            addition,
            fused,
            _in_place(reads, fused, (weighted > 0) & (readers == 1), rectifies > 0),
            by_itself & (reads.sums(maker, alone * by_itself[reader]) > 0),
            rectified,
            rectified & (rectifying == readers) & ((weighted > 0) | (addition > 0)),
        )
        counts = [np.bincount(rows, column * once, self._n) for column in columns]
        return np.stack(counts, axis=1)

    def _reads(self, own: Values, once: BoolArray, made: Values, first: IntArray) -> Reads:
        """Return what reads what.

        What is computed again reads nothing, and nobody made the input.
        """
        reader, read = np.concatenate(self._readers), np.concatenate(self._read)
        reader, read = reader[once[reader]], read[once[reader]]
        read = read ^ own[reader]
        place = np.minimum(np.searchsorted(made, read), len(made) - 1)
        known = made[place] == read
        return Reads(reader[known], first[place[known]], self._count)


def _in_place(reads: Reads, fused: BoolArray, adding: BoolArray, rectifies: BoolArray) -> BoolArray:
    """Return which of the ``fused`` additions write over the other value they read.

    All else that reads that value must be done by then: what the addition takes, by way of others,
    is made of. What reads it through a ReLU reads it at once, so that one of these is enough.

    Args:
        reads: what reads what.
        fused: additions that an operation with weights does on its way out, (operations,).
        adding: which operations would do one, (operations,).
        rectifies: which operations read through a ReLU, (operations,).
    """
    reader, maker = reads.reader, reads.maker
    # The other value of an addition; where both come from one that would do it, either may be it.
    other = fused[reader] & ~(adding[maker] & (reads.sums(reader, adding[maker])[reader] == 1))
    addition, value = reader[other], maker[other]
    # Each pair of an addition and its other value, beside everyone who reads that value.
    pair, read = reads.readers(value)
    others = read != addition[pair]
    pair, read = pair[others], read[others]
    done = reads.done_by(addition[pair], value[pair], read)
    through = rectifies[read]

    def any_of(which: BoolArray) -> BoolArray:
        found: BoolArray = np.bincount(pair[which], minlength=len(value)) > 0
        return found

    free = ~any_of(~through & ~done) & (~any_of(through) | any_of(through & done))
    found = np.zeros(len(fused), dtype=np.bool_)
    found[addition[free]] = True
    return found
