"""Whether stored latencies still hold beside new ones of the same workloads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import stats

from latbench.store import MeasurementRow
from latbench.target import Target
from latbench.units import format_ms
from latbench.workflows.checks import Check

Verdict = Literal["holds", "changed", "stale", "unclear"]

_CHANCE = 0.05


@dataclass(frozen=True)
class Stored:
    """A stored latency: what it is of, the relative half-width of its interval, its status."""

    kind: str
    key: str
    latency_ms: float
    half_width: float
    status: str = "ok"


@dataclass(frozen=True)
class Comparison:
    """A stored latency beside a new one of the same workload.

    Attributes:
        kind: ``block`` or ``network``.
        key: the block's key, or the architecture.
        stored_ms: the stored latency.
        measured_ms: the new one; None where there is none.
        ratio: new over stored.
        low, high: the interval of the ratio.
        holds: whether the interval includes 1; None where that cannot be told.
        reason: why it cannot be told.
    """

    kind: str
    key: str
    stored_ms: float
    measured_ms: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    holds: bool | None = None
    reason: str = ""


def compare(stored: Stored, again: MeasurementRow | None) -> Comparison:
    """Return the comparison of a stored latency with a new measurement.

    The ratio's relative half-width is ``sqrt(u1^2 + u2^2)`` of those of the two latencies, which
    hold within-run noise and drift.

    Args:
        stored: the stored latency.
        again: the new measurement; None where latbench builds the workload otherwise now.
    """
    kept = (stored.kind, stored.key, stored.latency_ms)
    if again is None:
        return Comparison(*kept, reason="this latbench builds another graph for it")
    if again.latency_ms is None or again.low_ms is None or again.high_ms is None:
        return Comparison(*kept, reason=again.reason or again.status)
    ratio = again.latency_ms / stored.latency_ms
    width = math.hypot(stored.half_width, (again.high_ms - again.low_ms) / 2 / again.latency_ms)
    low, high = ratio * (1 - width), ratio * (1 + width)
    numbers = (again.latency_ms, ratio, low, high)
    if stored.status == "unstable":
        return Comparison(*kept, *numbers, reason="the stored latency is unstable")
    if again.status == "unstable":
        return Comparison(*kept, *numbers, reason=again.reason or again.status)
    return Comparison(*kept, *numbers, holds=low <= 1 <= high)


def judge(
    stored: Target,
    measured: Target,
    conditions: Mapping[str, tuple[str | None, str | None]],
    comparisons: Sequence[Comparison],
) -> tuple[Verdict, list[Check]]:
    """Return the verdict on a table, and all that led to it.

    Each comparison may miss by chance once in twenty times; the table is called changed where as
    many misses as there are come by chance less often than that (binomial): two of five, or one
    of one. Another runtime version, or one changed condition, makes it stale whatever the latencies
    say.

    Args:
        stored: the target of the stored latencies.
        measured: that of the new ones.
        conditions: by name, what held for the stored and what for the new ones; None where that is
            not known.
        comparisons: of the latencies.
    """
    version = _same("runtime version", stored.runtime_version, measured.runtime_version)
    same = [version, *(_same(name, *pair) for name, pair in conditions.items())]
    told = [one.holds for one in comparisons if one.holds is not None]
    misses = told.count(False)
    verdict: Verdict
    if any(check.ok is False for check in same):
        verdict = "stale"
    elif not told:
        verdict = "unclear"
    elif misses and stats.binom.sf(misses - 1, len(told), _CHANCE) <= _CHANCE:
        verdict = "changed"
    else:
        verdict = "holds"
    ok = {"holds": True, "unclear": None}.get(verdict, False)
    overall = Check("stored table", ok, _summary(verdict, misses, comparisons), _ADVICE[verdict])
    return verdict, [*same, *map(_in_words, comparisons), overall]


_ADVICE: dict[Verdict, str] = {
    "holds": "",
    "changed": "see `latbench doctor` for what disturbs this machine; if nothing does, measure "
    "into a new store with `latbench --store sqlite:///NEW.db profile`",
    "stale": "measure again with `latbench profile`; another runtime version is a target of its "
    "own, another processor or driver needs a store of its own; if a clock or a power cap was "
    "changed, set it back as it was (a processor's: `latbench doctor --tune`), or measure into a "
    "new store",
    "unclear": "see `latbench doctor` for what disturbs this machine",
}


def _same(name: str, before: str | None, now: str | None) -> Check:
    if before is None or now is None:
        return Check(name, None, "not told")
    if before == now:
        return Check(name, True, now)
    return Check(name, False, f"{before} stored, {now} here", "the stored latencies are another's")


def _in_words(one: Comparison) -> Check:
    name = f"{one.kind} {one.key}"
    if one.measured_ms is None or one.ratio is None or one.low is None or one.high is None:
        return Check(name, None, f"{format_ms(one.stored_ms)} stored", one.reason)
    value = (
        f"{format_ms(one.stored_ms)} stored, {format_ms(one.measured_ms)} now, ratio "
        f"{one.ratio:.3f} ({one.low:.3f} to {one.high:.3f})"
    )
    return Check(name, one.holds, value, one.reason)


def _summary(verdict: Verdict, misses: int, comparisons: Sequence[Comparison]) -> str:
    ratios = sorted(one.ratio for one in comparisons if one.ratio is not None)
    shift = f", median ratio {ratios[len(ratios) // 2]:.3f}" if ratios else ""
    return f"{verdict}: {misses} of {len(comparisons)} outside their interval{shift}"
