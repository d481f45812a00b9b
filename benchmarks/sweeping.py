"""One sweep of a benchmark, and what it found."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import sched_getaffinity

from latbench.profiling.subjects import Subject
from latbench.profiling.sweep import Sweep
from latbench.store import MeasurementRow, Store
from latbench.timing import Protocol
from latbench.workflows.setting import Setting


@dataclass(frozen=True)
class Found:
    """The latency of one subject, with its interval and status."""

    latency_ms: float
    low_ms: float
    high_ms: float
    status: str

    @classmethod
    def of(cls, row: MeasurementRow | None) -> Found:
        """Return what ``row`` tells, which is there and has a latency."""
        assert row is not None
        assert row.latency_ms is not None
        assert row.low_ms is not None
        assert row.high_ms is not None
        return cls(row.latency_ms, row.low_ms, row.high_ms, row.status)


@dataclass(frozen=True)
class Swept:
    """What a sweep found of each subject, in their order, and the seconds it took."""

    jobs: list[str]
    rows: list[Found]
    seconds: float


def sweep(
    store: Store, subjects: Sequence[Subject], campaign: str, setting: Setting | None = None
) -> Swept:
    """Time ``subjects`` under the standard protocol, on this machine by default settings."""
    target, instance = (setting or Setting()).here()
    start = time.perf_counter()
    result = Sweep(store, target, instance, Protocol.standard(), campaign).run(subjects)
    seconds = time.perf_counter() - start
    assert not result.failed, result.failed
    return Swept(result.jobs, [Found.of(store.measurement(job)) for job in result.jobs], seconds)


@contextmanager
def busy_loops() -> Iterator[None]:
    """Keep every CPU busy inside."""
    code = "while True: pass"
    loops = [subprocess.Popen([sys.executable, "-c", code]) for _ in sched_getaffinity(0)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
