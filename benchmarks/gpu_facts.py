"""What the card of a data set tells of the graphics card that measured it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from latbench.units import format_bytes

Facts = dict[str, str]
"""Words by what they are about."""


def of_instance(facts: Mapping[str, Any]) -> Facts:
    """Return what an instance's facts hold of its card; nothing for what is no card."""
    card = facts.get("card") or {}
    ways: dict[str, tuple[str, Callable[[Any], str]]] = {
        "compute capability": ("compute_capability", str),
        "memory of the card": ("memory_bytes", format_bytes),
        "highest clock of the card": ("max_sm_clock_mhz", lambda mhz: f"{mhz:g} MHz"),
        "error correction (ECC)": ("ecc", str),
    }
    return {
        name: in_words(card[key])
        for name, (key, in_words) in ways.items()
        if card.get(key) is not None
    }


def of_processes(provenances: Iterable[Mapping[str, Any]]) -> Facts:
    """Return what the processes that measured told of the card's state; nothing if there is none.

    Args:
        provenances: of each measurement.
    """
    cards = [told["card"] for told in provenances if told.get("card")]
    if not cards:
        return {}
    known = [card for card in cards if "untold" not in card]
    untold = sorted({str(card["untold"]) for card in cards if "untold" in card})
    return {
        "driver": _each(card.get("driver") for card in cards),
        "power cap": _each(_watts(card.get("power_cap_w")) for card in known),
        "clock set for applications": _each(_mhz(card.get("sm_clock_set_mhz")) for card in known),
        "clock of the card in MHz": _spread(card.get("sm_clock_mhz") for card in known),
        "temperature in °C": _spread(card.get("temperature_c") for card in known),
        "what slowed the card": _slowdowns([card.get("slowdowns") for card in known]),
        **({"state of the card": f"not told: {'; '.join(untold)}"} if untold else {}),
    }


def _watts(value: float | None) -> str | None:
    return None if value is None else f"{value:g} W"


def _mhz(value: float | None) -> str | None:
    return None if value is None else f"{value:g} MHz"


def _each(values: Iterable[str | None]) -> str:
    return "; ".join(sorted({value for value in values if value is not None})) or "not told"


def _spread(values: Iterable[float | None]) -> str:
    told = [value for value in values if value is not None]
    if not told:
        return "not told"
    return f"least {min(told):g}, median {median(told):g}, greatest {max(told):g}"


def _slowdowns(told: Sequence[Sequence[str] | None]) -> str:
    """Return what held the clock down, with the measurements that say so."""
    known = [held for held in told if held is not None]
    if not known:
        return "not told"
    names = sorted({name for held in known for name in held})
    counts = (f"{name} ({sum(name in held for held in known)} of {len(known)})" for name in names)
    return ", ".join(counts) or "nothing"
