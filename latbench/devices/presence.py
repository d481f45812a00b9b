"""Which instances of a device are here, and what to do where there is none."""

from __future__ import annotations

from pathlib import Path

from latbench.devices.catalogue import DeviceProfile, profile
from latbench.devices.fingerprint import Fingerprint, board, cards, cpu
from latbench.devices.visible import is_whole
from latbench.errors import UnavailableError

_REPORTED_BY = {"cpu": "the processor", "gpu": "the NVIDIA driver", "soc": "the device tree"}


def present(device: DeviceProfile, root: Path = Path("/")) -> list[Fingerprint]:
    """Return the instances of a device that this machine holds; none is an empty list."""
    if device.kind == "gpu":
        here, _ = cards(root)
    elif device.kind == "soc":
        found = board(root)
        here = [] if found is None else [found]
    else:
        here = [cpu(root)]
    return [instance for instance in here if device.matches(instance.name)]


def require(name: str, root: Path = Path("/")) -> Fingerprint:
    """Return the first instance of the device ``name`` on this machine that is not partitioned.

    Raises:
        UsageError: there is no such device.
        UnavailableError: it is not here; the text says what was looked for, what is here, and the
            two ways on. Or it is here in slices.
    """
    device = profile(name)
    instances = present(device, root)
    whole = [one for one in instances if one.card is None or is_whole(one.card.mig)]
    if whole:
        return whole[0]
    if instances:
        raise UnavailableError(
            f"the {name} here is split into slices (MIG), which are no {name} and would be taken "
            "for one; make it whole (sudo nvidia-smi -mig 0), or measure on a card that is"
        )
    sought = " or ".join(f"/{pattern}/" for pattern in device.reported_names)
    raise UnavailableError(
        f"no {name} here: looked for {sought} in the name that {_REPORTED_BY[device.kind]} "
        f"reports; here is {_inventory(root)}. Run latbench on a machine that has a {name}, or "
        "reach one in a farm, which comes through --executor ray://HOST:PORT"
    )


def _inventory(root: Path) -> str:
    gpus, reason = cards(root)
    found = board(root)
    parts = [f"the processor {cpu(root).label}"]
    parts += [f"the board {found.label}"] if found is not None else []
    parts += [f"the GPU {gpu.label}" for gpu in gpus] or [f"no NVIDIA GPU ({reason})"]
    return ", ".join(parts)
