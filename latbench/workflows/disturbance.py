"""What disturbs this machine while nothing of ours runs."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from latbench.devices.host import read_text
from latbench.timing import CounterFiles, Counters
from latbench.workflows.checks import Check
from latbench.workflows.machine import UNTOLD

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_SWAPPED = re.compile(r"^pswp(?:in|out) (\d+)", re.MULTILINE)
# The share above which a round is tainted.
_PRESSURE_SHARE = 0.05
_BUSY = "other programs compute here: end them (top shows them) and wait a minute"


@dataclass(frozen=True)
class Reading:
    """The state of all that disturbs at one moment.

    Attributes:
        counters: what taints rounds.
        swapped_pages: pages moved to or from swap since the start; None where it is not told.
        at_s: monotonic seconds.
    """

    counters: Counters
    swapped_pages: int | None
    at_s: float


def watch(seconds: float, root: Path = Path("/")) -> list[Check]:
    """Return what happened in ``seconds``, told by the files below ``root``."""
    files, cpus = CounterFiles(root), len(os.sched_getaffinity(0))
    before = _read(files, root)
    time.sleep(seconds)
    return [load(os.getloadavg()[0], cpus), *disturbances(before, _read(files, root), cpus)]


def load(average: float, cpus: int) -> Check:
    """Return whether the load average is that of an idle machine of ``cpus`` processors."""
    # A load of a few processes is nothing to a machine of many processors.
    quiet = average <= max(0.5, 0.05 * cpus)
    return Check("load", quiet, f"{average:.2f} on {cpus} CPUs", "" if quiet else _BUSY)


def disturbances(before: Reading, after: Reading, cpus: int) -> list[Check]:
    """Return what happened between two readings on ``cpus`` processors."""
    elapsed_s = after.at_s - before.at_s
    first, last = before.counters, after.counters
    waited_us = _grown(first.pressure_us, last.pressure_us)
    ticks = _grown(first.steal_ticks, last.steal_ticks)
    stops = [
        grown
        for grown in (
            _grown(first.throttled, last.throttled),
            _grown(first.core_throttles, last.core_throttles),
        )
        if grown is not None
    ]
    return [
        _share(
            "CPU pressure",
            None if waited_us is None else waited_us / 1e6 / elapsed_s,
            _PRESSURE_SHARE,
            _BUSY,
        ),
        _share(
            "steal",
            None if ticks is None else ticks / _TICKS_PER_S / (elapsed_s * cpus),
            0.0,
            "the hypervisor withholds CPU time: take a machine with cores of its own",
        ),
        _count(
            "throttling",
            sum(stops) if stops else None,
            "times",
            "a quota or heat stops the processor: raise the quota, or cool it",
        ),
        _count(
            "swapping",
            _grown(before.swapped_pages, after.swapped_pages),
            "pages",
            "memory is short: end what uses it (top, by memory)",
        ),
    ]


def _read(files: CounterFiles, root: Path) -> Reading:
    pages = _SWAPPED.findall(read_text(root / "proc/vmstat") or "")
    swapped = sum(map(int, pages)) if pages else None
    return Reading(files.read(), swapped, time.monotonic())


def _grown(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _share(name: str, share: float | None, limit: float, mend: str) -> Check:
    if share is None:
        return Check(name, None, UNTOLD)
    ok = share <= limit
    return Check(name, ok, f"{share:.1%} of the time", "" if ok else mend)


def _count(name: str, count: int | None, unit: str, mend: str) -> Check:
    if count is None:
        return Check(name, None, UNTOLD)
    return Check(name, count == 0, f"{count} {unit}", "" if count == 0 else mend)
