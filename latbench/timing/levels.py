"""Levels: how much slower than usual a whole process was, told by the company a subject keeps.

Where a process's memory happens to lie, and what else the machine did in its seconds, slows or
speeds the subjects of the process in common: those alike that take alike, and small ones, which
the nearest caches hold, otherwise than large ones. Each subject is timed in several processes, each
time in other company, so the common part can be told apart from the subjects:

    ln T(subject, process) = a(subject) + level(process) + tilt(process) * x(subject) + e

with x the logarithm of the subject's latency, less the median of all. Level, tilt and e are random,
each with a variance of its own. This is the mixed model of Henderson (Biometrics 31, 1975), whose
equations give the best linear unbiased prediction: where the company is small, it is shrunk towards
none. The variances are estimated with it by expectation maximisation, and begin at what the
protocol takes for drift. What stands out counts less (Huber's weights), so that one process in a
bad minute does not move the level of all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from latbench.timing.protocol import Protocol
from latbench.timing.undisturbed import Digest

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FloatArray = npt.NDArray[np.float64]
Seen = Mapping[tuple[str, str], float]

# Huber's constant: 95 % of the efficiency of means where all is normal.
_HUBER = 1.345
_STEPS = 30
_SETTLED = 1e-2
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class Levelling:
    """What the processes of one subject did to its latency, as far as its company tells.

    Attributes:
        factors: by process, what its latencies are to be divided by. One that is not there leaves
            them as they are.
        doubt: relative standard deviation of the error that is left in the mean of the factors. It
            is that against the mean of all processes: what they all share, no company tells.
        quiet: share of quiet samples in the whole sweep; None if only the subject's own tell it.
    """

    factors: Mapping[str, float] = field(default_factory=dict)
    doubt: float = 0.0
    quiet: float | None = None


UNKNOWN_COMPANY = Levelling()


def levelled(
    processes: Mapping[str, Sequence[Digest]], levelling: Levelling
) -> dict[str, list[Digest]]:
    """Return the rounds of ``processes`` as they would be at the common level."""
    factors = levelling.factors
    return {
        process: [one.levelled(factors.get(process, 1.0)) for one in group]
        for process, group in processes.items()
    }


def levellings(seen: Seen, protocol: Protocol, quiet: float | None = None) -> dict[str, Levelling]:
    """Return what processes did to each subject.

    Args:
        seen: undisturbed latency in ms by subject and process, all above zero.
        protocol: how they were timed. Its ``drift_floor`` is where all standard deviations begin,
            and counts as ``drift_repeats`` less one values do.
        quiet: share of quiet samples in all of it, which is passed on.
    """
    if len({process for _, process in seen}) < 2:
        return {subject: Levelling(quiet=quiet) for subject, _ in seen}
    return {
        subject: replace(one, quiet=quiet)
        for subject, one in _Model(seen, protocol).solve().items()
    }


class _Model:
    """The equations of level and tilt, with the subjects' own latencies absorbed.

    There are two unknowns a process, first the levels of all and then the tilts of all.
    """

    def __init__(self, seen: Seen, protocol: Protocol) -> None:
        self._pairs = list(seen)
        subjects, self._subject = np.unique([one for one, _ in seen], return_inverse=True)
        processes, self._process = np.unique([one for _, one in seen], return_inverse=True)
        self._subjects, self._processes = subjects.tolist(), processes.tolist()
        self._logs = np.log(np.array(list(seen.values()), dtype=np.float64))
        means = self._means(self._logs, np.ones(len(self._logs)))
        self._x = means - np.median(means)
        self._design, self._members = self._designed(), self._membership()
        self._floor = max(protocol.drift_floor, _LEAST_SPREAD) ** 2
        self._worth = max(1, protocol.drift_repeats - 1)

    def solve(self) -> dict[str, Levelling]:
        """Return what the processes did to each subject."""
        count, processes = len(self._logs), len(self._processes)
        error, spreads = self._floor, np.full(2, self._floor)
        weights, holds = np.ones(count), np.ones(2 * processes)
        found = np.zeros(2 * processes)
        for _ in range(_STEPS):
            matrix = self._equations(weights, holds * error / self._each(spreads))
            inverse = np.linalg.inv(matrix).astype(np.float64)
            own = self._own(self._logs, weights)
            before, found = found, inverse @ (self._design.T @ (weights * own))
            residual = self._own(self._logs - self._design @ found, weights)
            freedom = count - len(self._subjects)
            squares = holds * (found**2 + error * np.diag(inverse))
            error = float(self._with_floor(np.sum(weights * own * residual), freedom))
            spreads = self._with_floor(squares.reshape(2, processes).sum(axis=1), processes)
            if np.abs(found - before).max() < _SETTLED * math.sqrt(error):
                break
            weights = _huber(residual, np.full(count, error))
            holds = _huber(found, self._each(spreads))
        return self._levellings(found, error * inverse)

    def _designed(self) -> csr_array:
        """Return by how much each unknown takes part in each value, (values, unknowns)."""
        # A worker process, which pays for every import, levels nothing.
        from scipy.sparse import coo_array

        count, processes = len(self._logs), len(self._processes)
        places = np.tile(np.arange(count), 2)
        unknowns = np.concatenate([self._process, self._process + processes])
        parts = np.concatenate([np.ones(count), self._x[self._subject]])
        return coo_array((parts, (places, unknowns)), shape=(count, 2 * processes)).tocsr()

    def _membership(self) -> csr_array:
        """Return which values are of which subject, (subjects, values)."""
        from scipy.sparse import coo_array

        count = len(self._logs)
        places = (self._subject, np.arange(count))
        return coo_array((np.ones(count), places), shape=(len(self._subjects), count)).tocsr()

    def _equations(self, weights: FloatArray, penalty: FloatArray) -> FloatArray:
        """Return the matrix of Henderson's equations, (unknowns, unknowns)."""
        weighted = self._design * weights[:, np.newaxis]
        by_subject = self._members @ weighted
        totals = self._members @ weights
        absorbed = by_subject.T @ (by_subject * (1 / totals)[:, np.newaxis])
        matrix: FloatArray = (self._design.T @ weighted - absorbed).toarray()
        matrix[np.diag_indices_from(matrix)] += penalty
        return matrix

    def _means(self, values: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the weighted mean of each subject, (subjects,)."""
        count = len(self._subjects)
        totals = np.bincount(self._subject, weights, count)
        means: FloatArray = np.bincount(self._subject, weights * values, count) / totals
        return means

    def _own(self, values: FloatArray, weights: FloatArray) -> FloatArray:
        """Return ``values`` less the mean of their subject."""
        return values - self._means(values, weights)[self._subject]

    def _each(self, spreads: FloatArray) -> FloatArray:
        """Return the variance of each unknown, from that of levels and that of tilts."""
        return np.repeat(spreads, len(self._processes))

    def _with_floor(self, squares: FloatArray | np.float64, freedom: int) -> FloatArray:
        """Return the variance of sums of squares, together with what the protocol takes for it."""
        known = self._worth * self._floor
        return np.asarray((known + squares) / (self._worth + freedom))

    def _levellings(self, found: FloatArray, covariance: FloatArray) -> dict[str, Levelling]:
        factors: dict[str, dict[str, float]] = {subject: {} for subject in self._subjects}
        for (subject, process), log in zip(self._pairs, self._design @ found, strict=True):
            factors[subject][process] = math.exp(log)
        return {
            subject: Levelling(factors[subject], doubt)
            for subject, doubt in zip(self._subjects, self._doubts(covariance), strict=True)
        }

    def _doubts(self, covariance: FloatArray) -> list[float]:
        """Return the doubt of each subject: of its processes' mean less that of all processes."""
        processes = len(self._processes)
        level, tilt = covariance[:, :processes].mean(axis=1), covariance[:, processes:].mean(axis=1)
        order = np.argsort(self._subject, kind="stable")
        own = np.split(self._process[order], np.cumsum(np.bincount(self._subject))[:-1])
        doubts = []
        for x, group in zip(self._x, own, strict=True):
            places = np.concatenate([group, group + processes])
            parts = np.repeat([1.0, x], len(group)) / len(group)
            with_all = level + x * tilt
            of_all = with_all[:processes].mean() + x * with_all[processes:].mean()
            own_square = parts @ covariance[np.ix_(places, places)] @ parts
            square = own_square - 2 * parts @ with_all[places] + of_all
            doubts.append(math.sqrt(max(0.0, float(square))))
        return doubts


def _huber(values: FloatArray, variances: FloatArray) -> FloatArray:
    """Return Huber's weights of ``values`` about zero."""
    limits = _HUBER * np.sqrt(variances)
    weights: FloatArray = limits / np.maximum(np.abs(values), limits)
    return weights
