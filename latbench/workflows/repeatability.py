"""How well one fixed workload repeats from process to process: an A/A test."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Sequence

from latbench.profiling.child import Limits
from latbench.profiling.process import LocalExecutor
from latbench.profiling.subjects import Subject, sentinel
from latbench.profiling.sweep import Instance, Sweep
from latbench.store import MeasurementRow, Store
from latbench.target import Target
from latbench.timing import Protocol, noise
from latbench.workflows.checks import Check
from latbench.workflows.progress import Progress, silent

# What intervals assume of drift until a device has a history of its own.
_LIMIT_PERCENT = 100 * Protocol().drift_floor
_TIMEOUT_S = 60.0


def repeat(
    target: Target, instance: Instance, seconds: float, progress: Progress = silent
) -> list[MeasurementRow]:
    """Return the sentinel measured in fresh processes, one after the other.

    There is an even number of them, at least two, and a new pair begins until ``seconds`` have
    passed or one has failed. They are kept in no store.
    """
    rows: list[MeasurementRow] = []
    with (
        tempfile.TemporaryDirectory(prefix="latbench-") as folder,
        Store.open(f"sqlite:///{folder}/repeats.db") as store,
        progress("measuring one workload again and again") as tick,
    ):
        start = time.monotonic()
        while not rows or time.monotonic() - start < seconds:
            for _ in range(2):
                rows.append(_measure(store, target, instance, len(rows)))
                tick(min(round(time.monotonic() - start), round(seconds)), round(seconds))
            if any(row.latency_ms is None for row in rows):
                break
    return rows


def _measure(store: Store, target: Target, instance: Instance, number: int) -> MeasurementRow:
    protocol = dataclasses.replace(Protocol.quick(), processes=1, processes_extra=0)
    executor = LocalExecutor(Limits(timeout_s=_TIMEOUT_S))
    sweep = Sweep(store, target, instance, protocol, f"repeat:{number}", executor)
    (job,) = sweep.run([Subject(sentinel(), "model", "", "sentinel", None, target.batch)]).jobs
    row = store.measurement(job)
    assert row is not None  # without a budget every job is settled
    return row


def judge(rows: Sequence[MeasurementRow]) -> list[Check]:
    """Return whether measurements of one workload, in the order they were taken, agree.

    The measure is the noise between those at even and those at odd places
    (:func:`latbench.timing.noise`).
    """
    name = "repeatability"
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
        Check("tainted rounds", clean, f"{tainted} of {rounds}", "" if clean else disturbed),
    ]
