"""The first tables. There is no way back: it would drop measurements."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table of the first release."""
    op.create_table(
        "instances",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
    )
    op.create_table(
        "targets",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("runtime", sa.Text, nullable=False),
        sa.Column("runtime_version", sa.Text, nullable=False),
        sa.Column("precision", sa.Text, nullable=False),
        sa.Column("batch", sa.Integer, nullable=False),
        sa.Column("threads", sa.Integer, nullable=False),
    )
    op.create_table(
        "workloads",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("nodes", sa.Integer, nullable=False),
        sa.Column("macs", sa.Double),
        sa.Column("params", sa.Double),
    )
    op.create_table(
        "subjects",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("space", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("batch", sa.Integer, nullable=False),
        sa.Column("workload_id", sa.Text, sa.ForeignKey("workloads.id"), nullable=False),
        sa.Column("arch_hash", sa.Text),
    )
    op.create_index("subjects_of_workload", "subjects", ["workload_id"])
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("target_key", sa.Text, sa.ForeignKey("targets.key"), nullable=False),
        sa.Column("instance_id", sa.Text, sa.ForeignKey("instances.id"), nullable=False),
        sa.Column("workload_id", sa.Text, sa.ForeignKey("workloads.id"), nullable=False),
        sa.Column("protocol", sa.Text, nullable=False),
        sa.Column("campaign", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
    )
    op.create_index("jobs_of_target", "jobs", ["target_key", "instance_id"])
    op.create_table(
        "processes",
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("process", sa.Text, primary_key=True),
        sa.Column("precision_run", sa.Text, nullable=False),
        sa.Column("provenance", sa.Text, nullable=False),
        sa.Column("first_run_ms", sa.Double),
        sa.Column("compile_ms", sa.Double),
        sa.Column("warmup_ms", sa.Double),
        sa.Column("steady", sa.Boolean, nullable=False),
    )
    op.create_table(
        "rounds",
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("process", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("inner", sa.BigInteger, nullable=False),
        sa.Column("times", sa.LargeBinary, nullable=False),
        sa.Column("median_ms", sa.Double, nullable=False),
        sa.Column("taints", sa.Text, nullable=False),
        sa.Column("sentinel_ms", sa.Double),
        sa.Column("quiet", sa.LargeBinary),
    )
    op.create_table(
        "measurements",
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("latency_ms", sa.Double),
        sa.Column("low_ms", sa.Double),
        sa.Column("high_ms", sa.Double),
        sa.Column("half_width", sa.Double),
        sa.Column("drift", sa.Double),
        sa.Column("p90_ms", sa.Double),
        sa.Column("rounds", sa.Integer, nullable=False),
        sa.Column("tainted", sa.Integer, nullable=False),
        sa.Column("provenance", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("complete", sa.Boolean, nullable=False),
    )
