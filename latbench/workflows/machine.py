"""How this machine is set up for timing: read from ``/proc`` and ``/sys``, changed in nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from latbench.devices import HostFacts
from latbench.devices.host import host_facts, read_text
from latbench.timing.counter_files import control_groups as control_groups
from latbench.workflows.checks import Check

UNTOLD = "not told"

CPU_SETTINGS = "sys/devices/system/cpu"


def settings(threads: int, root: Path = Path("/")) -> list[Check]:
    """Return a check of each setting that timing depends on.

    Args:
        threads: threads that are to be timed.
        root: the file tree to read.
    """
    cpus = sorted(os.sched_getaffinity(0))
    return [
        _governor(root, cpus),
        _turbo(root),
        _siblings(root),
        _affinity(cpus, threads),
        _quota(root, len(cpus), threads),
        _virtualisation(host_facts(root)),
        _power(root),
    ]


def _governor(root: Path, cpus: Sequence[int]) -> Check:
    files = (root / CPU_SETTINGS / f"cpu{cpu}/cpufreq/scaling_governor" for cpu in cpus)
    found = sorted({text for text in map(read_text, files) if text is not None})
    if not found:
        return Check("governor", None, UNTOLD)
    return Check(
        "governor",
        found == ["performance"],
        ", ".join(found),
        ""
        if found == ["performance"]
        else "keep clocks up between runs: sudo cpupower frequency-set -g performance",
    )


def _turbo(root: Path) -> Check:
    no_turbo = read_text(root / CPU_SETTINGS / "intel_pstate/no_turbo")
    boost = read_text(root / CPU_SETTINGS / "cpufreq/boost")
    if no_turbo is None and boost is None:
        return Check("turbo", None, UNTOLD)
    if no_turbo == "1" or (no_turbo is None and boost == "0"):
        return Check("turbo", True, "off")
    switch = f"echo 1 | sudo tee /{CPU_SETTINGS}/intel_pstate/no_turbo"
    if no_turbo is None:
        switch = f"echo 0 | sudo tee /{CPU_SETTINGS}/cpufreq/boost"
    return Check(
        "turbo",
        False,
        "on",
        f"clocks follow heat and load; for figures that are compared over days, {switch}",
    )


def _siblings(root: Path) -> Check:
    active = read_text(root / CPU_SETTINGS / "smt/active")
    if active is None:
        return Check("hardware threads", None, UNTOLD)
    if active == "0":
        return Check("hardware threads", True, "one a core")
    return Check(
        "hardware threads",
        False,
        "several a core",
        "what runs on the other thread of a core slows the one that is timed: keep one thread of "
        "each core with taskset -c",
    )


def _affinity(cpus: Sequence[int], threads: int) -> Check:
    value = f"{len(cpus)} of {os.cpu_count() or len(cpus)} CPUs"
    if len(cpus) > threads:
        return Check("affinity", True, value)
    return Check(
        "affinity",
        False,
        value,
        f"{threads} timed threads and latbench itself need {threads + 1} CPUs: widen the taskset, "
        "or time fewer threads",
    )


def _quota(root: Path, cpus: int, threads: int) -> Check:
    quotas = [quota for group in control_groups(root) if (quota := _group_quota(group)) is not None]
    if not quotas:
        return Check("CPU quota", True, "none")
    lowest = min(quotas)
    if lowest > min(threads, cpus):
        return Check("CPU quota", True, f"{lowest:g} CPUs")
    return Check(
        "CPU quota",
        False,
        f"{lowest:g} CPUs",
        f"the control group is stopped once it has used them: allow more than {threads}, such as "
        f"docker run --cpus {threads + 1}",
    )


def _group_quota(group: Path) -> float | None:
    """Return the CPUs that a control group may use, or None where it has no limit of its own."""
    both = (read_text(group / "cpu.max") or "").split()
    if len(both) != 2:
        both = [
            read_text(group / "cpu.cfs_quota_us") or "",
            read_text(group / "cpu.cfs_period_us") or "",
        ]
    quota, period = both
    if not (quota.isdigit() and period.isdigit()):  # "max", -1 or nothing
        return None
    return int(quota) / int(period)


def _virtualisation(host: HostFacts) -> Check:
    if host.hypervisor is None:
        return Check("virtualisation", True, "none told")
    return Check(
        "virtualisation",
        False,
        "a hypervisor without a name" if host.hypervisor == "unknown" else host.hypervisor,
        "other guests share this hardware unseen: for figures to publish take a machine, or cores, "
        "of your own",
    )


def _power(root: Path) -> Check:
    supplies = sorted((root / "sys/class/power_supply").glob("*/status"))
    states = {text for text in map(read_text, supplies) if text is not None}
    if "Discharging" in states:
        return Check("power", False, "battery", "clocks are kept low: plug it in")
    return Check("power", True, "mains" if states else "no battery")
