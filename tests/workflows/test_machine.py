"""What the doctor reads of a machine's settings, from file trees made for the test."""

import os
from pathlib import Path

import pytest

from latbench.workflows.checks import Check
from latbench.workflows.machine import settings

CPU = "sys/devices/system/cpu"
FIRST = min(os.sched_getaffinity(0))


def check(root: Path, name: str, threads: int = 1) -> Check:
    """Return one check of the machine below ``root``."""
    (found,) = (one for one in settings(threads, root) if one.name == name)
    return found


def write(root: Path, path: str, text: str) -> None:
    """Write a file of the tree."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="ascii")


@pytest.mark.parametrize("name", ["governor", "turbo", "hardware threads"])
def test_what_is_not_told_is_neither_good_nor_bad(tmp_path: Path, name: str) -> None:
    """Without its file a setting cannot be told."""
    assert check(tmp_path, name).ok is None


@pytest.mark.parametrize(
    ("name", "path", "text", "ok"),
    [
        ("governor", f"{CPU}/cpu{FIRST}/cpufreq/scaling_governor", "performance\n", True),
        ("governor", f"{CPU}/cpu{FIRST}/cpufreq/scaling_governor", "powersave\n", False),
        ("turbo", f"{CPU}/intel_pstate/no_turbo", "1\n", True),
        ("turbo", f"{CPU}/intel_pstate/no_turbo", "0\n", False),
        ("turbo", f"{CPU}/cpufreq/boost", "0\n", True),
        ("turbo", f"{CPU}/cpufreq/boost", "1\n", False),
        ("hardware threads", f"{CPU}/smt/active", "0\n", True),
        ("hardware threads", f"{CPU}/smt/active", "1\n", False),
        ("virtualisation", "sys/hypervisor/type", "xen\n", False),
        ("power", "sys/class/power_supply/BAT0/status", "Discharging\n", False),
        ("power", "sys/class/power_supply/BAT0/status", "Full\n", True),
        ("CPU quota", "sys/fs/cgroup/cpu.max", "max 100000\n", True),
        ("CPU quota", "sys/fs/cgroup/cpu.max", "50000 100000\n", False),
        ("CPU quota", "sys/fs/cgroup/cpu.max", "6400000 100000\n", True),
    ],
)
def test_a_setting_is_judged(tmp_path: Path, name: str, path: str, text: str, ok: bool) -> None:
    """What disturbs timing is not ok and has advice; what does not has none."""
    write(tmp_path, "proc/self/cgroup", "0::/\n")
    write(tmp_path, path, text)
    found = check(tmp_path, name)
    assert found.ok is ok
    assert bool(found.advice) is not ok


def test_the_lowest_quota_of_all_groups_counts(tmp_path: Path) -> None:
    """A group is stopped by its own quota and by that of each group above it."""
    write(tmp_path, "proc/self/cgroup", "0::/outer/inner\n")
    write(tmp_path, "sys/fs/cgroup/outer/cpu.max", "150000 100000\n")
    write(tmp_path, "sys/fs/cgroup/outer/inner/cpu.max", "400000 100000\n")
    assert check(tmp_path, "CPU quota").value == "1.5 CPUs"
    assert check(tmp_path, "CPU quota").ok is True
    assert check(tmp_path, "CPU quota", threads=2).ok is False


def test_an_old_control_group_has_a_quota_too(tmp_path: Path) -> None:
    """The first generation of control groups writes quota and period into two files."""
    write(tmp_path, "proc/self/cgroup", "4:cpu,cpuacct:/box\n")
    write(tmp_path, "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "50000\n")
    write(tmp_path, "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n")
    assert check(tmp_path, "CPU quota").value == "0.5 CPUs"


def test_more_threads_than_processors_are_refused(tmp_path: Path) -> None:
    """latbench needs a processor beside those that are timed."""
    cpus = len(os.sched_getaffinity(0))
    assert check(tmp_path, "affinity", threads=cpus).ok is False
    assert check(tmp_path, "affinity", threads=cpus - 1).ok is True
