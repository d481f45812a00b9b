"""The estimate: from rounds to a latency with its uncertainty and a status."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from latbench.timing.bootstrap import half_width
from latbench.timing.levels import UNKNOWN_COMPANY, Levelling, levelled
from latbench.timing.protocol import Protocol
from latbench.timing.rounds import Round, by_process
from latbench.timing.tail import tail_quantile_ms
from latbench.timing.undisturbed import LEAST_QUIET, Digest, undisturbed_ms

Status = Literal["ok", "unconverged", "unstable", "failed"]

_P90 = 0.9


@dataclass(frozen=True)
class Estimate:
    """A latency and what is known about it.

    Attributes:
        latency_ms: the undisturbed latency; not a number if the status is ``failed``.
        low_ms, high_ms: the published interval, ``latency_ms * (1 -+ u)``, with
            ``u = sqrt(half_width**2 + (1.96 * drift)**2)`` (for a confidence of 95 %).
        half_width: h, relative, from the levelled rounds and what is not known of their levels:
            what a tolerance of 1 % refers to.
        drift: relative standard deviation between repeats at other times.
        p90_ms: 90th percentile of single runs, where there are enough of them to tell.
        rounds: rounds measured, tainted ones included.
        tainted: how many of them were tainted.
        status: ``ok``, ``unconverged``, ``unstable`` or ``failed``.
        reason: why the status is not ``ok``.
    """

    latency_ms: float
    low_ms: float
    high_ms: float
    half_width: float
    drift: float
    p90_ms: float | None
    rounds: int
    tainted: int
    status: Status
    reason: str | None

    @classmethod
    def failed(cls, reason: str) -> Estimate:
        """Return the estimate of what could not be timed: no number, and why."""
        nan = math.nan
        return cls(nan, nan, nan, nan, nan, None, 0, 0, "failed", reason)

    @classmethod
    def of(
        cls,
        rounds: Sequence[Round],
        protocol: Protocol,
        drift: float,
        steady: bool = True,
        levelling: Levelling = UNKNOWN_COMPANY,
    ) -> Estimate:
        """Return the estimate from all rounds of one subject.

        Args:
            rounds: raw rounds of all its processes, in any order.
            protocol: the protocol they were taken under.
            drift: relative standard deviation between repeats on this device, as
                :func:`~latbench.timing.drift.drift_of` gives it.
            steady: whether every process reached a steady state.
            levelling: what its processes did to it, as far as their other subjects tell.
        """
        if not rounds:
            return cls.failed("not one round was measured; give a larger budget")
        clean = [one for one in rounds if not one.taints]
        used = clean or rounds
        processes = levelled(by_process(used), levelling)
        quiet = levelling.quiet
        latency_ms = undisturbed_ms((one for group in processes.values() for one in group), quiet)
        deviations = NormalDist().inv_cdf((1 + protocol.confidence) / 2)
        resampled = (protocol.bootstrap, protocol.confidence, protocol.seed)
        spread = half_width(list(processes.values()), *resampled, quiet)
        h = math.hypot(spread, deviations * levelling.doubt)
        u = math.hypot(h, deviations * drift)
        unstable = _unstable(rounds, clean, protocol)
        unconverged = _unconverged(processes, h, steady, protocol)
        return cls(
            latency_ms=latency_ms,
            low_ms=latency_ms * max(0.0, 1 - u),
            high_ms=latency_ms * (1 + u),
            half_width=h,
            drift=drift,
            p90_ms=tail_quantile_ms(used, _P90),
            rounds=len(rounds),
            tainted=len(rounds) - len(clean),
            status="unstable" if unstable else "unconverged" if unconverged else "ok",
            reason="; ".join(unstable + unconverged) or None,
        )


def _unstable(rounds: Sequence[Round], clean: Sequence[Round], protocol: Protocol) -> list[str]:
    reasons = []
    tainted = len(rounds) - len(clean)
    if tainted > protocol.taint_limit * len(rounds):
        causes = sorted({cause for one in rounds for cause in one.taints})
        kept = "" if clean else ", so the estimate uses them all"
        share = f"{tainted} of {len(rounds)} rounds"
        reasons.append(f"{share} are tainted by {', '.join(causes)}{kept}")
    digests = [one.digest for one in clean or rounds]
    quiet = float(np.mean([one.quiet / one.samples for one in digests]))
    if quiet < LEAST_QUIET:
        reasons.append(f"the core was quiet for only {quiet:.0%} of the samples")
    return reasons


def _unconverged(
    processes: Mapping[str, list[Digest]], h: float, steady: bool, protocol: Protocol
) -> list[str]:
    reasons = []
    count = sum(len(group) for group in processes.values())
    if not steady:
        reasons.append("no steady state was reached")
    if len(processes) < protocol.processes:
        reasons.append(f"only {len(processes)} of {protocol.processes} processes gave clean rounds")
    if count < protocol.rounds_min:
        reasons.append(f"only {count} of {protocol.rounds_min} clean rounds were measured")
    if h > protocol.half_width:
        reasons.append(f"the half-width {h:.2%} is above {protocol.half_width:.2%}")
    return reasons
