"""Which operations read which, of many architectures at once: one list of operations for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from latbench.spaces.architectures import FloatArray
    from latbench.spaces.graph import BoolArray, IntArray


class Reads:
    """What reads what: two operations each, by number; who makes a value has the lower one.

    Attributes:
        reader, maker: of each read, (reads,).
        makers: by operation, who made what it reads.
        readers: by operation, who reads what it made.
    """

    def __init__(self, reader: IntArray, maker: IntArray, operations: int) -> None:
        """Take what reads what among so many ``operations``."""
        self.reader, self.maker = reader, maker
        self._operations = operations
        self.makers = _Lists(reader, maker, operations)
        self.readers = _Lists(maker, reader, operations)

    def sums(self, of: IntArray, weights: npt.ArrayLike | None = None) -> FloatArray:
        """Return how often each operation is in ``of``, or the sum of ``weights`` there."""
        sums: FloatArray = np.bincount(of, weights, self._operations).astype(np.float64)
        return sums

    def done_by(self, last: IntArray, value: IntArray, read: IntArray) -> BoolArray:
        """Return which of the readers ``read`` of a value must run before ``last``, (n,).

        They must where ``last`` takes, by way of others, what they make.

        Args:
            last: an operation, (n,).
            value: who made the value, (n,); only what is made later is looked at.
            read: a reader of that value, (n,).
        """
        asked, which = np.unique(np.stack([last, value]), axis=1, return_inverse=True)
        question, front = np.arange(asked.shape[1]), asked[0]
        before = np.empty(0, dtype=np.int64)
        while len(front):
            place, maker = self.makers(front)
            later = maker > asked[1][question[place]]
            found = np.unique(self._keys(question[place[later]], maker[later]))
            found = np.setdiff1d(found, before, assume_unique=True)
            before = np.union1d(before, found)
            question, front = np.divmod(found, self._operations)
        done: BoolArray = np.isin(self._keys(which.reshape(-1), read), before)
        return done

    def _keys(self, question: IntArray, operation: IntArray) -> IntArray:
        keys: IntArray = question * self._operations + operation
        return keys


class _Lists:
    """A list of values for each key."""

    def __init__(self, keys: IntArray, values: IntArray, count: int) -> None:
        """Take the pairs (n,); keys are below ``count``."""
        order = np.argsort(keys, kind="stable")
        self._values = values[order]
        self._starts = np.searchsorted(keys[order], np.arange(count + 1))

    def __call__(self, keys: IntArray) -> tuple[IntArray, IntArray]:
        """Return the lists of ``keys`` (n,) in a row, each value beside the place of its key."""
        starts = self._starts[keys]
        counts = self._starts[keys + 1] - starts
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        values = self._values[np.repeat(starts, counts) + within]
        return np.repeat(np.arange(len(keys)), counts), values
