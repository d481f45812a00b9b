"""Device profiles, what this machine is, and which of the profiled devices are here.

A *device* is a model of hardware, described by ``device_profiles/<name>.yaml``. An *instance* is
one machine or card of it, known by its :class:`Fingerprint`.
"""

from latbench.devices.card_state import CardState, CardWatch, watch_card
from latbench.devices.catalogue import (
    DeviceProfile,
    Figure,
    Rate,
    Source,
    Statement,
    profile,
    profile_from_file,
    profiles,
)
from latbench.devices.driver import CardFacts
from latbench.devices.fingerprint import Fingerprint, board, cards, cpu
from latbench.devices.host import HostFacts
from latbench.devices.presence import present, require
from latbench.devices.visible import card_for, showing_only

__all__ = [
    "CardFacts",
    "CardState",
    "CardWatch",
    "DeviceProfile",
    "Figure",
    "Fingerprint",
    "HostFacts",
    "Rate",
    "Source",
    "Statement",
    "board",
    "card_for",
    "cards",
    "cpu",
    "present",
    "profile",
    "profile_from_file",
    "profiles",
    "require",
    "showing_only",
    "watch_card",
]
