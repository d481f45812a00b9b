"""The undisturbed latency: the probe says how many runs were disturbed, their times say which.

Another tenant on the other hardware thread of a core, or on its caches, only ever slows a run (the
model of Chen and Revels, arXiv 1608.04295, who therefore take the minimum). So if a share q of all
runs was undisturbed, these are the fastest ones, and their median is the q/2 quantile of all runs.
On a quiet machine q is 1, and this is the plain median.

The probe tells q. A run with a quiet look on both sides may still have been disturbed between
them; were a third look taken, it would agree about as often as the two did. So q is the square of
the share of runs with two quiet looks. It is never taken to be below 2 %: where quiet looks are
that rare they say little, while the fastest of many runs are hardly ever all disturbed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

LEAST_SHARE = 0.02
_MOST_VALUES = 32
_EQUAL = 1e-5


def undisturbed_share(quiet: FloatArray) -> FloatArray:
    """Return the share of runs that were undisturbed, from those with quiet looks on both sides."""
    share: FloatArray = np.maximum(LEAST_SHARE, quiet * quiet)
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

    def __init__(self, rounds: Sequence[Digest]) -> None:
        """Lay out ``rounds``, at least one."""
        sizes = np.array([len(one.values_ms) for one in rounds])
        values = np.concatenate([one.values_ms for one in rounds])
        order = np.argsort(values, kind="stable")
        self._values = values[order]
        self._round = np.repeat(np.arange(len(rounds)), sizes)[order]
        self._weight = (1.0 / sizes)[self._round]
        self._quiet = np.array([one.quiet / one.samples for one in rounds])

    @property
    def latency_ms(self) -> float:
        """The undisturbed latency of all rounds together."""
        weight = self._weight
        middle = (np.cumsum(weight) - weight / 2) / weight.sum()
        share = undisturbed_share(self._quiet.mean(keepdims=True))
        return float(np.interp(share[0] / 2, middle, self._values))

    def latencies_ms(self, times: npt.NDArray[np.int64]) -> FloatArray:
        """Return the undisturbed latency of each mixture, (mixtures,).

        Args:
            times: (mixtures, rounds) how often each round takes part, at least one in each.
        """
        parts = times.sum(axis=1)
        wanted = undisturbed_share(times @ self._quiet / parts) / 2 * parts
        # Weights are multiples of one 32nd for long rounds: single precision holds them well.
        weights = times.astype(np.float32)[:, self._round] * self._weight.astype(np.float32)
        reached = np.cumsum(weights, axis=1, out=weights) / wanted[:, np.newaxis]
        # Where the weight is reached exactly, as half of it between two values, both count.
        lower = self._values[(reached > 1 - _EQUAL).argmax(axis=1)]
        upper = self._values[(reached > 1 + _EQUAL).argmax(axis=1)]
        middle: FloatArray = (lower + upper) / 2
        return middle


def undisturbed_ms(rounds: Iterable[Digest]) -> float:
    """Return the undisturbed latency of ``rounds`` in ms."""
    return Pool(list(rounds)).latency_ms
