"""What goes into a store and comes out of it, one dataclass a table."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.store.canonical import digest

STATUSES = ("ok", "unconverged", "unstable", "failed")
_NO_JSON: Mapping[str, Any] = {}


@dataclass(frozen=True)
class InstanceRow:
    """One machine or card of a device model, known by its fingerprint ``id``."""

    id: str
    device: str
    facts: Mapping[str, Any] = field(default_factory=lambda: _NO_JSON)


@dataclass(frozen=True)
class WorkloadRow:
    """A graph with input shapes.

    Attributes:
        id: its identity, ``g1:…``.
        name: a name for people.
        inputs: JSON: the input names with their shapes and dtypes.
        nodes: operators of the graph.
        macs: multiply-accumulates of one run, None where unknown.
        params: weights, None where unknown.
    """

    id: str
    name: str
    inputs: Any
    nodes: int
    macs: float | None = None
    params: float | None = None


@dataclass(frozen=True)
class SubjectRow:
    """What a workload stands for: many blocks and networks may share one workload.

    Attributes:
        space: canonical JSON of the space's spec.
        kind: ``block`` or ``network``.
        key: the block's key, or the canonical JSON of the architecture.
        workload: the id of the workload.
        batch: images a run, by which the workloads of one subject differ.
        arch_hash: the architecture's hash, for networks.
    """

    space: str
    kind: Literal["block", "network"]
    key: str
    workload: str
    batch: int = 1
    arch_hash: str | None = None

    @property
    def id(self) -> str:
        """Its identity: space, kind, key and batch."""
        return digest("s1", self.space, self.kind, self.key, self.batch)


@dataclass(frozen=True)
class JobRow:
    """One thing to measure once: a workload on a target and an instance.

    Attributes:
        target: the key of the target.
        instance: the id of the instance.
        workload: the id of the workload.
        protocol: how it is timed, with its version.
        campaign: ``main``, or the campaign of a repeat, an A/A pair or a sentinel.
        created: Unix time in seconds.
    """

    target: str
    instance: str
    workload: str
    protocol: str
    campaign: str = "main"
    created: float = field(default_factory=time.time, compare=False)

    @property
    def id(self) -> str:
        """Its identity: everything but the time."""
        return digest("j1", self.target, self.instance, self.workload, self.protocol, self.campaign)


@dataclass(frozen=True)
class ProcessRow:
    """One worker process that timed a job.

    Attributes:
        job_id: the job.
        process: a unique id of the worker process.
        precision_run: the precision that really ran.
        provenance: JSON: where and how it ran.
        first_run_ms: the first run after compiling.
        compile_ms: time to compile.
        warmup_ms: time until the steady state.
        steady: whether a steady state was found.
    """

    job_id: str
    process: str
    precision_run: str
    provenance: Mapping[str, Any] = field(default_factory=lambda: _NO_JSON)
    first_run_ms: float | None = None
    compile_ms: float | None = None
    warmup_ms: float | None = None
    steady: bool = True


@dataclass(frozen=True, eq=False)
class RoundRow:
    """One round of samples.

    Attributes:
        job_id: the job.
        process: the worker process.
        number: counts the rounds of the job in that process.
        started: Unix time in seconds.
        inner: runs in each sample.
        times_ns: elapsed time of each sample, shape (samples,), of ``inner`` runs together.
        median_ms: median latency of one run, over all samples.
        taints: causes that taint the round; empty for a clean one.
        sentinel_ms: the sentinel's latency just before, None without one.
        quiet: whether each sample's core was undisturbed, shape (samples,); None if not probed.
    """

    job_id: str
    process: str
    number: int
    started: float
    inner: int
    times_ns: npt.NDArray[np.int64]
    median_ms: float
    taints: tuple[str, ...] = ()
    sentinel_ms: float | None = None
    quiet: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class MeasurementRow:
    """The result of a job.

    Attributes:
        job_id: the job.
        status: one of :data:`STATUSES`.
        reason: why it failed, or what is doubtful about it.
        latency_ms: the estimate; None only where there is none.
        low_ms: lower end of the published interval.
        high_ms: upper end of the published interval.
        half_width: half-width within the run, relative to the latency.
        drift: the relative s_drift that went into the interval.
        p90_ms: 90th percentile of single runs, None where too few allow it.
        rounds: rounds that went into the estimate.
        tainted: rounds left out.
        provenance: JSON: where and how it was measured.
        created: Unix time in seconds.
        complete: False if a budget cut it off: another attempt may then follow.
        attempt: 1 for the first; the store counts, what is given here is not used.

    Raises:
        UsageError: an unknown status, a failure without a reason or with a latency, a latency
            without its interval, or a number that is not finite.
    """

    job_id: str
    status: str
    reason: str | None = None
    latency_ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    half_width: float | None = None
    drift: float | None = None
    p90_ms: float | None = None
    rounds: int = 0
    tainted: int = 0
    provenance: Mapping[str, Any] = field(default_factory=lambda: _NO_JSON)
    created: float = field(default_factory=time.time)
    complete: bool = True
    attempt: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        """Check what the status promises."""
        if self.status not in STATUSES:
            raise UsageError(f"no status {self.status!r}; one of {', '.join(STATUSES)}")
        numbers = {
            name: getattr(self, name)
            for name in ("latency_ms", "low_ms", "high_ms", "half_width", "drift", "p90_ms")
        }
        for name, number in numbers.items():
            if number is not None and not math.isfinite(number):
                raise UsageError(
                    f"{name} is {number}; store a failure with its reason instead of it"
                )
        if self.status == "failed":
            if not self.reason or self.latency_ms is not None:
                raise UsageError("a failed measurement has a reason and no latency")
            return
        interval = (self.low_ms, self.high_ms, self.half_width)
        if self.latency_ms is None and self.status != "unstable":
            raise UsageError(f"a measurement with status {self.status!r} needs latency_ms")
        if self.latency_ms is not None and None in interval:
            raise UsageError("latency_ms needs its interval: low_ms, high_ms and half_width")
