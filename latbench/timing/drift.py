"""Drift, trend and noise: how far the same subject measures differently at another time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latbench.errors import UsageError
from latbench.timing.protocol import Protocol
from latbench.timing.undisturbed import LEAST_QUIET

# Makes the median absolute deviation estimate the standard deviation of a normal variable.
_MAD_TO_SD = 1.4826


def drift_of(history_ms: Sequence[float], protocol: Protocol, quiet: float | None = None) -> float:
    """Return s_drift, the relative standard deviation between repeats of one subject.

    It begins at the protocol's floor. What the history of one subject on one device instance tells,
    ``1.4826 * MAD(ln T)``, joins it as variances do, with one degree of freedom for each value but
    the first: ``drift_repeats`` values count as much as the floor. A machine that is restless from
    its first minutes has wide intervals from then on, and two values that happen to agree prove
    nothing.

    What slowed every process of these minutes alike is in none of their differences, and there is
    the more of it the less the probe found quiet: ``drift_floor * (1 / quiet**2 - 1)`` is added, as
    variances are.

    Args:
        history_ms: values of one subject on one device instance, of one process each.
        protocol: how they were timed.
        quiet: share of quiet samples in the sweep; None if no probe looked.
    """
    hidden = 0.0
    if quiet is not None:
        hidden = protocol.drift_floor * (1 / max(quiet, LEAST_QUIET) ** 2 - 1)
    return math.hypot(_between(history_ms, protocol), hidden)


def _between(history_ms: Sequence[float], protocol: Protocol) -> float:
    """Return what the differences between processes tell."""
    if len(history_ms) < 2:
        return protocol.drift_floor
    logs = np.log(np.asarray(history_ms, dtype=np.float64))
    seen = _MAD_TO_SD * float(np.median(np.abs(logs - np.median(logs))))
    weights = np.array([protocol.drift_repeats - 1, len(logs) - 1], dtype=np.float64)
    squares = np.array([protocol.drift_floor, seen]) ** 2
    return math.sqrt(float(weights @ squares / weights.sum()))


@dataclass(frozen=True)
class Trend:
    """How fast the latency of one subject grows.

    Attributes:
        slope: percent a minute; below zero where it becomes faster.
        half_width: half the width of its interval, in percent a minute.
    """

    slope: float
    half_width: float


def trend(times_s: Sequence[float], latencies_ms: Sequence[float], coverage: float = 0.95) -> Trend:
    """Return the slope of the least-squares line through ``ln T`` against time.

    The interval is Student's, with ``n - 2`` degrees of freedom. It takes what is left of each
    latency for independent of the others': repeats should be of processes of their own.

    Args:
        times_s: when each was measured; in seconds, from anywhere.
        latencies_ms: of one subject, each above zero.
        coverage: of the interval.

    Raises:
        UsageError: fewer than three latencies, or not all at times of their own.
    """
    minutes = np.asarray(times_s, dtype=np.float64) / 60
    logs = np.log(np.asarray(latencies_ms, dtype=np.float64))
    if len(logs) < 3 or len(np.unique(minutes)) < len(logs):
        raise UsageError(
            f"a trend needs three latencies or more, each with its time, not {len(logs)} at "
            f"{len(np.unique(minutes))} times; measure more"
        )
    from scipy.stats import t

    x = minutes - minutes.mean()
    slope = float(x @ logs / (x @ x))
    left = logs - logs.mean() - slope * x
    freedom = len(logs) - 2
    error = math.sqrt(float(left @ left) / freedom / float(x @ x))
    return Trend(100 * slope, 100 * error * float(t.ppf((1 + coverage) / 2, freedom)))


@dataclass(frozen=True)
class Noise:
    """How well a second measurement of the same subjects agrees with the first, in percent.

    Attributes:
        difference: mean of ``|a - b| / ((a + b) / 2)``: the error of one measurement taken as
            the prediction of the other, in which both err.
        single: ``difference / sqrt(2)``: the MAPE of a perfect predictor against one
            measurement, in which only that measurement errs.
        within: the same without the shift: the MAPE of a predictor that knows what one sweep would
            find on average, against that sweep. This is ``noise_mape``, which a predictor that was
            fitted and is tested on one sweep has beside it.
        shift: the common part, ``median(b / a) - 1``, signed: a predictor fitted and tested on
            one sweep does not see it, one that is used in another sweep does.
    """

    difference: float
    single: float
    within: float
    shift: float


def noise(first_ms: Sequence[float], second_ms: Sequence[float]) -> Noise:
    """Return the noise between two independent measurements of the same subjects.

    A measurement is ``T * (1 + e)``. A predictor that knows every T still scores a MAPE of
    ``E|e|``, while two measurements differ by ``E|e1 - e2|``, which is ``sqrt(2) * E|e|`` for
    normal errors of equal size. Hence the division: without it a predictor could seem to beat the
    noise it is tested against. So it could if what a whole sweep has in common were taken for
    noise: ``within`` leaves out the median of the differences.

    Args:
        first_ms, second_ms: latencies of the same subjects in the same order.

    Raises:
        UsageError: the lengths differ, there is no subject, or a latency is not above zero.
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (first_ms, second_ms))
    if a.shape != b.shape or a.size == 0:
        raise UsageError(
            f"noise needs two measurements of the same subjects, not {a.size} and {b.size}; "
            "keep the subjects that both hold"
        )
    if not (np.all(a > 0) and np.all(b > 0) and np.all(np.isfinite(a + b))):
        raise UsageError(
            "noise needs latencies above zero; leave out the subjects whose measurement failed"
        )
    relative = (b - a) / ((a + b) / 2)
    difference = 100 * float(np.mean(np.abs(relative)))
    own = relative - np.median(relative)
    # One difference is spent on the median, and of a single pair nothing would be left.
    left = 100 * float(np.abs(own).sum()) / (a.size - 1) if a.size > 1 else difference
    shift = 100 * (float(np.median(b / a)) - 1)
    return Noise(difference, difference / math.sqrt(2), left / math.sqrt(2), shift)
