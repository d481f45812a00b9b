"""Tails: a quantile is published only where enough independent runs lie behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from latbench.timing.rounds import Round
from latbench.timing.undisturbed import undisturbed_share

_CONFIDENCE = 0.99


def least_runs(quantile: float) -> int:
    """Return the independent runs that ``quantile`` needs: ``ceil(ln(1 - c) / ln p)``, c = 0.99.

    With fewer, the largest run may well lie below the true quantile: 44 for p90, 459 for p99.
    """
    return math.ceil(math.log(1 - _CONFIDENCE) / math.log(quantile))


def effective_runs(rounds: Sequence[Round]) -> float:
    """Return how many independent runs the rounds are worth, n / tau.

    tau is the integrated autocorrelation time by batch means, with rounds as the batches:
    ``B * var(round means) / var(runs)`` for B runs a round, and at least 1.
    """
    runs = np.concatenate([one.samples.times_ns for one in rounds]).astype(np.float64)
    spread = float(np.var(runs))
    if len(rounds) < 2 or spread == 0:
        return float(len(rounds))
    means = [float(np.mean(one.samples.times_ns)) for one in rounds]
    batch = len(runs) / len(rounds)
    return len(runs) / max(1.0, batch * float(np.var(means, ddof=1)) / spread)


def tail_quantile_ms(rounds: Sequence[Round], quantile: float) -> float | None:
    """Return the quantile of undisturbed single runs, or ``None`` where it cannot be told.

    Samples that hold several runs give none: their means hide the tail.
    """
    if any(one.inner > 1 for one in rounds):
        return None
    runs = np.concatenate([one.samples.times_ns for one in rounds])
    quiet = np.array([sum(one.samples.used for one in rounds) / len(runs)])
    share = float(undisturbed_share(quiet)[0])
    if share * effective_runs(rounds) < least_runs(quantile):
        return None
    return float(np.quantile(runs, share * quantile)) / 1e6
