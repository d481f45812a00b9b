"""Tuning: sets what keeps clocks steady, if the user asks and the kernel lets it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from latbench.workflows.checks import Check
from latbench.workflows.machine import CPU_SETTINGS


def tune(root: Path = Path("/")) -> list[Check]:
    """Set the governor to performance and turbo off, and return what came of it.

    What is already so is left alone. Each check says how it was before, which is all that is
    needed to undo it. A setting that this machine does not have is not mentioned.
    """
    checks = []
    for path, wanted in _settings(root):
        before = path.read_text(encoding="ascii").strip()
        if before != wanted:
            checks.append(_write(path, before, wanted, root))
    return checks or [Check("tune", True, "nothing to change")]


def _settings(root: Path) -> Iterator[tuple[Path, str]]:
    base = root / CPU_SETTINGS
    for cpu in sorted(os.sched_getaffinity(0)):
        yield from _there(base / f"cpu{cpu}/cpufreq/scaling_governor", "performance")
    pstate = list(_there(base / "intel_pstate/no_turbo", "1"))
    # Both name the same switch where both exist.
    yield from pstate or _there(base / "cpufreq/boost", "0")


def _there(path: Path, wanted: str) -> Iterator[tuple[Path, str]]:
    if path.is_file():
        yield path, wanted


def _write(path: Path, before: str, wanted: str, root: Path) -> Check:
    shown = f"/{path.relative_to(root)}"
    try:
        path.write_text(wanted, encoding="ascii")
    except OSError as failure:
        reason = f"{shown} stays {before}: {failure.strerror}"
        return Check("tune", False, reason, "run it as root on the machine itself")
    return Check("tune", True, f"{shown}: {before} -> {wanted}; undo by writing {before} to it")
