"""Doctor: how noisy this machine is, and what to change. It changes nothing itself."""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from latbench.devices.host import read_text
from latbench.profiling.process import LocalExecutor
from latbench.profiling.subjects import Subject, sentinel
from latbench.profiling.sweep import Instance, Sweep
from latbench.store import MeasurementRow, Store
from latbench.target import Target
from latbench.timing import CounterFiles, Counters, HostClock, Protocol, noise
from latbench.workflows.checks import Check
from latbench.workflows.machine import UNTOLD, settings
from latbench.workflows.progress import Progress, silent

_WATCH_S = 2.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_SWAPPED = re.compile(r"^pswp(?:in|out) (\d+)", re.MULTILINE)

# A clock that errs by more would need many runs in a sample of a block of a few microseconds.
_CLOCK_NS = 1000.0
_PRESSURE_SHARE = 0.05
# What the intervals assume of drift until a device has a history of its own.
_REPEAT_PERCENT = 100 * Protocol().drift_floor


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
        seconds: how long to measure repeatability, at least two processes whatever it says.
        progress: shows how far it is.
        root: the file tree to read settings and counters from.
    """
    return [
        *_clock(root),
        *_watched(min(_WATCH_S, seconds), root),
        *settings(target.threads, root),
        *_repeated(target, instance, seconds, progress),
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


def _watched(seconds: float, root: Path) -> list[Check]:
    """Return what happened while nothing of ours ran for ``seconds``."""
    load, cpus = os.getloadavg()[0], len(os.sched_getaffinity(0))
    # A load of a few processes is nothing to a machine of many processors.
    quiet = load <= max(0.5, 0.05 * cpus)
    files = CounterFiles(root)
    swapped_before, before, start = _swapped_pages(root), files.read(), time.monotonic()
    time.sleep(seconds)
    after, swapped_after = files.read(), _swapped_pages(root)
    elapsed_s = time.monotonic() - start
    busy = "other programs compute here: end them (top shows them) and wait a minute"
    return [
        Check("load", quiet, f"{load:.2f} on {cpus} CPUs", "" if quiet else busy),
        _pressure(before, after, elapsed_s, busy),
        _steal(before, after, elapsed_s * cpus),
        _throttled(before, after),
        _swap(swapped_before, swapped_after),
    ]


def _pressure(before: Counters, after: Counters, elapsed_s: float, mend: str) -> Check:
    if before.pressure_us is None or after.pressure_us is None:
        return Check("CPU pressure", None, UNTOLD)
    share = (after.pressure_us - before.pressure_us) / (elapsed_s * 1e6)
    ok = share <= _PRESSURE_SHARE
    return Check("CPU pressure", ok, f"{share:.1%} of the time", "" if ok else mend)


def _steal(before: Counters, after: Counters, cpu_s: float) -> Check:
    if before.steal_ticks is None or after.steal_ticks is None:
        return Check("steal", None, UNTOLD)
    share = (after.steal_ticks - before.steal_ticks) / _TICKS_PER_S / cpu_s
    mend = "the hypervisor withholds CPU time: take a machine with cores of its own"
    return Check("steal", share == 0, f"{share:.1%} of the time", "" if share == 0 else mend)


def _throttled(before: Counters, after: Counters) -> Check:
    pairs = (
        (before.throttled, after.throttled),
        (before.core_throttles, after.core_throttles),
    )
    told = [(first, second) for first, second in pairs if first is not None and second is not None]
    if not told:
        return Check("throttling", None, UNTOLD)
    times = sum(second - first for first, second in told)
    mend = "a quota or heat stops the processor: raise the quota, or cool it"
    return Check("throttling", times == 0, f"{times} times", "" if times == 0 else mend)


def _swapped_pages(root: Path) -> int | None:
    pages = _SWAPPED.findall(read_text(root / "proc/vmstat") or "")
    return sum(map(int, pages)) if pages else None


def _swap(before: int | None, after: int | None) -> Check:
    if before is None or after is None:
        return Check("swapping", None, UNTOLD)
    moved = after - before
    mend = "memory is short: end what uses it (top, by memory)"
    return Check("swapping", moved == 0, f"{moved} pages", "" if moved == 0 else mend)


def _repeated(
    target: Target, instance: Instance, seconds: float, progress: Progress
) -> list[Check]:
    """Return how well one workload repeats from process to process: an A/A test."""
    with (
        tempfile.TemporaryDirectory(prefix="latbench-") as folder,
        Store.open(f"sqlite:///{folder}/doctor.db") as store,
        progress("measuring one workload again and again") as tick,
    ):
        rows: list[MeasurementRow] = []
        start = time.monotonic()
        while len(rows) < 2 or time.monotonic() - start < seconds:
            # In pairs, or the last one of a sequence would have no partner.
            for _ in range(2):
                rows.append(_measured(store, target, instance, len(rows)))
                tick(min(int(time.monotonic() - start), int(seconds)), int(seconds))
            if any(row.latency_ms is None for row in rows):
                break
    return _judged(rows)


def _measured(store: Store, target: Target, instance: Instance, number: int) -> MeasurementRow:
    protocol = dataclasses.replace(Protocol.quick(), processes=1)
    subject = Subject(sentinel(), "model", "", "sentinel", None, target.batch)
    sweep = Sweep(store, target, instance, protocol, f"aa:{number}", LocalExecutor(timeout_s=60))
    (job,) = sweep.run([subject]).jobs
    row = store.measurement(job)
    assert row is not None  # without a budget every job is settled
    return row


def _judged(rows: Sequence[MeasurementRow]) -> list[Check]:
    name = "repeatability"
    for row in rows:
        if row.latency_ms is None:
            reason = f"could not be measured: {row.reason}"
            return [Check(name, False, reason, "see that the runtime works: latbench devices")]
    times_ms = [row.latency_ms for row in rows if row.latency_ms is not None]
    found = noise(times_ms[::2], times_ms[1::2])
    ok = found.single <= _REPEAT_PERCENT
    apart = 100 * (max(times_ms) / min(times_ms) - 1)
    value = f"{found.single:.2f} %, at most {apart:.2f} % apart, in {len(rows)} processes"
    mend = (
        f"the same work differs by more than {_REPEAT_PERCENT:g} % between processes: change what "
        "is not ok above, or expect wide intervals"
    )
    tainted, rounds = sum(row.tainted for row in rows), sum(row.rounds for row in rows)
    clean = tainted <= Protocol().taint_limit * rounds
    disturbed = "something else runs or is withheld: change what is not ok above"
    return [
        Check(name, ok, value, "" if ok else mend),
        Check("tainted rounds", clean, f"{tainted} of {rounds}", "" if clean else disturbed),
    ]
