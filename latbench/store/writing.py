"""What a store takes in. Every call is one transaction; what is there already stays."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import bindparam, case, func, select
from sqlalchemy.dialects import postgresql, sqlite

from latbench.store import schema
from latbench.store.failures import store_error

if TYPE_CHECKING:
    from sqlalchemy import Insert, Table
    from sqlalchemy.engine import Connection

    from latbench.store.connection import Connections
    from latbench.store.rows import (
        InstanceRow,
        JobRow,
        MeasurementRow,
        ProcessRow,
        RoundRow,
        SubjectRow,
        WorkloadRow,
    )
    from latbench.target import Target

# Made once: to build a statement takes longer than to execute it.
# SQLite has one writer anyway; PostgreSQL lets a second one wait here.
_LOCK_JOB = select(schema.jobs.c.id).where(schema.jobs.c.id == bindparam("job")).with_for_update()
_IS_RESULT = (schema.measurements.c.status != "failed") & schema.measurements.c.complete
_COUNT_ATTEMPTS = select(func.count(), func.count(case((_IS_RESULT, 1)))).where(
    schema.measurements.c.job_id == bindparam("job")
)


class Writer:
    """The writing half of a store. All of it may be called twice, and by many processes at once.

    Errors are :class:`~latbench.errors.StoreError`: locked, read-only, full, unreachable, or a
    row that refers to one that is not there.
    """

    _connections: Connections

    def add_instance(self, row: InstanceRow) -> None:
        """Add a machine or card; the facts of a known one stay as they are."""
        self._add(
            schema.instances, [{"id": row.id, "device": row.device, "facts": dict(row.facts)}]
        )

    def add_target(self, target: Target) -> str:
        """Add a target and return its key."""
        row = {
            "key": target.key,
            "target": target.to_dict(),
            "device": target.device,
            "runtime": target.runtime,
            "runtime_version": target.runtime_version,
            "precision": target.precision,
            "batch": target.batch,
            "threads": target.threads,
        }
        self._add(schema.targets, [row])
        return target.key

    def add_workload(self, row: WorkloadRow) -> None:
        """Add one workload."""
        self.add_workloads([row])

    def add_workloads(self, rows: Iterable[WorkloadRow]) -> None:
        """Add workloads; of a known one the first name stays."""
        self._add(schema.workloads, [vars(row) for row in rows])

    def add_subjects(self, rows: Iterable[SubjectRow]) -> None:
        """Say what workloads stand for.

        A subject whose workload has changed, because a later latbench builds it otherwise, stands
        for the new one from now on; the measurements of the old one are kept.
        """
        values = [
            {
                "id": row.id,
                "space": row.space,
                "kind": row.kind,
                "key": row.key,
                "batch": row.batch,
                "workload_id": row.workload,
                "arch_hash": row.arch_hash,
            }
            for row in rows
        ]
        self._add(schema.subjects, values, renew=("workload_id", "arch_hash"))

    def add_job(self, row: JobRow) -> str:
        """Add one job and return its id."""
        return self.add_jobs([row])[0]

    def add_jobs(self, rows: Iterable[JobRow]) -> list[str]:
        """Add jobs and return their ids, in the order of ``rows``."""
        values = [
            {
                "id": row.id,
                "target_key": row.target,
                "instance_id": row.instance,
                "workload_id": row.workload,
                "protocol": row.protocol,
                "campaign": row.campaign,
                "created": row.created,
            }
            for row in rows
        ]
        self._add(schema.jobs, values)
        return [str(value["id"]) for value in values]

    def add_process(self, row: ProcessRow) -> None:
        """Add what one worker process tells about a job."""
        self._add(schema.processes, [{**vars(row), "provenance": dict(row.provenance)}])

    def add_round(self, row: RoundRow) -> None:
        """Add one round; when this returns it outlives this process."""
        self.add_rounds([row])

    def add_rounds(self, rows: Iterable[RoundRow]) -> None:
        """Add rounds, all or none; when this returns they outlive this process."""
        values = [
            {
                "job_id": row.job_id,
                "process": row.process,
                "number": row.number,
                "started": row.started,
                "inner": row.inner,
                "times": zlib.compress(row.times_ns.astype("<i8", casting="safe").tobytes()),
                "median_ms": row.median_ms,
                "taints": list(row.taints),
                "sentinel_ms": row.sentinel_ms,
                "quiet": None if row.quiet is None else np.packbits(row.quiet).tobytes(),
            }
            for row in rows
        ]
        self._add(schema.rounds, values)

    def add_measurement(self, row: MeasurementRow) -> bool:
        """Append the result of a job; return whether it was taken.

        A job has one result. Only after failures and results that a budget cut off another
        attempt is appended; once there is a complete result that is not a failure, a second one,
        such as another process's, is left out.
        """
        job = {"job": row.job_id}
        with self._connections.write() as connection:
            if connection.scalar(_LOCK_JOB, job) is None:
                raise store_error(
                    self._connections.location.shown,
                    f"holds no job {row.job_id}",
                    "add the job before its measurement",
                )
            attempts, results = connection.execute(_COUNT_ATTEMPTS, job).one()
            if results:
                return False
            values = {**vars(row), "provenance": dict(row.provenance), "attempt": 1 + attempts}
            connection.execute(schema.measurements.insert(), values)
        return True

    def _add(
        self, table: Table, values: Sequence[Mapping[str, Any]], renew: Sequence[str] = ()
    ) -> None:
        if not values:
            return
        key = [column.name for column in table.primary_key]
        # In one order for everybody: two PostgreSQL writers would otherwise block each other.
        ordered = sorted(values, key=lambda value: [value[name] for name in key])
        connections = self._connections
        with connections.write_one() if len(ordered) == 1 else connections.write() as connection:
            _insert(connection, table, ordered, key, renew)


def _insert(
    connection: Connection,
    table: Table,
    values: Sequence[Mapping[str, Any]],
    key: Sequence[str],
    renew: Sequence[str],
) -> None:
    connection.execute(
        _statement(connection.dialect.name, table, tuple(key), tuple(renew)), list(values)
    )


@cache
def _statement(dialect: str, table: Table, key: tuple[str, ...], renew: tuple[str, ...]) -> Insert:
    """Return the insert that leaves rows out, or renews columns of them, that are there.

    Building it takes longer than executing it, and a sweep inserts a row at a time.
    """
    statement: postgresql.Insert | sqlite.Insert = (
        postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    )
    if renew:
        return statement.on_conflict_do_update(
            index_elements=key, set_={name: statement.excluded[name] for name in renew}
        )
    return statement.on_conflict_do_nothing(index_elements=key)
