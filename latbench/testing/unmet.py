"""Latency penalties with a target that no network meets."""

from __future__ import annotations

import inspect

from latbench.hooks.penalties import PENALTIES, Penalty, penalty, unit_below

__all__ = ["unmet"]


def unmet(name: str, fastest_ms: float) -> Penalty:
    """Return the penalty called ``name`` with half of ``fastest_ms`` as its reference.

    Raises:
        UsageError: there is no such penalty.
    """
    settings = {"reference_ms": 0.5 * fastest_ms, "unit_ms": unit_below(0.5 * fastest_ms)}
    takes = inspect.signature(PENALTIES[name]).parameters if name in PENALTIES else {}
    made = penalty(name, **{key: value for key, value in settings.items() if key in takes})
    made.check(fastest_ms)
    return made
