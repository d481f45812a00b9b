"""The tables as this latbench expects them.

A change here needs a new revision in ``migrations/versions``; a test compares the two.
"""

import json
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)

from latbench.store.canonical import canonical_json

HEAD = "0001"
"""The newest revision: what an up-to-date store says in :data:`VERSION_TABLE`."""

VERSION_TABLE = "latbench_version"
"""Not Alembic's usual name: a PostgreSQL database may hold another program's tables."""

METADATA = MetaData()


class Json(TypeDecorator[Any]):
    """A JSON value as text: the databases' own types differ in what they take and change."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: object) -> str:
        """Return the text of ``value``."""
        return canonical_json(value)

    def process_result_value(self, value: Any, dialect: object) -> Any:
        """Return the value of a text."""
        return json.loads(value)


instances = Table(
    "instances",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("device", Text, nullable=False),
    Column("facts", Json, nullable=False),
)

targets = Table(
    "targets",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("target", Json, nullable=False),
    Column("device", Text, nullable=False),
    Column("runtime", Text, nullable=False),
    Column("runtime_version", Text, nullable=False),
    Column("precision", Text, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("threads", Integer, nullable=False),
)

workloads = Table(
    "workloads",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("inputs", Json, nullable=False),
    Column("nodes", Integer, nullable=False),
    Column("macs", Double),
    Column("params", Double),
)

# The id is a hash: space and key together may exceed what PostgreSQL can put into an index.
subjects = Table(
    "subjects",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("space", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("workload_id", Text, ForeignKey("workloads.id"), nullable=False),
    Column("arch_hash", Text),
    Index("subjects_of_workload", "workload_id"),
)

jobs = Table(
    "jobs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("target_key", Text, ForeignKey("targets.key"), nullable=False),
    Column("instance_id", Text, ForeignKey("instances.id"), nullable=False),
    Column("workload_id", Text, ForeignKey("workloads.id"), nullable=False),
    Column("protocol", Text, nullable=False),
    Column("campaign", Text, nullable=False),
    Column("created", Double, nullable=False),
    Index("jobs_of_target", "target_key", "instance_id"),
)

processes = Table(
    "processes",
    METADATA,
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("process", Text, primary_key=True),
    Column("precision_run", Text, nullable=False),
    Column("provenance", Json, nullable=False),
    Column("first_run_ms", Double),
    Column("compile_ms", Double),
    Column("warmup_ms", Double),
    Column("steady", Boolean, nullable=False),
)

rounds = Table(
    "rounds",
    METADATA,
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("process", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("started", Double, nullable=False),
    Column("inner", BigInteger, nullable=False),
    Column("times", LargeBinary, nullable=False),
    Column("median_ms", Double, nullable=False),
    Column("taints", Json, nullable=False),
    Column("sentinel_ms", Double),
    Column("quiet", LargeBinary),
)

measurements = Table(
    "measurements",
    METADATA,
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("latency_ms", Double),
    Column("low_ms", Double),
    Column("high_ms", Double),
    Column("half_width", Double),
    Column("drift", Double),
    Column("p90_ms", Double),
    Column("rounds", Integer, nullable=False),
    Column("tainted", Integer, nullable=False),
    Column("provenance", Json, nullable=False),
    Column("created", Double, nullable=False),
    Column("complete", Boolean, nullable=False),
)
