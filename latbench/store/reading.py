"""What a store gives back, row by row."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import select

from latbench.store import schema
from latbench.store.rows import InstanceRow, MeasurementRow, ProcessRow, RoundRow
from latbench.target import Target

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.engine import RowMapping

    from latbench.store.connection import Connections

# Well below the 32766 values that SQLite takes in one statement.
_AT_ONCE = 10_000


class Reader:
    """The reading half of a store.

    Errors are :class:`~latbench.errors.StoreError`: locked, damaged or unreachable.
    """

    _connections: Connections

    def instances(self) -> list[InstanceRow]:
        """Return every instance, by id."""
        rows = self._rows(select(schema.instances).order_by(schema.instances.c.id))
        return [InstanceRow(**row) for row in rows]

    def targets(self) -> list[Target]:
        """Return every target, by key."""
        rows = self._rows(select(schema.targets.c.target).order_by(schema.targets.c.key))
        return [Target.from_dict(row["target"]) for row in rows]

    def processes(self, job_id: str) -> list[ProcessRow]:
        """Return the processes that timed a job, by their id."""
        processes = schema.processes
        rows = self._rows(
            select(processes).where(processes.c.job_id == job_id).order_by(processes.c.process)
        )
        return [ProcessRow(**row) for row in rows]

    def rounds(self, job_id: str) -> list[RoundRow]:
        """Return every round of a job, tainted ones too, in the order they were started."""
        rounds = schema.rounds
        rows = self._rows(
            select(rounds)
            .where(rounds.c.job_id == job_id)
            .order_by(rounds.c.started, rounds.c.process, rounds.c.number)
        )
        return [_round(row) for row in rows]

    def measurement(self, job_id: str) -> MeasurementRow | None:
        """Return the newest attempt at a job, None where there is none yet."""
        attempts = self.attempts(job_id)
        return attempts[-1] if attempts else None

    def attempts(self, job_id: str) -> list[MeasurementRow]:
        """Return every attempt at a job: failures, then perhaps a result."""
        measurements = schema.measurements
        rows = self._rows(
            select(measurements)
            .where(measurements.c.job_id == job_id)
            .order_by(measurements.c.attempt)
        )
        return [MeasurementRow(**row) for row in rows]

    def without_latency(self, job_ids: Iterable[str]) -> dict[str, str | None]:
        """Return why those of ``job_ids`` have no latency that have none, by job.

        It is the reason of the newest attempt, or its status if that has none; None where there was
        no attempt.
        """
        measurements = schema.measurements
        wanted = list(job_ids)
        attempts: dict[str, RowMapping] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = measurements.c.job_id.in_(wanted[start : start + _AT_ONCE])
            newest = (
                select(
                    measurements.c.job_id,
                    measurements.c.status,
                    measurements.c.reason,
                    measurements.c.latency_ms,
                )
                .where(some)
                .order_by(measurements.c.attempt)
            )
            attempts.update((row["job_id"], row) for row in self._rows(newest))
        return {
            job: None if (row := attempts.get(job)) is None else row["reason"] or row["status"]
            for job in wanted
            if job not in attempts or attempts[job]["latency_ms"] is None
        }

    def measured(self, job_ids: Iterable[str], retry_failed: bool = False) -> set[str]:
        """Return those of ``job_ids`` that need no work.

        Args:
            job_ids: ids of jobs, known or not.
            retry_failed: whether a job that only failed so far needs work.
        """
        measurements = schema.measurements
        wanted = list(job_ids)
        done: set[str] = set()
        for start in range(0, len(wanted), _AT_ONCE):
            some = measurements.c.job_id.in_(wanted[start : start + _AT_ONCE])
            statement = select(measurements.c.job_id).where(some, measurements.c.complete)
            if retry_failed:
                statement = statement.where(measurements.c.status != "failed")
            done.update(row["job_id"] for row in self._rows(statement))
        return done

    def begun(self, job_ids: Iterable[str]) -> set[str]:
        """Return those of ``job_ids`` of which a process told anything or a round was measured."""
        wanted = list(job_ids)
        found: set[str] = set()
        for start in range(0, len(wanted), _AT_ONCE):
            for table in (schema.processes, schema.rounds):
                some = table.c.job_id.in_(wanted[start : start + _AT_ONCE])
                rows = self._rows(select(table.c.job_id).where(some).distinct())
                found.update(row["job_id"] for row in rows)
        return found

    def company(self, job_ids: Iterable[str]) -> set[str]:
        """Return the jobs that share a process with any of ``job_ids``, those included."""
        processes = schema.processes
        wanted = list(job_ids)
        found: set[str] = set()
        for start in range(0, len(wanted), _AT_ONCE):
            some = processes.c.job_id.in_(wanted[start : start + _AT_ONCE])
            theirs = select(processes.c.process).where(some)
            rows = self._rows(
                select(processes.c.job_id).where(processes.c.process.in_(theirs)).distinct()
            )
            found.update(row["job_id"] for row in rows)
        return found

    def sentinel_history(self, target_key: str, instance: str) -> list[float]:
        """Return the sentinel's latencies on one target and instance, in ms, oldest first.

        They are the estimates of every campaign whose name begins with ``sentinel:``.
        """
        jobs, measurements = schema.jobs, schema.measurements
        rows = self._rows(
            select(measurements.c.latency_ms)
            .join(jobs, jobs.c.id == measurements.c.job_id)
            .where(
                jobs.c.target_key == target_key,
                jobs.c.instance_id == instance,
                jobs.c.campaign.startswith("sentinel:"),
                measurements.c.status.in_(("ok", "unconverged")),
            )
            .order_by(measurements.c.created, measurements.c.job_id)
        )
        return [row["latency_ms"] for row in rows]

    def _rows(self, statement: Select[Any]) -> list[RowMapping]:
        with self._connections.read() as connection:
            return list(connection.execute(statement).mappings())


def _round(row: RowMapping) -> RoundRow:
    values = dict(row)
    times = np.frombuffer(zlib.decompress(values.pop("times")), dtype="<i8")
    bits = values.pop("quiet")
    quiet = None
    if bits is not None:
        packed = np.frombuffer(bits, dtype=np.uint8)
        quiet = np.unpackbits(packed, count=len(times)).astype(np.bool_)
    return RoundRow(
        **{**values, "times_ns": times.astype(np.int64), "taints": tuple(values["taints"])},
        quiet=quiet,
    )
