"""What a graphics card is doing at this moment, by NVML: its clock, its heat and what slows it.

It is read, and nothing is set, locked or reset.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from latbench.devices.catalogue import profile
from latbench.devices.visible import card_for

_MISSING = "the package nvidia-ml-py is not installed; run: pip install nvidia-ml-py"
# Bits of nvml.h, which the package has under two generations of names.
_SLOWDOWNS = {
    0x04: "software power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}
"""Reasons of a lowered clock that come from power or heat, and not from idling or a setting."""


@dataclass(frozen=True)
class CardState:
    """One reading; what the card does not tell is None.

    Attributes:
        driver: version of the driver.
        sm_clock_mhz: present clock of the multiprocessors; an idle card lowers it.
        sm_clock_set_mhz: the clock that is set for applications (``nvidia-smi -ac``).
        temperature_c: temperature of the chip.
        power_cap_w: the power it may draw.
        slowdowns: what holds its clock down now.
    """

    driver: str | None
    sm_clock_mhz: int | None
    sm_clock_set_mhz: int | None
    temperature_c: int | None
    power_cap_w: float | None
    slowdowns: tuple[str, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """Return the reading as what JSON can hold."""
        held = self.slowdowns
        return {**asdict(self), "slowdowns": None if held is None else list(held)}


class CardWatch:
    """Reads the state of one card, as often as it is asked to."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        """Watch the card with this ``handle`` of the module ``pynvml``, which was initialised."""
        self._nvml, self._handle = nvml, handle
        self._end = weakref.finalize(self, nvml.nvmlShutdown)

    def state(self) -> CardState:
        """Read everything."""
        nvml = self._nvml
        driver = self._told(nvml.nvmlSystemGetDriverVersion)
        cap_mw = self._told(nvml.nvmlDeviceGetEnforcedPowerLimit, self._handle)
        clock, heat = nvml.NVML_CLOCK_SM, nvml.NVML_TEMPERATURE_GPU
        return CardState(
            driver=None if driver is None else _text(driver),
            sm_clock_mhz=self._told(nvml.nvmlDeviceGetClockInfo, self._handle, clock),
            sm_clock_set_mhz=self._told(nvml.nvmlDeviceGetApplicationsClock, self._handle, clock),
            temperature_c=self._told(nvml.nvmlDeviceGetTemperature, self._handle, heat),
            power_cap_w=None if cap_mw is None else cap_mw / 1e3,
            slowdowns=self.slowdowns(),
        )

    def slowdowns(self) -> tuple[str, ...] | None:
        """Read what holds the clock down now; None where the card does not tell."""
        bits = self._told(self._nvml.nvmlDeviceGetCurrentClocksThrottleReasons, self._handle)
        if bits is None:
            return None
        return tuple(name for bit, name in _SLOWDOWNS.items() if bits & bit)

    def _told(self, read: Callable[..., Any], *what: Any) -> Any:
        try:
            return read(*what)
        # Cards of some kinds lack a sensor, a partitioned one hides it, old drivers lack the call,
        # and one that is lost tells nothing: the work on it fails then, not the look at it.
        except self._nvml.NVMLError:
            return None


def _text(told: str | bytes) -> str:
    """Return ``told`` as text; releases of NVML before 11.5 give bytes."""
    return told.decode() if isinstance(told, bytes) else told


def watch_card(device: str) -> tuple[CardWatch | None, str | None]:
    """Return what watches the card that ``device`` describes, or the reason why nothing does.

    Of several, it is the one that CUDA shows this process first, and that is measured therefore. A
    device that is no card has no reason.

    Raises:
        UsageError: there is no such profile.
    """
    sought = profile(device)
    if sought.kind != "gpu":
        return None, None
    try:
        import pynvml
    except ImportError:
        return None, _MISSING
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as failure:
        return None, f"NVML does not start ({failure}); nvidia-smi should list the card"
    card = card_for(device, os.environ)
    reason = f"NVML shows no {device}"
    try:
        for number in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(number)
            uuid = _text(pynvml.nvmlDeviceGetUUID(handle))
            is_it = card is None or card.uuid in (None, uuid)
            if is_it and sought.matches(_text(pynvml.nvmlDeviceGetName(handle))):
                return CardWatch(pynvml, handle), None
    except pynvml.NVMLError as failure:
        reason = f"NVML does not tell the cards ({failure}); nvidia-smi should list them"
    pynvml.nvmlShutdown()
    return None, reason
