"""The target of somebody's table, as far as it is stated, and what may be predicted with it."""

from __future__ import annotations

import dataclasses

from latbench.target import Target
from latbench.workflows.setting import Setting

UNKNOWN = "unknown"
"""What stands for a device, a runtime or a version that was not stated."""


def stated(setting: Setting) -> Target:
    """Return the target that a table was measured on, as far as the options tell."""
    return Target(
        device=UNKNOWN if setting.any_device else setting.device,
        runtime=setting.runtime or UNKNOWN,
        runtime_version=UNKNOWN,
        precision=setting.precision,
        batch=setting.batch,
        threads=setting.threads,
        options=setting.runtime_options,
    )


def serves(target: Target, wanted: Target) -> bool:
    """Return whether predictions for ``target`` are predictions for ``wanted``.

    All of it must be equal, but for what nobody can state of a table: the version of its runtime,
    and what the clock covered. A device or a runtime that was not stated is no other's.
    """
    if target.runtime_version == UNKNOWN:
        wanted = dataclasses.replace(wanted, runtime_version=UNKNOWN, mode=target.mode)
    return target == wanted


def unstated(target: Target) -> list[str]:
    """Return a sentence on what is not known of ``target``, if anything is not."""
    parts = {
        "the device": target.device,
        "the runtime": target.runtime,
        "the version of the runtime": target.runtime_version,
    }
    unknown = [name for name, value in parts.items() if value == UNKNOWN]
    if not unknown:
        return []
    listed = " and ".join([", ".join(unknown[:-1]), unknown[-1]] if unknown[1:] else unknown)
    return [
        f"nobody stated {listed} that the predictor's latencies are of; another may be faster or "
        "slower"
    ]
