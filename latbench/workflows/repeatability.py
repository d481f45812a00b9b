"""How well one fixed workload repeats from process to process: an A/A test, and a trend."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from latbench.profiling.child import Limits
from latbench.profiling.process import LocalExecutor
from latbench.profiling.subjects import Subject, sentinel
from latbench.profiling.sweep import Instance, Sweep
from latbench.store import MeasurementRow, Store
from latbench.target import Target
from latbench.timing import Protocol, noise, trend
from latbench.workflows.checks import Check
from latbench.workflows.progress import Progress, silent

# What intervals assume of drift until a device has a history of its own.
_LIMIT_PERCENT = 100 * Protocol().drift_floor
# In percent a minute: then one minute leads out of the interval that such a drift gives.
_STEEP = 2 * _LIMIT_PERCENT
_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Repeat:
    """The sentinel measured once, and the middle of the time that it took, in monotonic seconds."""

    row: MeasurementRow
    at_s: float


def repeat(
    target: Target, instance: Instance, seconds: float, progress: Progress = silent
) -> list[Repeat]:
    """Return the sentinel measured in fresh processes, one after the other.

    There is an even number of them, at least two, and a new pair begins until ``seconds`` have
    passed or one has failed. They are kept in no store.
    """
    repeats: list[Repeat] = []
    with (
        tempfile.TemporaryDirectory(prefix="latbench-") as folder,
        Store.open(f"sqlite:///{folder}/repeats.db") as store,
        progress("measuring one workload again and again") as tick,
    ):
        start = time.monotonic()
        while not repeats or time.monotonic() - start < seconds:
            for _ in range(2):
                began = time.monotonic()
                row = _measure(store, target, instance, len(repeats))
                repeats.append(Repeat(row, (began + time.monotonic()) / 2))
                tick(min(round(time.monotonic() - start), round(seconds)), round(seconds))
            if any(repeat.row.latency_ms is None for repeat in repeats):
                break
    return repeats


def _measure(store: Store, target: Target, instance: Instance, number: int) -> MeasurementRow:
    protocol = dataclasses.replace(Protocol.quick(), processes=1, processes_extra=0)
    executor = LocalExecutor(Limits(timeout_s=_TIMEOUT_S))
    sweep = Sweep(store, target, instance, protocol, f"repeat:{number}", executor)
    (job,) = sweep.run([Subject(sentinel(), "model", "", "sentinel", None, target.batch)]).jobs
    row = store.measurement(job)
    assert row is not None  # without a budget every job is settled
    return row


def judge(repeats: Sequence[Repeat]) -> list[Check]:
    """Return whether measurements of one workload, in the order they were taken, agree.

    The measures are the noise between those at even and those at odd places, which a slow change
    hardly shows in (:func:`latbench.timing.noise`), and the slope of a line through all of them
    (:func:`latbench.timing.trend`).
    """
    name, rows = "repeatability", [repeat.row for repeat in repeats]
    for row in rows:
        if row.latency_ms is None:
            reason = f"could not be measured: {row.reason}"
            return [Check(name, False, reason, "see that the runtime works: latbench devices")]
    times_ms = [row.latency_ms for row in rows if row.latency_ms is not None]
    found = noise(times_ms[::2], times_ms[1::2])
    ok = found.single <= _LIMIT_PERCENT
    apart = 100 * (max(times_ms) / min(times_ms) - 1)
    value = f"{found.single:.2f} %, at most {apart:.2f} % apart, in {len(rows)} processes"
    mend = (
        f"the same work differs by more than {_LIMIT_PERCENT:g} % between processes: change what "
        "is not ok above, or expect wide intervals"
    )
    tainted, rounds = sum(row.tainted for row in rows), sum(row.rounds for row in rows)
    clean = tainted <= Protocol().taint_limit * rounds
    disturbed = "something else runs, or time is withheld: change what is not ok above"
    return [
        Check(name, ok, value, "" if ok else mend),
        _drift([repeat.at_s for repeat in repeats], times_ms),
        Check("tainted rounds", clean, f"{tainted} of {rounds}", "" if clean else disturbed),
    ]


def _drift(at_s: Sequence[float], times_ms: Sequence[float]) -> Check:
    """Return whether latencies grow or fall with time, as far as that shows in so short a time."""
    name, longer = "drift", "look for longer: latbench doctor --seconds 120"
    if len(times_ms) < 3:
        return Check(name, None, f"not told by {len(times_ms)} processes", longer)
    found = trend(at_s, times_ms)
    span_s = max(at_s) - min(at_s)
    value = f"{found.slope:+.2f} ± {found.half_width:.2f} % a minute, over {span_s:.0f} s"
    if abs(found.slope) > max(found.half_width, _STEEP):
        way = "slower" if found.slope > 0 else "faster"
        mend = (
            f"the same work becomes {way} from process to process: let the machine warm up, cool "
            "it, or wait until what began or ended meanwhile is over, and look again"
        )
        return Check(name, False, value, mend)
    if found.half_width > _STEEP:
        return Check(name, None, value, longer)
    return Check(name, True, value)
