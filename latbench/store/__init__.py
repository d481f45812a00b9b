"""Measurements in SQL: an SQLite file as it comes, PostgreSQL by URL."""

from latbench.store.canonical import canonical_json
from latbench.store.location import DEFAULT_URL
from latbench.store.rows import (
    STATUSES,
    InstanceRow,
    JobRow,
    MeasurementRow,
    ProcessRow,
    RoundRow,
    SubjectRow,
    WorkloadRow,
)
from latbench.store.store import Store

__all__ = [
    "DEFAULT_URL",
    "STATUSES",
    "InstanceRow",
    "JobRow",
    "MeasurementRow",
    "ProcessRow",
    "RoundRow",
    "Store",
    "SubjectRow",
    "WorkloadRow",
    "canonical_json",
]
