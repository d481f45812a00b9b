"""The sentinel's history: how far one fixed workload moves between processes and hours."""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Sequence

from latbench.profiling.provenance import provenance
from latbench.spaces.workload import Workload
from latbench.store import Store
from latbench.store.rows import JobRow, MeasurementRow
from latbench.target import Target
from latbench.timing import Protocol
from latbench.timing.bootstrap import half_width

_LEAST_PASSES = 3


def sentinel_job(target: Target, instance: str, protocol: Protocol, workload: Workload) -> JobRow:
    """Return the job of one repeat of the sentinel, in a campaign of its own."""
    campaign = f"sentinel:{uuid.uuid4().hex[:12]}"
    return JobRow(target.key, instance, workload.id, protocol.name, campaign)


def record_sentinel(
    store: Store, target: Target, job: JobRow, passes_ms: Sequence[float], protocol: Protocol
) -> None:
    """Append what one process measured of the sentinel, one median a pass, in ms.

    A process with fewer than three passes tells too little and is left out.
    """
    if len(passes_ms) < _LEAST_PASSES:
        return
    latency_ms = statistics.median(passes_ms)
    h = half_width([list(passes_ms)], protocol.bootstrap, protocol.confidence, protocol.seed)
    store.add_job(job)
    store.add_measurement(
        MeasurementRow(
            job_id=job.id,
            status="ok",
            latency_ms=latency_ms,
            low_ms=latency_ms * max(0.0, 1 - h),
            high_ms=latency_ms * (1 + h),
            half_width=h,
            rounds=len(passes_ms),
            provenance=provenance(target),
        )
    )
