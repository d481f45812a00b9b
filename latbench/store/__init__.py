"""Measurements in SQL: an SQLite file as it comes, PostgreSQL by URL; and tables to hand on."""

from latbench.store.canonical import canonical_json
from latbench.store.exported import ExportedTable
from latbench.store.location import DEFAULT_URL
from latbench.store.opening import dataset, open_to_read
from latbench.store.readable import ReadableStore
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
    "ExportedTable",
    "InstanceRow",
    "JobRow",
    "MeasurementRow",
    "ProcessRow",
    "ReadableStore",
    "RoundRow",
    "Store",
    "SubjectRow",
    "WorkloadRow",
    "canonical_json",
    "dataset",
    "open_to_read",
]
