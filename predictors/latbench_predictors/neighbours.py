"""What options cost beside their neighbours: a ridge on pairs, fitted on whole networks.

Blocks timed alone say nothing of what two of them share or cost each other: a layout kept or
changed, an activation that is still in the cache. With one addend for each option and each pair of
options of neighbouring choices the latency is ``u(x) + sum_c W_c[x_c, x_c+1]``, so that its mean
under independent choices stays exact, ``sum p.u + sum p'Wq``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from latbench.prediction.inputs import FloatArray, IntArray
from latbench_predictors.regression import relative_weights

FEWEST_NETWORKS = 20
_STRENGTHS = np.logspace(-3, 3, 25)
# A gain smaller than this comes by chance of choosing the best of many strengths.
_WORTH = 0.97
_ROUNDING = 1e-9
_ROWS = 4096  # architectures looked up at a time: what fits into a core's cache


@dataclass(frozen=True)
class Neighbours:
    """Addends in ms of every option, and of every pair of options of two choices in a row.

    Attributes:
        options_ms: one array (options,) a choice.
        pairs_ms: one array (options, options of the next) a choice but the last.
    """

    options_ms: Sequence[FloatArray]
    pairs_ms: Sequence[FloatArray]

    @classmethod
    def fit(
        cls, X: IntArray, sizes: Sequence[int], predicted: FloatArray, y: FloatArray
    ) -> Neighbours | None:
        """Return the addends that ``predicted`` lacks, or None where none would make it better.

        A ridge on relative errors (:func:`latbench_predictors.regression.relative_weights`), its
        strength the one with the least error on networks left out one at a time (which for a ridge
        needs no refit: ``e_i / (1 - H_ii)``).

        Args:
            X: architectures (n, choices).
            sizes: the number of options of each choice.
            predicted, y: predicted and measured latencies (n,) in ms.
        """
        if len(sizes) < 2 or len(X) < FEWEST_NETWORKS:
            return None
        root = np.sqrt(relative_weights(y))
        wanted = (y - predicted) * root
        if float(np.mean(np.abs(wanted))) <= _ROUNDING * float(np.mean(y * root)):
            return None
        design = _one_hots(X, sizes) * root[:, None]
        left, strengths = _decomposed(design)
        unit = float(strengths.mean())
        if unit == 0:
            return None
        projected = left.T @ wanted
        best, least = None, _WORTH * float(np.mean(np.abs(wanted)))
        for strength in _STRENGTHS * unit:
            kept = strengths / (strengths + strength)
            reach = np.minimum((left**2) @ kept, 1 - 1e-9)
            error = float(np.mean(np.abs((wanted - left @ (kept * projected)) / (1 - reach))))
            if error < least:
                best, least = strength, error
        if best is None:
            return None
        addends = design.T @ (left @ (projected / (strengths + best)))
        return cls.from_flat(addends, sizes)

    @classmethod
    def from_flat(cls, flat: FloatArray, sizes: Sequence[int]) -> Neighbours:
        """Return the addends that :attr:`flat` wrote."""
        lengths = [*sizes, *(one * other for one, other in pairwise(sizes))]
        parts = np.split(flat, np.cumsum(lengths)[:-1])
        pairs = zip(parts[len(sizes) :], pairwise(sizes), strict=True)
        return cls(parts[: len(sizes)], [part.reshape(shape) for part, shape in pairs])

    @property
    def flat(self) -> FloatArray:
        """All addends in one array."""
        return np.concatenate([*self.options_ms, *(pairs.ravel() for pairs in self.pairs_ms)])

    def addends(self, X: IntArray) -> FloatArray:
        """Return the sum of the addends of each row of ``X`` (n, choices), (n,) in ms."""
        table, starts, strides = self._table
        total = np.empty(len(X))
        for first in range(0, len(X), _ROWS):
            rows = X[first : first + _ROWS]
            places = rows[:, :-1] * strides + rows[:, 1:] + starts
            table.take(places).sum(axis=1, out=total[first : first + _ROWS])
        return total

    @cached_property
    def _table(self) -> tuple[FloatArray, IntArray, IntArray]:
        """The pairs in one array, with the options of their first choice added in."""
        tables = [
            pairs + own[:, None] for pairs, own in zip(self.pairs_ms, self.options_ms, strict=False)
        ]
        tables[-1] = tables[-1] + self.options_ms[-1]
        starts = np.cumsum([0, *(table.size for table in tables[:-1])])
        strides = np.array([table.shape[1] for table in tables])
        return np.concatenate([table.ravel() for table in tables]), starts, strides


def _one_hots(X: IntArray, sizes: Sequence[int]) -> FloatArray:
    """Return the one-hot code of options and of pairs, (n, options + pairs)."""
    columns = [(X[:, place], size) for place, size in enumerate(sizes)]
    for place, (one, other) in enumerate(pairwise(sizes)):
        columns.append((X[:, place] * other + X[:, place + 1], one * other))
    return np.concatenate(
        [np.equal.outer(values, np.arange(size)) for values, size in columns], axis=1
    ).astype(np.float64)


def _decomposed(design: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the left singular vectors (n, k) of ``design`` and its squared singular values."""
    rows, columns = design.shape
    if rows <= columns:
        strengths, left = np.linalg.eigh(design @ design.T)
    else:
        strengths, right = np.linalg.eigh(design.T @ design)
        left = design @ right / np.sqrt(np.maximum(strengths, np.finfo(float).tiny))
    found = strengths > 1e-10 * strengths[-1]
    return left[:, found], strengths[found]
