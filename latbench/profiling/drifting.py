"""The sentinel's history: how far one fixed workload moves between processes and hours."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from latbench.profiling.subjects import sentinel
from latbench.store import Store
from latbench.store.rows import JobRow, MeasurementRow
from latbench.target import Target
from latbench.timing import Digest, Protocol
from latbench.timing.bootstrap import half_width
from latbench.timing.undisturbed import undisturbed_ms

_LEAST_PASSES = 3


def record_sentinel(
    store: Store,
    target: Target,
    instance: str,
    protocol: Protocol,
    passes: Sequence[Digest],
    provenance: Mapping[str, Any],
    quiet: float | None = None,
) -> None:
    """Append what one process measured of the sentinel, in a campaign of its own.

    Args:
        store: takes it; the sentinel's workload is in it already.
        target: what was measured.
        instance: the id of the instance.
        protocol: how it was timed.
        passes: what each pass measured. Fewer than three tell too little and are left out.
        provenance: where and how, see :func:`latbench.profiling.provenance.provenance`.
        quiet: share of quiet samples in the whole sweep; by default that of the passes.
    """
    if len(passes) < _LEAST_PASSES:
        return
    latency_ms = undisturbed_ms(passes, quiet)
    h = half_width([passes], protocol.bootstrap, protocol.confidence, protocol.seed, quiet)
    campaign = f"sentinel:{uuid.uuid4().hex[:12]}"
    job = store.add_job(JobRow(target.key, instance, sentinel().id, protocol.name, campaign))
    store.add_measurement(
        MeasurementRow(
            job_id=job,
            status="ok",
            latency_ms=latency_ms,
            low_ms=latency_ms * max(0.0, 1 - h),
            high_ms=latency_ms * (1 + h),
            half_width=h,
            rounds=len(passes),
            provenance=provenance,
        )
    )
