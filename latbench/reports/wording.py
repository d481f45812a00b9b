"""Numbers as a reader meets them: with a unit, and in words where there is none to show."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from latbench.units import format_ms

ABSENT = "not measured"
"""Stands where a number would; nothing unknown is ever shown as 0."""

NOT_PREDICTED = "not predicted"

NBSP = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
_DIGITS = 4


def finite(value: float | None) -> float | None:
    """Return the number, or None where there is none to show: for NaN and infinities too."""
    return value if value is not None and math.isfinite(value) else None


def latency(value_ms: float | None, absent: str = ABSENT) -> str:
    """Return a latency with four significant digits in the unit that suits it."""
    value = finite(value_ms)
    if value is None:
        return absent
    text = format_ms(abs(value)).replace(" us", " µs").replace(" ", NBSP)
    return f"{_MINUS}{text}" if value < 0 else text


def interval(low_ms: float | None, high_ms: float | None) -> str | None:
    """Return an interval, each end with its unit; None unless both ends are known."""
    if finite(low_ms) is None or finite(high_ms) is None:
        return None
    return f"{latency(low_ms)} to {latency(high_ms)}"


def measured(value_ms: float | None, low_ms: float | None, high_ms: float | None) -> str:
    """Return a latency with its interval in brackets, or that the interval is not known."""
    if finite(value_ms) is None:
        return ABSENT
    return f"{latency(value_ms)} ({interval(low_ms, high_ms) or 'interval not known'})"


def percent(value: float | None, absent: str = ABSENT) -> str:
    """Return a percentage with two digits below 10 and three above, at most two after the point."""
    known = finite(value)
    if known is None:
        return absent
    size = abs(known)
    digits = f"{round(size, 2):.2g}" if size < 9.95 else f"{size:.1f}".removesuffix(".0")
    sign = _MINUS if known < 0 and float(digits) else ""
    return f"{sign}{digits}{NBSP}%"


def share(value: float | None, absent: str = ABSENT) -> str:
    """Return a share of 1, such as an accuracy, in percent with one decimal."""
    known = finite(value)
    return absent if known is None else f"{100 * known:.1f}{NBSP}%"


def correlation(value: float | None) -> str:
    """Return a rank correlation, which is not defined where all latencies are the same."""
    known = finite(value)
    return "not defined" if known is None else f"{known:.3f}".replace("-", _MINUS)


def count(n: int, noun: str) -> str:
    """Return ``n`` with its noun: 1 network, 2 networks."""
    return f"{n}{NBSP}{noun}" if n == 1 else f"{n}{NBSP}{noun}s"


@dataclass(frozen=True)
class Unit:
    """One unit for all numbers of a chart or a table, so that they can be compared by eye.

    Attributes:
        name: ``µs``, ``ms`` or ``s``.
        per_ms: how many of it a millisecond has.
        decimals: of the numbers in a table.
    """

    name: str
    per_ms: float
    decimals: int

    @classmethod
    def of(cls, values_ms: Iterable[float | None]) -> Unit:
        """Return the unit that suits the largest of ``values_ms``, with four digits for it."""
        sizes = [abs(value) for one in values_ms if (value := finite(one))]
        largest = max(sizes, default=1.0)
        name, per_ms = ("µs", 1e3) if largest < 1 else ("ms", 1.0) if largest < 1e4 else ("s", 1e-3)
        before_point = math.floor(math.log10(largest * per_ms)) + 1
        return cls(name, per_ms, min(max(_DIGITS - before_point, 0), _DIGITS))

    def value(self, value_ms: float | None) -> float | None:
        """Return the latency in this unit, None if it is not known."""
        known = finite(value_ms)
        return None if known is None else known * self.per_ms

    def values(self, values_ms: Iterable[float | None]) -> list[float | None]:
        """Return the latencies in this unit, None where one is not known."""
        return [self.value(value) for value in values_ms]

    def text(self, value_ms: float | None, absent: str = ABSENT) -> str:
        """Return the latency in this unit without its name, for a column that names it."""
        value = self.value(value_ms)
        return absent if value is None else f"{value:.{self.decimals}f}".replace("-", _MINUS)
