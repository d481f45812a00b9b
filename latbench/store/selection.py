"""The table of measurements: which rows and columns, as a pandas DataFrame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Double, Integer, and_, case, func, select

from latbench.errors import UsageError
from latbench.store.canonical import canonical_json
from latbench.store.rows import STATUSES
from latbench.store.schema import (
    jobs,
    measurements,
    processes,
    subjects,
    targets,
    workloads,
)
from latbench.target import Target

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.engine import Connection

ESTIMATED = ("ok", "unconverged", "unstable")
"""The statuses whose latency is fit for use."""

_latest = (
    select(measurements.c.job_id, func.max(measurements.c.attempt).label("attempt"))
    .group_by(measurements.c.job_id)
    .subquery()
)

# The processes of one job run the same thing; where they did not, no one precision is its own.
_ran = (
    select(
        processes.c.job_id,
        case(
            (
                func.min(processes.c.precision_run) == func.max(processes.c.precision_run),
                func.min(processes.c.precision_run),
            ),
            else_="mixed",
        ).label("precision_run"),
    )
    .group_by(processes.c.job_id)
    .subquery()
)

COLUMNS: dict[str, ColumnElement[Any]] = {
    "device": targets.c.device,
    "runtime": targets.c.runtime,
    "runtime_version": targets.c.runtime_version,
    "precision": targets.c.precision,
    "precision_run": _ran.c.precision_run,
    "batch": targets.c.batch,
    "threads": targets.c.threads,
    "target_key": targets.c.key,
    "instance": jobs.c.instance_id,
    "workload": workloads.c.id,
    "name": workloads.c.name,
    "space": subjects.c.space,
    "kind": subjects.c.kind,
    "key": subjects.c.key,
    "arch_hash": subjects.c.arch_hash,
    "campaign": jobs.c.campaign,
    "protocol": jobs.c.protocol,
    "latency_ms": measurements.c.latency_ms,
    "low_ms": measurements.c.low_ms,
    "high_ms": measurements.c.high_ms,
    "p90_ms": measurements.c.p90_ms,
    "half_width": measurements.c.half_width,
    "status": measurements.c.status,
    "reason": measurements.c.reason,
    "rounds": measurements.c.rounds,
    "tainted": measurements.c.tainted,
    "created": measurements.c.created,
}
"""What a table holds, by name."""

ORIGIN: dict[str, ColumnElement[Any]] = {
    "drift": measurements.c.drift,
    "target": targets.c.target,
    "provenance": measurements.c.provenance,
}
"""What it holds as well where the origin of the measurements is asked for."""


@dataclass(frozen=True)
class Selection:
    """Which measurements a table holds; None selects everything.

    Attributes:
        kind: ``network`` or ``block``; None also selects workloads that stand for neither.
        space: the space's spec, or its canonical JSON.
        target: a target, or its key.
        campaign: the campaign.
        instance: the id of the instance.
        statuses: the statuses that the newest attempt may have.

    Raises:
        UsageError: an unknown kind or status.
    """

    kind: Literal["network", "block"] | None = None
    space: str | Mapping[str, Any] | None = None
    target: Target | str | None = None
    campaign: str | None = "main"
    instance: str | None = None
    statuses: Sequence[str] = ESTIMATED

    def __post_init__(self) -> None:
        """Check the words."""
        if self.kind not in (None, "network", "block"):
            raise UsageError(f"no kind {self.kind!r}; network or block")
        for status in self.statuses:
            if status not in STATUSES:
                raise UsageError(f"no status {status!r}; of {', '.join(STATUSES)}")

    def read(self, connection: Connection, origin: bool) -> pd.DataFrame:
        """Return the selected measurements, oldest first.

        Args:
            connection: where to read.
            origin: whether to add the columns ``drift``, ``target`` and ``provenance``.
        """
        import pandas as pd

        columns = {**COLUMNS, **ORIGIN} if origin else COLUMNS
        rows = [tuple(row) for row in connection.execute(self._statement(columns))]
        frame = pd.DataFrame(rows, columns=list(columns), dtype=object)
        for name, column in columns.items():
            if isinstance(column.type, Integer):
                frame[name] = frame[name].astype("int64")
            elif isinstance(column.type, Double):
                frame[name] = frame[name].astype("float64")
        frame["created"] = pd.to_datetime(frame["created"], unit="s", utc=True).dt.as_unit("us")
        return frame

    def among(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the selected rows of a table that holds more."""
        rows = frame["status"].isin(list(self.statuses))
        for name, value in self._wanted().items():
            rows &= frame[name] == value
        return frame[rows].reset_index(drop=True)

    def _statement(self, columns: Mapping[str, ColumnElement[Any]]) -> Select[Any]:
        return (
            select(*(column.label(name) for name, column in columns.items()))
            .select_from(measurements)
            .join(
                _latest,
                and_(
                    _latest.c.job_id == measurements.c.job_id,
                    _latest.c.attempt == measurements.c.attempt,
                ),
            )
            .join(jobs, jobs.c.id == measurements.c.job_id)
            .join(targets, targets.c.key == jobs.c.target_key)
            .join(workloads, workloads.c.id == jobs.c.workload_id)
            .outerjoin(subjects, subjects.c.workload_id == workloads.c.id)
            .outerjoin(_ran, _ran.c.job_id == jobs.c.id)
            .where(*self._conditions())
            .order_by(measurements.c.created, measurements.c.job_id, subjects.c.id)
        )

    def _conditions(self) -> list[ColumnElement[bool]]:
        equal = [COLUMNS[name] == value for name, value in self._wanted().items()]
        return [*equal, measurements.c.status.in_(self.statuses)]

    def _wanted(self) -> dict[str, str]:
        """Return by column what its values must be."""
        space = self.space if isinstance(self.space, str | None) else canonical_json(self.space)
        wanted = {
            "kind": self.kind,
            "space": space,
            "target_key": self.target.key if isinstance(self.target, Target) else self.target,
            "campaign": self.campaign,
            "instance": self.instance,
        }
        return {name: value for name, value in wanted.items() if value is not None}
