"""Where Linux keeps the counters that taint: located once, because reading has to be cheap."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

from latbench.timing.taint import Counters

_STEAL = re.compile(rb"^cpu(\d+) (?:\d+ ){7}(\d+)", re.MULTILINE)
_THROTTLED = re.compile(rb"^nr_throttled (\d+)", re.MULTILINE)
_CORE_THROTTLES = re.compile(rb"^(\d+)")
_WAITED = re.compile(rb"^some .*total=(\d+)", re.MULTILINE)

# The lines of some five hundred CPUs; what is needed of every other file is far shorter.
_READ_BYTES = 1 << 16


class CounterFiles:
    """The counters of this process and its CPUs; what has no readable file is not told."""

    def __init__(self, root: str | Path = "/", cpus: Iterable[int] | None = None) -> None:
        """Locate the files below ``root`` for ``cpus``, by default those of the affinity mask."""
        base = Path(root)
        mask = sorted(os.sched_getaffinity(0) if cpus is None else cpus)
        groups = list(control_groups(base))
        cores = (
            base / f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle/core_throttle_count"
            for cpu in mask
        )
        pressures = [*(group / "cpu.pressure" for group in groups), base / "proc/pressure/cpu"]
        self._stat = str(base / "proc/stat")
        self._cpus = {str(cpu).encode() for cpu in mask}
        self._quotas = _telling((group / "cpu.stat" for group in groups), _THROTTLED)
        self._cores = _telling(cores, _CORE_THROTTLES)
        self._pressures = _telling(pressures, _WAITED)[:1]

    def read(self) -> Counters:
        """Read all counters: some tens of microseconds on a machine of a few cores."""
        return Counters(
            steal_ticks=self._steal_ticks(),
            throttled=_sum(self._quotas, _THROTTLED),
            core_throttles=_sum(self._cores, _CORE_THROTTLES),
            switches=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
            pressure_us=_sum(self._pressures, _WAITED),
        )

    def _steal_ticks(self) -> int | None:
        rows = _STEAL.findall(_text(self._stat) or b"")
        ticks = [int(steal) for cpu, steal in rows if cpu in self._cpus]
        return sum(ticks) if ticks else None


def control_groups(base: Path, governed: str = "cpu") -> Iterator[Path]:
    """Yield this process's groups that may govern CPU time, each followed by those above it.

    Or, with ``governed`` as ``memory``, those that may govern memory.

    A container may see its own group as the root of the mount while the kernel names it by the
    host's path, or by ``..`` if it lies outside; the mount itself, yielded last, is right then.
    """
    mounts = base / "sys/fs/cgroup"
    for line in (_text(base / "proc/self/cgroup") or b"").decode().splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            roots = [mounts, mounts / "unified"]
        elif governed in controllers.split(","):
            roots = [mounts / controllers, mounts / governed]
        else:
            continue
        names = [] if ".." in path else [name for name in path.split("/") if name]
        for root in dict.fromkeys(roots):
            for depth in range(len(names), -1, -1):
                yield root.joinpath(*names[:depth])


def _telling(paths: Iterable[Path], pattern: re.Pattern[bytes]) -> list[str]:
    """Return those of ``paths`` that hold a match of ``pattern``, each file once."""
    found: dict[Path, str] = {}
    for path in paths:
        if pattern.search(_text(path) or b""):
            found.setdefault(path.resolve(), str(path))
    return list(found.values())


def _sum(paths: list[str], pattern: re.Pattern[bytes]) -> int | None:
    """Return the sum of the number in each file; ``None`` if there is none or one is gone."""
    total = 0
    for path in paths:
        match = pattern.search(_text(path) or b"")
        if match is None:
            return None
        total += int(match[1])
    return total if paths else None


def _text(path: str | Path) -> bytes | None:
    """Return a file's beginning, or ``None`` where it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return os.read(descriptor, _READ_BYTES)
    except OSError:
        return None
    finally:
        os.close(descriptor)
