"""What the harness itself costs: timing a run, planning and storing a job, reading a table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import numpy as np

import latbench
from benchmarks.stage import Stage
from benchmarks.table import Row
from latbench.profiling.subjects import block_subjects, sentinel
from latbench.profiling.sweep import Sweep
from latbench.store import RoundRow, Store
from latbench.timing import HostClock, Protocol
from latbench.workflows.setting import Setting

_JOBS = 500
_ROUNDS = 1_000_000


def overhead() -> Iterator[Row]:
    """What the clock adds to a run, against a bare loop over the same function."""

    def nothing() -> None:
        return None

    clock, runs = HostClock(), 200_000
    timed_ns = float(np.median([clock.time(nothing, 1) for _ in range(runs)]))
    start = time.perf_counter_ns()
    for _ in repeat(None, runs):
        nothing()
    bare_ns = (time.perf_counter_ns() - start) / runs
    added = timed_ns - bare_ns
    yield Row(
        "what timing adds to one run",
        "1 µs",
        f"{added / 1e3:.3f} µs",
        f"a bare loop: {bare_ns / 1e3:.3f} µs a run",
        added <= 1000,
    )


def storing(folder: Path) -> Iterator[Row]:
    """Planning and storing with an executor that takes no time; a query over many rounds."""
    target, instance = Setting().here()
    subject = block_subjects(latbench.space("digits-mobilenet"))[0]
    subjects = [
        replace(
            subject, workload=replace(subject.workload, id=f"g1:{number:064x}"), key=f"{number}"
        )
        for number in range(_JOBS)
    ]
    sentinel()  # exported once, however many jobs there are
    with Store.open(f"sqlite:///{folder / 'storing.db'}") as store:
        start = time.perf_counter()
        jobs = Sweep(store, target, instance, Protocol.standard(), executor=Stage()).run(subjects)
        each_ms = 1e3 * (time.perf_counter() - start) / _JOBS
        yield Row(
            "planning and storing one job of two processes and twelve rounds",
            "5 ms",
            f"{each_ms:.1f} ms",
            f"{_JOBS} jobs, every round committed as it ends",
            each_ms <= 5,
        )
        times = np.full(30, 1_000_000)
        each = _ROUNDS // _JOBS
        for job in jobs.jobs:
            store.add_rounds(
                RoundRow(job, "many", number, float(number), 1, times, 1.0)
                for number in range(each)
            )
        start = time.perf_counter()
        table = store.table(kind="block")
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        some = store.rounds(jobs.jobs[_JOBS // 2])
        yield Row(
            "the table of all blocks from a store of a million rounds",
            "1 s",
            f"{seconds:.2f} s",
            f"{len(table)} rows; the {len(some):,} rounds of one: "
            f"{time.perf_counter() - start:.2f} s",
            seconds < 1,
        )
