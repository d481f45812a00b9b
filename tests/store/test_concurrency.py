"""Many processes, one store: nothing lost, nothing twice."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func, select

from latbench.store import JobRow, Store, schema
from latbench.store.location import Location
from latbench.target import Target

PROCESSES = 8
ROUNDS = 10
JOBS = 12

_COMMON = """
import sys, time
from pathlib import Path
import numpy as np
from latbench.store import *
from latbench.target import Target

def round_row(job_id, process, number):
    times = np.arange(200, dtype=np.int64) * number
    return RoundRow(job_id, process, number, time.time(), 1, times, 1.0 + number)

def prepare(store, jobs):
    target = Target("cpu", "torch", "1")
    store.add_instance(InstanceRow("i", "cpu"))
    store.add_target(target)
    names = [f"g1:{number}" for number in range(jobs)]
    store.add_workloads(WorkloadRow(name, name, {}, 1) for name in names)
    store.add_subjects(SubjectRow("{}", "block", name, name) for name in names)
    return store.add_jobs(JobRow(target.key, "i", name, "p1") for name in names)
"""

# Each worker takes workloads and jobs in another order, as a careless caller would.
WORKER = (
    _COMMON
    + """
url, gate, me, rounds, jobs = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:6])
print("ready", flush=True)
while not gate.exists():
    time.sleep(0.001)
taken = 0
with Store.open(url) as store:
    many = [WorkloadRow(f"g1:many{number}", "", {}, 1) for number in range(1000)]
    store.add_workloads(many if me % 2 else reversed(many))
    ids = prepare(store, jobs)
    mine = ids[me:] + ids[:me]
    for number in range(rounds):
        store.add_round(round_row(mine[0], f"worker-{me}", number))
        store.add_rounds(round_row(job_id, "everybody", number) for job_id in mine)
    for job_id in mine:
        row = MeasurementRow(job_id, "ok", None, 1.0 + me, 1.0, 9.0, 0.1)
        taken += store.add_measurement(row)
print(taken)
"""
)

WRITER = (
    _COMMON
    + """
with Store.open(sys.argv[1]) as store:
    job_id = prepare(store, 1)[0]
    for number in range(1_000_000):
        store.add_round(round_row(job_id, "victim", number))
        print(number, flush=True)
"""
)

FAILING = (
    _COMMON
    + """
url, gate, me, jobs = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:5])
with Store.open(url) as store:
    ids = prepare(store, jobs)
    print("ready", flush=True)
    while not gate.exists():
        time.sleep(0.001)
    for job_id in ids:
        store.add_measurement(MeasurementRow(job_id, "failed", f"crashed in {me}"))
"""
)


def _ids(jobs: int) -> list[str]:
    key = Target("cpu", "torch", "1").key
    return [JobRow(key, "i", f"g1:{number}", "p1").id for number in range(jobs)]


def _run_at_once(python: Any, script: str, url: str, gate: Path, *arguments: int) -> list[str]:
    workers = [python(script, url, gate, me, *arguments) for me in range(PROCESSES)]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n", worker.stderr.read()
    gate.touch()
    said = []
    for worker in workers:
        out, errors = worker.communicate(timeout=120)
        assert errors == ""
        assert worker.returncode == 0
        said.append(out)
    return said


def test_eight_processes_create_and_fill_one_store(url: str, tmp_path: Path, python: Any) -> None:
    """They open a store that does not exist at once, and write the same rows and their own."""
    said = _run_at_once(python, WORKER, url, tmp_path / "gate", ROUNDS, JOBS)
    ids = _ids(JOBS)
    with Store.open(url, create=False) as store:
        for me in range(PROCESSES):
            own = [row for row in store.rounds(ids[me]) if row.process == f"worker-{me}"]
            assert [row.number for row in own] == list(range(ROUNDS))
        for job_id in ids:
            shared = [row for row in store.rounds(job_id) if row.process == "everybody"]
            assert sorted(row.number for row in shared) == list(range(ROUNDS))
            assert len(store.attempts(job_id)) == 1
        assert sum(map(int, said)) == JOBS
        assert len(store.table(kind="block")) == JOBS
        assert len(store.instances()) == len(store.targets()) == 1
        with store._connections.read() as connection:
            total = connection.scalar(select(func.count()).select_from(schema.rounds))
    assert total == PROCESSES * ROUNDS + JOBS * ROUNDS


def test_every_failure_of_many_processes_is_kept(url: str, tmp_path: Path, python: Any) -> None:
    """Attempts are numbered without gap or double, whoever comes first."""
    Store.open(url).close()
    _run_at_once(python, FAILING, url, tmp_path / "gate", 3)
    with Store.open(url) as store:
        for job_id in _ids(3):
            attempts = store.attempts(job_id)
            assert [row.attempt for row in attempts] == list(range(1, PROCESSES + 1))
            assert len({row.reason for row in attempts}) == PROCESSES


def test_killed_writer_loses_no_committed_round(url: str, python: Any) -> None:
    """What add_round returned from is there after SIGKILL, whole, and the store goes on."""
    writer = python(WRITER, url)
    told = -1
    while told < 20:
        line = writer.stdout.readline()
        assert line, writer.stderr.read()
        told = int(line)
    time.sleep(0.05)
    writer.kill()
    told = max([told, *map(int, writer.stdout.read().split()[:-1])])
    writer.wait()
    (job_id,) = _ids(1)
    with Store.open(url) as store:
        rounds = sorted(store.rounds(job_id), key=lambda row: row.number)
        assert [row.number for row in rounds] == list(range(len(rounds)))
        assert len(rounds) > told
        for row in rounds:
            np.testing.assert_array_equal(row.times_ns, np.arange(200) * row.number)
        store.add_round(rounds[0])
        assert len(store.rounds(job_id)) == len(rounds)
    file = Location.parse(url).file
    if file is not None:
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
