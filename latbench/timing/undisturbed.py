"""The undisturbed latency: the probe says how many runs were disturbed, their times say which.

Another tenant on the other hardware thread of a core, or on its caches, only ever slows a run (the
model of Chen and Revels, arXiv 1608.04295, who therefore take the minimum). So if a share q of all
runs was undisturbed, these are the fastest ones, and their median is the q/2 quantile of all runs.
On a quiet machine q is 1, and this is the plain median.

The probe tells q, but it is a short look, and a run is long and uses more of the machine. So a run
counts as undisturbed only if eight looks in a row would have been quiet: q is the eighth power of
the share of runs with two quiet looks, and at least a fifth. Below the tenth percentile it would be
a matter of luck what some hundred runs hold. Where less than a third of the runs have two quiet
looks, fewer than that fifth are undisturbed, and the estimate is called unstable.

The share is that of the whole sweep, where there is one. The few looks of one subject tell it badly
and its power worse, and then one subject measured twice has another quantile of the same runs.

Power, fifth and third were chosen on one busy host, by how well two measurements agreed in its
calmer and in its busier hours. On a core of one's own every look is quiet and none matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

LEAST_SHARE = 0.2
LEAST_QUIET = 1 / 3
"""Share of quiet runs below which an estimate is unstable."""
_LOOKS = 8
_MOST_VALUES = 32
_JUST_BESIDE = (1 - 1e-5, 1 + 1e-5)
_HALF = 0.5 * (1 + 1e-4)
# Multiplications of the largest product that OpenBLAS computes in the calling thread: others would
# go on spinning while the next subject is timed.
_ONE_THREAD = 64**3


def undisturbed_share(quiet: FloatArray) -> FloatArray:
    """Return the share of runs that were undisturbed, from those with quiet looks on both sides."""
    share: FloatArray = np.maximum(LEAST_SHARE, quiet**_LOOKS)
    return share


@dataclass(frozen=True)
class Digest:
    """What an estimate needs of a round.

    Attributes:
        values_ms: latencies of one run, ascending: all of them, or of many 32 evenly spread
            quantiles.
        samples: how many there were.
        quiet: how many of them had a quiet look of the probe on both sides; all if none looked.
    """

    values_ms: tuple[float, ...]
    samples: int
    quiet: int

    @classmethod
    def of(cls, times_ms: FloatArray, quiet: int) -> Digest:
        """Return the digest of a round of samples (samples,), ``quiet`` of them quiet."""
        values = np.sort(times_ms)
        if len(values) > _MOST_VALUES:
            places = (np.arange(_MOST_VALUES) + 0.5) / _MOST_VALUES
            values = np.quantile(values, places)
        return cls(tuple(values.tolist()), len(times_ms), quiet)

    def levelled(self, factor: float) -> Digest:
        """Return the digest of the same round, its latencies divided by ``factor``."""
        values_ms = tuple(value / factor for value in self.values_ms)
        return Digest(values_ms, self.samples, self.quiet)

    def to_dict(self) -> dict[str, Any]:
        """Return the values by name, fit for JSON."""
        return {"values_ms": list(self.values_ms), "samples": self.samples, "quiet": self.quiet}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Digest:
        """Return the digest that :meth:`to_dict` wrote."""
        return cls(tuple(data["values_ms"]), data["samples"], data["quiet"])


class Pool:
    """The rounds of several processes laid out so that any mixture of them has its latency at once.

    Every round counts alike, however many samples it holds.
    """

    def __init__(self, rounds: Sequence[Digest], quiet: float | None = None) -> None:
        """Lay out ``rounds``, at least one.

        Args:
            rounds: what is mixed.
            quiet: the share of quiet samples that holds for all mixtures; by default each has that
                of the rounds in it.
        """
        sizes = np.array([len(one.values_ms) for one in rounds])
        values = np.concatenate([one.values_ms for one in rounds])
        order = np.argsort(values, kind="stable")
        self._values = values[order]
        weight = np.zeros((len(rounds), len(values)))
        weight[np.repeat(np.arange(len(rounds)), sizes)[order], range(len(values))] = 1.0
        # What share of each round lies at a value or below it, (rounds, values).
        self._reached = np.cumsum(weight / sizes[:, np.newaxis], axis=1)
        # A latency is at most the median, so beyond the last median of a round no value is needed.
        needed = 1 + int((self._reached > _HALF).argmax(axis=1).max())
        # Shares are multiples of one 32nd for long rounds: single precision holds them well.
        self._searched = self._reached[:, :needed].astype(np.float32)
        shares = [one.quiet / one.samples if quiet is None else quiet for one in rounds]
        self._quiet = np.array(shares)

    @property
    def latency_ms(self) -> float:
        """The undisturbed latency of all rounds together."""
        reached = self._reached.mean(axis=0)
        middle = (reached + np.concatenate([[0.0], reached[:-1]])) / 2
        share = undisturbed_share(self._quiet.mean(keepdims=True))
        return float(np.interp(share[0] / 2, middle, self._values))

    def latencies_ms(self, times: npt.NDArray[np.int64]) -> FloatArray:
        """Return the undisturbed latency of each mixture, (mixtures,).

        Args:
            times: (mixtures, rounds) how often each round takes part, at least one in each.
        """
        parts = times.sum(axis=1)
        wanted = undisturbed_share(times @ self._quiet / parts) / 2 * parts
        counts, each = times.astype(np.float32), self._searched
        bounds = [(wanted * side).astype(np.float32)[:, np.newaxis] for side in _JUST_BESIDE]
        places = np.empty((len(bounds), len(times)), dtype=np.int64)
        rows = max(1, _ONE_THREAD // each.size)
        for first in range(0, len(times), rows):
            some = slice(first, first + rows)
            reached = counts[some] @ each
            for side, bound in enumerate(bounds):
                places[side, some] = np.count_nonzero(reached <= bound[some], axis=1)
        # Where the share is reached exactly, as half of it between two values, both count.
        middle: FloatArray = self._values[places].mean(axis=0)
        return middle


def undisturbed_ms(rounds: Iterable[Digest], quiet: float | None = None) -> float:
    """Return the undisturbed latency of ``rounds`` in ms.

    Args:
        rounds: at least one.
        quiet: the share of quiet samples, where it is known better than from these rounds alone.
    """
    return Pool(list(rounds), quiet).latency_ms
