"""What other devices tell about one that was hardly measured: a prior over what options cost.

A latency is modelled as a sum over the choices of an architecture, ``a + sum_c w_c[x_c]``. Before
anything is measured on a target its weights are Gaussian, and their covariance has three parts:

- *sources*: targets that were measured well span it. A new device is a draw from the population
  that those are a sample of, so the covariance of their weights is the first guess of its own.
- *kinds*: places whose names differ in numbers alone (``stage1.2``, ``stage3.4``) are of one kind,
  and an option costs the same at each place of its kind.
- *own*: every option of every place may cost something of its own.

How much of each, and how much noise, is a :class:`Cell`. Which cells are likely is learned from the
sources: each in turn is taken for the target of the others (:func:`learn`). The few labels of the
real target then choose among the cells by their evidence; predictions average over them, instead
of trusting the best (Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006,
chapters 2 and 5; the free mean is integrated out as in equation 2.43).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.prediction.inputs import FloatArray, IntArray, Space, check_latencies


class Cell(NamedTuple):
    """Variance that each part of the prior explains, and the noise, all on one scale."""

    sources: float
    kinds: float
    own: float
    noise: float


_NOISES = (0.001, 0.01, 0.1, 1.0)
CELLS = tuple(
    Cell(*parts, noise)
    for parts in (
        *((1.0, kinds, own) for kinds in (0.0, 0.03, 0.3, 3.0) for own in (0.0, 0.03, 0.3)),
        *((0.0, 1.0, own) for own in (0.0, 0.1, 0.3)),
    )
    for noise in _NOISES
)
"""What is believed possible: with sources in several mixtures, and without them."""

_DOUBT = 0.3  # of the belief is spread over all cells: the target may be like none of the sources
_ALPHA = 1.0  # shrinkage of a source's own regression
_TRIALS, _TRIAL_LABELS = 2, 64
_SLOWEST_OUTLIER = 0.2  # of the median: faster networks compute next to nothing


def starts(space: Space) -> IntArray:
    """Return where the options of each choice begin when all are put in one row, (choices,)."""
    sizes = [len(choice.options) for choice in space.choices]
    return np.cumsum([0, *sizes[:-1]]).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Design:
    """The columns in which weights are expressed: sources, kinds, and every option by itself.

    Each of the three parts has variance 1 over architectures drawn uniformly, so that the numbers
    of a :class:`Cell` compare.

    Attributes:
        sources: centred weights of each source (options, sources), variance 1 each.
        kinds: which options are one option of a kind of place, (options, kinds).
        starts: where the options of each choice begin.
    """

    sources: FloatArray
    kinds: FloatArray
    starts: IntArray

    @classmethod
    def of(cls, space: Space, sources: FloatArray | None = None) -> Design:
        """Return the design for ``space`` with source weights (options, sources), if any."""
        names = [
            (re.sub(r"\d+", "", choice.name), option)
            for choice in space.choices
            for option in choice.options
        ]
        known = {name: column for column, name in enumerate(dict.fromkeys(names))}
        kinds = np.zeros((len(names), len(known)))
        kinds[range(len(names)), [known[name] for name in names]] = 1.0
        if sources is None:
            sources = np.zeros((len(names), 0))
        return cls(sources, kinds, starts(space))

    @cached_property
    def basis(self) -> FloatArray:
        """The columns side by side, (options, columns)."""
        parts = (self.sources, self.kinds, np.eye(len(self.kinds)))
        return np.hstack([part / _deviation(part, self.starts) for part in parts])

    @cached_property
    def _counts(self) -> list[int]:
        return [self.sources.shape[1], self.kinds.shape[1], len(self.kinds)]

    def variances(self, cell: Cell) -> FloatArray:
        """Return the prior variance of each column under ``cell``, (columns,)."""
        return np.repeat(cell[:3], self._counts)

    def without(self, source: int) -> Design:
        """Return the design that knows nothing of one source."""
        return Design(np.delete(self.sources, source, axis=1), self.kinds, self.starts)

    def columns(self, X: IntArray) -> FloatArray:
        """Return architectures (n, choices) in the columns of the basis, (n, columns)."""
        total: FloatArray = self.basis[X + self.starts].sum(axis=1)
        return total

    def grams(self, columns: FloatArray) -> FloatArray:
        """Return the inner products of (n, columns) by part, (3, n, n)."""
        parts = np.split(columns, np.cumsum(self._counts)[:-1], axis=1)
        return np.stack([part @ part.T for part in parts])


def _deviation(part: FloatArray, starts: IntArray) -> float:
    """Return the standard deviation of all columns together over uniform architectures."""
    if not part.size:
        return 1.0
    total = sum(float(block.var(axis=0).sum()) for block in np.split(part, starts[1:]))
    return total**0.5 if total > 0 else 1.0


def clipped(y: FloatArray) -> FloatArray:
    """Return latencies (n,) of which none is far below the median.

    Tables hold networks without a path from input to output; what they cost says nothing about
    what options cost, and a squared error would let them rule the fit.
    """
    return np.maximum(y, _SLOWEST_OUTLIER * np.median(y))


def evidence(grams: FloatArray, y: FloatArray) -> FloatArray:
    """Return the log evidence of each of :data:`CELLS` for latencies (n,), up to a constant.

    Mean and scale of the latencies are integrated and profiled out: only their pattern counts.
    """
    n = len(y)
    cells = np.array(CELLS)
    covariance = np.einsum("cp,pij->cij", cells[:, :3], grams)
    covariance += cells[:, 3, None, None] * np.eye(n)
    root = np.linalg.cholesky(covariance)
    both = np.linalg.solve(root, np.stack([y, np.ones(n)], axis=1))
    whitened, ones = both[..., 0], both[..., 1]
    precision = np.einsum("ci,ci->c", ones, ones)
    mean = np.einsum("ci,ci->c", whitened, ones) / precision
    squares = ((whitened - mean[:, None] * ones) ** 2).sum(axis=1)
    # A constant row of labels says nothing: every cell explains it alike.
    squares = np.maximum(squares, 1e-300)
    determinant = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    found: FloatArray = -0.5 * (n - 1) * np.log(squares) - determinant - 0.5 * np.log(precision)
    return found


def posterior(log_evidence: FloatArray, belief: FloatArray) -> FloatArray:
    """Return the probability of each cell after ``belief`` (cells,) has met the evidence."""
    logs = log_evidence + np.log((1 - _DOUBT) * belief + _DOUBT / len(belief))
    weights = np.exp(logs - logs.max())
    found: FloatArray = weights / weights.sum()
    return found


FLAT: FloatArray = np.full(len(CELLS), 1 / len(CELLS))
"""The belief of who has seen no other device."""

Tables = Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]]
"""Source -> its architectures (n, choices) and latencies (n,) in ms."""


def learn(space: Space, tables: Tables) -> dict[str, Any]:
    """Return what source targets tell, as JSON values: what ``Transfer(space, sources)`` takes.

    Args:
        space: of which all the tables are.
        tables: the sources by name, measured on networks of their own choice each.

    Returns:
        ``networks``: source -> different networks it was measured on; ``weights``: the centred
        weights of each (sources, options); ``belief``: the probability of each cell (cells,).

    Raises:
        UsageError: a table has architectures of another space, latencies that are none, or fewer
            than three different networks.
    """
    plain = Design.of(space)
    read = {name: _checked(space, name, *table) for name, table in tables.items()}
    weights = np.array([_weights(plain, X, y) for X, y in read.values()])
    weights = weights.reshape(len(read), len(plain.kinds))
    design = Design.of(space, weights.T)
    return {
        "networks": {name: len(np.unique(X, axis=0)) for name, (X, _) in read.items()},
        "weights": weights.tolist(),
        "belief": _belief(design, list(read.values())).tolist(),
    }


def _checked(
    space: Space, name: str, X: npt.ArrayLike, y: npt.ArrayLike
) -> tuple[IntArray, FloatArray]:
    try:
        networks = space.check(X)
        latencies = check_latencies(y, len(networks))
    except UsageError as failure:
        raise UsageError(f"the source {name}: {failure}") from failure
    if len(np.unique(networks, axis=0)) < 3:
        raise UsageError(f"the source {name} has fewer than three different networks; leave it out")
    return networks, clipped(latencies)


def _weights(design: Design, X: IntArray, y: FloatArray) -> FloatArray:
    """Return the centred weights (options,) of one source by ridge regression, variance 1."""
    encoded = _encoded(design, X)
    columns = np.hstack([encoded, encoded @ design.kinds])
    columns -= columns.mean(axis=0)
    shrunk = columns.T @ columns + _ALPHA * np.eye(columns.shape[1])
    solution = np.linalg.solve(shrunk, columns.T @ (y - y.mean()))
    options = len(design.kinds)
    weights = solution[:options] + design.kinds @ solution[options:]
    parts = np.split(weights, design.starts[1:])
    centred = np.concatenate([part - part.mean() for part in parts])
    found: FloatArray = centred / _deviation(centred[:, None], design.starts)
    return found


def _encoded(design: Design, X: IntArray) -> FloatArray:
    encoded = np.zeros((len(X), len(design.kinds)))
    np.put_along_axis(encoded, X + design.starts, 1.0, axis=1)
    return encoded


def _belief(design: Design, tables: list[tuple[IntArray, FloatArray]]) -> FloatArray:
    """Return how likely each cell is: the mean of what it is for each source, given the others."""
    if len(tables) < 2:
        return FLAT
    total = np.zeros(len(CELLS))
    for number, (X, y) in enumerate(tables):
        others = design.without(number)
        for trial in range(_TRIALS):
            rng = np.random.default_rng([number, trial])
            drawn = rng.permutation(len(y))[:_TRIAL_LABELS]
            grams = others.grams(others.columns(X[drawn]))
            weights = np.exp((found := evidence(grams, y[drawn])) - found.max())
            total += weights / weights.sum()
    mean: FloatArray = total / total.sum()
    return mean
