"""Where and how a measurement was taken; never a host name or a path."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from latbench.devices import card_for, watch_card
from latbench.target import Target
from latbench.version import current_version

_PACKAGES = (
    "numpy",
    "nvidia-ml-py",
    "onnx",
    "onnxruntime",
    "openvino",
    "pycuda",
    "tensorrt",
    "torch",
)
SCHEMA = 1


def provenance(target: Target) -> dict[str, Any]:
    """Return what a later reader needs to judge a measurement taken now, as JSON values.

    Facts of the machine itself are kept once, with its instance.
    """
    return {
        "schema": SCHEMA,
        "latbench": current_version(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
        "target": target.to_dict(),
        "affinity": sorted(os.sched_getaffinity(0)),
        "load": list(os.getloadavg()),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "turbo_off": _read("/sys/devices/system/cpu/intel_pstate/no_turbo"),
        **_card(target.device),
    }


def _card(device: str) -> dict[str, Any]:
    """Return the state of the card that the target runs on, or its driver and why no more."""
    watch, reason = watch_card(device)
    if watch is not None:
        return {"card": watch.state().to_dict()}
    if reason is None:
        return {}
    card = card_for(device, os.environ)
    return {"card": {"untold": reason, "driver": None if card is None else card.facts.driver}}


@cache
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return None
