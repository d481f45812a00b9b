"""Doctor: how noisy this machine is, and what to change; :mod:`.tuning` changes it."""

from __future__ import annotations

from pathlib import Path

from latbench.devices.host import read_text
from latbench.profiling.sweep import Instance
from latbench.target import Target
from latbench.timing import HostClock
from latbench.workflows import repeatability
from latbench.workflows.checks import Check
from latbench.workflows.contention import contention
from latbench.workflows.disturbance import watch
from latbench.workflows.machine import settings
from latbench.workflows.progress import Progress, silent

_WATCH_S = 2.0
# A clock that errs by more would need many runs in a sample of a block of a few microseconds.
_CLOCK_NS = 1000.0


def doctor(
    target: Target,
    instance: Instance,
    seconds: float = 20.0,
    progress: Progress = silent,
    root: Path = Path("/"),
) -> list[Check]:
    """Return what was found, in the order in which to look at it.

    Args:
        target: what the repeatability is measured on.
        instance: this machine.
        seconds: how long to measure repeatability and drift; two processes whatever it says.
        progress: shows how far it is.
        root: the file tree to read settings and counters from.
    """
    return [
        *_clock(root),
        *watch(min(_WATCH_S, seconds), root),
        contention(min(_WATCH_S, seconds)),
        *settings(target.threads, root),
        *repeatability.judge(repeatability.repeat(target, instance, seconds, progress)),
    ]


def _clock(root: Path) -> list[Check]:
    clock = HostClock()
    name = read_text(root / "sys/devices/system/clocksource/clocksource0/current_clocksource")
    source = f" (clock source {name})" if name else ""
    mend = "the kernel has fallen back on a slow clock: see clocksource= in its parameters"
    checks = []
    for what, found_ns in (("resolution", clock.resolution_ns), ("overhead", clock.overhead_ns)):
        ok = found_ns <= _CLOCK_NS
        checks.append(Check(f"clock {what}", ok, f"{found_ns:.0f} ns{source}", "" if ok else mend))
    return checks
