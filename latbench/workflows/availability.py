"""Which devices are here, and which runtimes work for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from latbench import devices, registry
from latbench.devices import DeviceProfile, Fingerprint
from latbench.errors import UnavailableError
from latbench.runtimes import Runtime


@dataclass(frozen=True)
class RuntimeState:
    """A runtime for one device: ``reason`` says why it does not work here, if it does not."""

    name: str
    available: bool
    reason: str | None


@dataclass(frozen=True)
class DeviceState:
    """A device: its profile, the instances that are here, and its runtimes."""

    profile: DeviceProfile
    instances: Sequence[Fingerprint]
    runtimes: Sequence[RuntimeState]


def device_states() -> list[DeviceState]:
    """Return every device that has a profile; those that are here come first.

    A runtime works for a device only where the device is.
    """
    gpus, _ = devices.cards()
    board = devices.board()
    inventory: Mapping[str, Sequence[Fingerprint]] = {
        "cpu": [devices.cpu()],
        "gpu": gpus,
        "soc": [] if board is None else [board],
    }
    states = []
    for profile in devices.profiles().values():
        here = [one for one in inventory[profile.kind] if profile.matches(one.name)]
        states.append(DeviceState(profile, here, _runtimes(profile, bool(here))))
    return sorted(states, key=lambda state: not state.instances)


def _runtimes(profile: DeviceProfile, here: bool) -> list[RuntimeState]:
    states = []
    for name in profile.runtimes:
        reason = obstacle(name, profile)
        if reason is None and not here:
            reason = f"there is no {profile.name} here"
        states.append(RuntimeState(name, reason is None, reason))
    return states


def obstacle(name: str, profile: DeviceProfile) -> str | None:
    """Return why the runtime ``name`` cannot serve a device on this machine, or None."""
    if name not in registry.names(registry.RUNTIMES):
        return "not part of this version of latbench"
    runtime: Runtime = registry.load(registry.RUNTIMES, name)()
    # A runtime of the processor would measure the wrong thing under the name of a GPU.
    if profile.kind not in runtime.device_kinds:
        return f"it does not run on a device of the kind {profile.kind!r}"
    return runtime.available_on(profile.name)


def runtime_for(name: str | None, device: str) -> Runtime:
    """Return the runtime ``name``, or without a name the first of the device's that works.

    Raises:
        PluginError: an unknown runtime.
        UnavailableError: it does not work for this device here; the text says why.
    """
    profile = devices.profile(device)
    if name is not None:
        registry.load(registry.RUNTIMES, name)  # refuses a name that nothing is registered under
    reasons = []
    for candidate in profile.runtimes if name is None else (name,):
        reason = obstacle(candidate, profile)
        if reason is None:
            found: Runtime = registry.load(registry.RUNTIMES, candidate)()
            return found
        reasons.append(f"{candidate}: {reason}")
    raise UnavailableError(f"no runtime for {device} works here: {'; '.join(reasons)}")
