"""What one machine, card or board is, without saying whose or where it is."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from latbench.devices.driver import Card, CardFacts, read_cards
from latbench.devices.host import HostFacts, host_facts, read_text
from latbench.devices.visible import visible
from latbench.errors import ArtefactError

# Hardware, not software: an update of microcode or kernel leaves a machine the same instance.
_IDENTIFYING = (
    "model_name",
    "vendor",
    "family",
    "model",
    "stepping",
    "physical_cores",
    "logical_cores",
    "sockets",
    "l1d_bytes",
    "l2_bytes",
    "l3_bytes",
)


@dataclass(frozen=True)
class Fingerprint:
    """The facts of one device instance.

    Attributes:
        kind: ``cpu``, ``gpu`` or ``soc``.
        name: what the CPU, the graphics driver or the board calls itself.
        instance: names this machine, card or board, and no other, in stored measurements.
        host: the machine that the device is in.
        card: the card; None unless ``kind`` is ``gpu``.

    ``instance`` is an HMAC-SHA256 of the facts that identify the hardware, cut to 64 bits. Its key
    is what the machine has of its own: the machine id (``/etc/machine-id``), the serial number in
    the device tree and, for a card, its UUID. None of these can be read back from the hash, and
    the same machine has the same instance in every container that is given its machine id. Where
    a machine has none of its own, such as in a container without machine id, equal hardware gives
    equal instances.
    """

    kind: Literal["cpu", "gpu", "soc"]
    name: str
    instance: str
    host: HostFacts
    card: CardFacts | None = None

    @property
    def label(self) -> str:
        """The instance on one line, for people."""
        cores = self.host.physical_cores
        counted = f", cores: {cores}" if self.kind == "cpu" and cores is not None else ""
        return f"{self.name}{counted} ({self.instance})"

    def to_dict(self) -> dict[str, Any]:
        """Return the fingerprint as JSON-ready values."""
        data = dataclasses.asdict(self)
        data["host"]["instruction_sets"] = list(self.host.instruction_sets)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Fingerprint:
        """Return the fingerprint that :meth:`to_dict` wrote.

        Raises:
            ArtefactError: a field is missing or unknown.
        """
        try:
            host = {**data["host"], "instruction_sets": tuple(data["host"]["instruction_sets"])}
            card = None if data["card"] is None else CardFacts(**data["card"])
            return cls(**{**data, "host": HostFacts(**host), "card": card})
        except (KeyError, TypeError) as failure:
            raise ArtefactError(
                f"not a fingerprint of this version of latbench ({failure}); measure again"
            ) from failure


def cpu(root: Path = Path("/")) -> Fingerprint:
    """Return the fingerprint of this machine's processor."""
    host = host_facts(root)
    name = host.model_name or "a processor without a name"
    return Fingerprint("cpu", name, _instance("cpu", name, _own(root), host), host)


def board(root: Path = Path("/")) -> Fingerprint | None:
    """Return the fingerprint of the board that this machine is; None where it is not one."""
    name = read_text(root / "proc/device-tree/model")
    if name is None:
        return None
    host = host_facts(root)
    return Fingerprint("soc", name, _instance("soc", name, _own(root), host), host)


def cards(root: Path = Path("/")) -> tuple[list[Fingerprint], str | None]:
    """Return a fingerprint for each NVIDIA card that CUDA may use, and why where there is none."""
    found, reason = read_cards()
    shown, hidden = visible(found, os.environ)
    host = host_facts(root)
    own = _own(root)
    # By its place among all: what a process is shown makes no other card.
    places = {id(card): place for place, card in enumerate(found)}
    return [_card(card, places[id(card)], own, host) for card in shown], reason or hidden


def _card(card: Card, position: int, own: str, host: HostFacts) -> Fingerprint:
    if card.uuid is None:
        instance = _instance("gpu", card.name, f"{own} {position}", host)
    else:  # Without the host: a card stays the same instance when it moves to another machine.
        instance = _instance("gpu", card.name, card.uuid, None)
    return Fingerprint("gpu", card.name, instance, host, card.facts)


def _own(root: Path) -> str:
    """Return what only this machine has; images of memory cards share their machine id."""
    machine_id = read_text(root / "etc/machine-id") or ""
    serial = read_text(root / "proc/device-tree/serial-number") or ""
    # systemd writes "uninitialized" before the first boot.
    return (machine_id if re.fullmatch("[0-9a-f]{32}", machine_id) else "") + serial


def _instance(kind: str, name: str, own: str, host: HostFacts | None) -> str:
    facts = {field: getattr(host, field) for field in _IDENTIFYING} if host is not None else {}
    message = json.dumps([kind, name, facts], sort_keys=True)
    key = f"latbench instance 1 {own}"
    return "i1:" + hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()[:16]
