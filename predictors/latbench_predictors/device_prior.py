"""What options may cost on a device that was hardly measured: a prior, and what labels make of it.

A latency is modelled as a sum over the choices of an architecture, ``a + sum_c w_c[x_c]``. Before
anything is measured on a target its weights are Gaussian, and their covariance has the three parts
of :mod:`latbench_predictors.option_design`: targets that were measured well span one, as a new
device is a draw from the population that those are a sample of.

How much of each part, and how much noise, is a :class:`Cell`. The few labels of a target choose
among the cells by their evidence; predictions average over them, instead of trusting the best
(Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006, chapters 2 and 5; the free
mean is integrated out as in equation 2.43).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from latbench.prediction.inputs import FloatArray, IntArray
from latbench_predictors.option_design import Design


class Cell(NamedTuple):
    """Variance that each part of the prior explains, and the noise, all on one scale."""

    sources: float
    shared: float
    own: float
    noise: float


_NOISES = (0.001, 0.01, 0.1, 1.0)
CELLS = tuple(
    Cell(*parts, noise)
    for parts in (
        *((1.0, shared, own) for shared in (0.0, 0.03, 0.3, 3.0) for own in (0.0, 0.03, 0.3)),
        *((0.0, 1.0, own) for own in (0.0, 0.1, 0.3)),
    )
    for noise in _NOISES
)
"""What is believed possible: with sources in several mixtures, and without them."""

FLAT: FloatArray = np.full(len(CELLS), 1 / len(CELLS))
"""The belief of who has seen no other device."""

_EVIDENCE_LABELS = 128  # beyond them the choice of the cell is settled, and evidence is cubic
_LEAST = 1e-3  # probability below which a cell is left out of the mean
_DOUBT = 0.3  # of the belief is spread over all cells: the target may be like none of the sources
_FASTEST = 0.2  # of the median: faster networks compute next to nothing


def clipped(y: FloatArray) -> FloatArray:
    """Return latencies (n,) of which none is far below the median.

    Tables hold networks without a path from input to output; what they cost says nothing about
    what options cost, and a squared error would let them rule the fit.
    """
    return np.maximum(y, _FASTEST * np.median(y))


def fitted(
    design: Design, belief: FloatArray, X: IntArray, y: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the weights (options,) that labels make of the prior, and how likely each cell is.

    Args:
        design: the parts of the prior.
        belief: the probability of each cell before there is a label.
        X: architectures (n, choices).
        y: their latencies (n,).
    """
    columns = design.columns(X)
    few = np.random.default_rng(0).permutation(len(y))[:_EVIDENCE_LABELS]
    found = posterior(evidence(design.grams(columns[few]), y[few]), belief)
    return design.basis @ _mean(design, columns, y, found), found


def variances(design: Design, cell: Cell) -> FloatArray:
    """Return the prior variance of each column under ``cell``, (columns,)."""
    return np.repeat(cell[:3], design.counts)


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


def _mean(
    design: Design, columns: FloatArray, y: FloatArray, probabilities: FloatArray
) -> FloatArray:
    """Return the posterior mean of the weights of the columns (columns,), averaged over cells.

    Given a cell it is a ridge regression with a free mean and one penalty a column.
    """
    centred, deviations = columns - columns.mean(axis=0), y - y.mean()
    n, width = centred.shape
    gram, moments = centred.T @ centred, centred.T @ deviations
    total = np.zeros(width)
    kept = probabilities >= _LEAST
    for number in np.flatnonzero(kept):
        cell = CELLS[number]
        prior = variances(design, cell)
        # The smaller of two equal systems of equations.
        if n < width:
            covariance = (centred * prior) @ centred.T + cell.noise * np.eye(n)
            solution = centred.T @ np.linalg.solve(covariance, deviations)
        else:
            solution = np.linalg.solve(gram * prior + cell.noise * np.eye(width), moments)
        total += probabilities[number] * prior * solution
    mean: FloatArray = total / probabilities[kept].sum()
    return mean
