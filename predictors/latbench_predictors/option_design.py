"""Ways to say what options cost: like other targets', as at other places, by costs, or each alone.

Weights of options are sums over columns of three parts:

- *sources*: the weights that targets have which were measured well.
- *shared*: an option costs the same at each place (:func:`latbench_predictors.one_hot.shared`), and
  where the space knows its networks, options cost in proportion to what they compute: their blocks,
  multiply-accumulates, parameters and values moved.
- *own*: every option of every place costs something of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from latbench.prediction.inputs import FloatArray, IntArray, Space
from latbench_predictors import one_hot


@dataclass(frozen=True, eq=False)
class Design:
    """The columns of the three parts, by option.

    Each part has variance 1 over architectures drawn uniformly, so that the variances of a
    :class:`latbench_predictors.device_prior.Cell` compare.

    Attributes:
        sources: centred weights of each source (options, sources), variance 1 each.
        shared: what options have in common, (options, shared).
        starts: where the options of each choice begin.
    """

    sources: FloatArray
    shared: FloatArray
    starts: IntArray

    @classmethod
    def of(cls, space: Space, sources: FloatArray | None = None) -> Design:
        """Return the design for ``space`` with source weights (options, sources), if any."""
        starts = one_hot.starts(space)
        named = one_hot.shared(space)
        if sources is None:
            sources = np.zeros((len(named), 0))
        known = [part / deviation(part, starts) for part in (named, _costs(space, starts))]
        return cls(sources, np.hstack(known), starts)

    @cached_property
    def basis(self) -> FloatArray:
        """The columns side by side, (options, columns)."""
        parts = (self.sources, self.shared, np.eye(len(self.shared)))
        return np.hstack([part / deviation(part, self.starts) for part in parts])

    @cached_property
    def counts(self) -> list[int]:
        """How many columns each part has."""
        return [self.sources.shape[1], self.shared.shape[1], len(self.shared)]

    def without(self, source: int) -> Design:
        """Return the design that knows nothing of one source."""
        return Design(np.delete(self.sources, source, axis=1), self.shared, self.starts)

    def columns(self, X: IntArray) -> FloatArray:
        """Return architectures (n, choices) in the columns of the basis, (n, columns)."""
        total: FloatArray = self.basis[X + self.starts].sum(axis=1)
        return total

    def grams(self, columns: FloatArray) -> FloatArray:
        """Return the inner products of (n, columns) by part, (3, n, n)."""
        parts = np.split(columns, np.cumsum(self.counts)[:-1], axis=1)
        return np.stack([part @ part.T for part in parts])

    def standardised(self, weights: FloatArray) -> FloatArray:
        """Return weights (options,) as those of a source: centred by choice, variance 1."""
        parts = np.split(weights, self.starts[1:])
        centred = np.concatenate([part - part.mean() for part in parts])
        found: FloatArray = centred / deviation(centred[:, None], self.starts)
        return found


def deviation(part: FloatArray, starts: IntArray) -> float:
    """Return the standard deviation of columns (options, columns) over uniform architectures.

    It is that of all columns together; 1 where they do not vary.
    """
    if not part.size:
        return 1.0
    total = sum(float(block.var(axis=0).sum()) for block in np.split(part, starts[1:]))
    return total**0.5 if total > 0 else 1.0


def _costs(space: Space, starts: IntArray) -> FloatArray:
    """Return what each option computes, (options, costs); no column where that is not known.

    It is not where an option may compute less beside others, or where there are no networks.
    """
    options = sum(len(choice.options) for choice in space.choices)
    if not (space.has_networks and space.additive):
        return np.zeros((options, 0))
    costs = np.array(
        [[1.0, block.macs, block.params, block.moved] for block in space.blocks], dtype=np.float64
    )
    _, chosen = space.option_counts()
    counts = np.vstack([part.toarray() for part in chosen])
    found = counts @ costs
    scale = np.array([deviation(column[:, None], starts) for column in found.T])
    scaled: FloatArray = found / scale
    return scaled
