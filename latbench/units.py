"""Quantities as people write them: durations (``5ms``, ``800us``), memory (``8GiB``)."""

import math
import re

from latbench.errors import UsageError

_MS_PER_UNIT = {
    "ns": 1e-6,
    "us": 1e-3,
    "µs": 1e-3,
    "μs": 1e-3,
    "ms": 1.0,
    "s": 1e3,
    "min": 6e4,
    "h": 3.6e6,
}
_BYTES_PER_UNIT = {
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_MEMORY = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*([a-zA-Z]*)\s*")
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([a-zµμ]*)\s*")


def parse_ms(text: str) -> float:
    """Return the duration ``text`` in milliseconds.

    Raises:
        UsageError: no unit, an unknown unit, no number, or a value that is not above zero.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a duration; write a number and a unit, such as 5ms")
    number, unit = match.groups()
    if not unit:
        raise UsageError(f"{text!r} has no unit; write {number}ms, {number}us or {number}s")
    if unit not in _MS_PER_UNIT:
        raise UsageError(
            f"{text!r} has the unknown unit {unit!r}; use one of ns, us, ms, s, min, h"
        )
    value_ms = float(number) * _MS_PER_UNIT[unit]
    if not value_ms > 0:
        raise UsageError(f"{text!r} is not above zero; a duration must be a positive number")
    if math.isinf(value_ms):
        raise UsageError(f"{text!r} is too large for a duration; write a smaller number")
    return value_ms


def format_ms(latency_ms: float) -> str:
    """Return a latency with four significant digits in the unit that suits it."""
    if latency_ms < 1:
        return f"{latency_ms * 1e3:.4g} us"
    if latency_ms >= 9999.5:
        return f"{latency_ms / 1e3:.4g} s"
    return f"{latency_ms:.4g} ms"


def parse_bytes(text: str) -> int:
    """Return the amount of memory ``text`` in bytes.

    Raises:
        UsageError: no unit, an unknown unit, no number, or less than one byte.
    """
    match = _MEMORY.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not an amount of memory; write a number and a unit, such as 8GiB"
        )
    number, unit = match.groups()
    if not unit:
        raise UsageError(f"{text!r} has no unit; write {number}GiB or {number}MiB")
    if unit not in _BYTES_PER_UNIT:
        known = ", ".join(_BYTES_PER_UNIT)
        raise UsageError(f"{text!r} has the unknown unit {unit!r}; use one of {known}")
    size = float(number) * _BYTES_PER_UNIT[unit]
    if not 1 <= size < math.inf:
        raise UsageError(f"{text!r} is not an amount of memory; write one such as 8GiB")
    return int(size)


def format_bytes(size: int) -> str:
    """Return ``size`` bytes with three significant digits in MiB or GiB."""
    return f"{size / 2**30:.3g} GiB" if size >= 2**30 else f"{size / 2**20:.3g} MiB"
