"""Taints: what disturbed a round, told by counters and never by its times."""

from __future__ import annotations

from dataclasses import dataclass, fields

STEAL = "steal"
THROTTLED = "cgroup-throttled"
CORE_THROTTLED = "core-throttled"
SWITCHED = "switched-out"
PRESSURE = "cpu-pressure"
CARD_SLOWED = "card-slowed"
LAUNCHES_SHOWN = "launches-shown"
"""A device waited for the host within a sample of a clock that leaves the host out."""

_SWITCHES_PER_MS = 0.1
_PRESSURE_SHARE = 0.05


@dataclass(frozen=True)
class Counters:
    """Readings that only ever grow; ``None`` where the system does not tell.

    Attributes:
        steal_ticks: time the hypervisor withheld our CPUs. A tick is 10 ms, so it is told late:
            the round in which it shows may have lost little, and an earlier one the rest.
        throttled: periods in which a quota stopped this control group or one above it.
        core_throttles: times our cores were slowed for heat or power.
        switches: involuntary context switches of all threads of this process.
        pressure_us: microseconds in which some task of this control group, or of the whole system
            where groups are not told apart, waited for a CPU.
        card_slowdowns: times the graphics card was found slowed for heat or power.
    """

    steal_ticks: int | None = None
    throttled: int | None = None
    core_throttles: int | None = None
    switches: int | None = None
    pressure_us: int | None = None
    card_slowdowns: int | None = None

    def readable(self) -> tuple[str, ...]:
        """Return the names of the counters that the system tells."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not None)


def causes(before: Counters, after: Counters, elapsed_ms: float) -> tuple[str, ...]:
    """Return what disturbed the time between two readings; a missing counter judges nothing.

    Steal, throttled quotas, and cores and cards that were slowed taint at the first count;
    involuntary switches above one in 10 ms, but never a single one; CPU pressure above 5 % of the
    time.
    """
    limits = (
        (STEAL, before.steal_ticks, after.steal_ticks, 0.0),
        (THROTTLED, before.throttled, after.throttled, 0.0),
        (CORE_THROTTLED, before.core_throttles, after.core_throttles, 0.0),
        (SWITCHED, before.switches, after.switches, max(1.0, _SWITCHES_PER_MS * elapsed_ms)),
        (PRESSURE, before.pressure_us, after.pressure_us, _PRESSURE_SHARE * elapsed_ms * 1e3),
        (CARD_SLOWED, before.card_slowdowns, after.card_slowdowns, 0.0),
    )
    return tuple(
        cause
        for cause, first, second, limit in limits
        if first is not None and second is not None and second - first > limit
    )
