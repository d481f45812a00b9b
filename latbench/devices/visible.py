"""Which cards a process may use: what CUDA_VISIBLE_DEVICES makes of those that the driver lists.

nvidia-smi, NVML and latbench's fingerprints know all cards; CUDA shows a process some of them, in
another order unless CUDA_DEVICE_ORDER says otherwise. Both must mean the same card, or a latency
would be stored under the name of another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from latbench.devices.catalogue import profile
from latbench.devices.driver import Card, read_cards

_SHOWN, _ORDER, _BUS = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "PCI_BUS_ID"


def visible(cards: Sequence[Card], environ: Mapping[str, str]) -> tuple[list[Card], str | None]:
    """Return which of ``cards`` a process with ``environ`` sees, and why where it sees none.

    Cards are named by their place among those that nvidia-smi lists, or by the beginning of their
    UUID; as CUDA does, what follows an entry that names none is left out.
    """
    listed = environ.get(_SHOWN)
    if listed is None or not cards:
        return list(cards), None
    entries = [entry.strip() for entry in listed.split(",")]
    numbered = any(entry.isdigit() for entry in entries)
    alike = len({card.name for card in cards}) == 1
    if numbered and not alike and environ.get(_ORDER) != _BUS:
        return [], (
            f"{_SHOWN}={listed} numbers cards of several models, which CUDA does in an order of "
            f"its own; set {_ORDER}={_BUS} too, or name them by UUID, as nvidia-smi -L lists them"
        )
    found: list[Card] = []
    for entry in entries:
        named = _named(entry, cards)
        if named is None:
            break
        found.append(named)
    if found:
        return found, None
    return [], (
        f"{_SHOWN}={listed!r} shows none of the {len(cards)} here; slices of a card (MIG) are not "
        "measured"
    )


def _named(entry: str, cards: Sequence[Card]) -> Card | None:
    if entry.isdigit():
        return cards[int(entry)] if int(entry) < len(cards) else None
    found = [card for card in cards if entry and (card.uuid or "").startswith(entry)]
    return found[0] if len(found) == 1 else None


def is_whole(mig: str | None) -> bool:
    """Return whether a card with this partitioning (MIG) is used as a whole."""
    return mig != "Enabled"


def card_for(device: str, environ: Mapping[str, str]) -> Card | None:
    """Return the card that a process with ``environ`` measures ``device`` on; None for no card.

    Raises:
        UsageError: there is no such profile.
    """
    sought = profile(device)
    if sought.kind != "gpu":
        return None
    shown, _ = visible(read_cards()[0], environ)
    whole = (card for card in shown if sought.matches(card.name) and is_whole(card.facts.mig))
    return next(whole, None)


def showing_only(device: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return variables that let CUDA show a process the card of ``device`` and no other.

    Whatever library numbers cards, number 0 is then this one. Nothing for what is no card.
    """
    card = card_for(device, environ)
    if card is None or card.uuid is None:
        return {}
    return {_ORDER: _BUS, _SHOWN: card.uuid}
