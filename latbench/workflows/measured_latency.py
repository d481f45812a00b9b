"""Measured latencies of single networks: the winner's, and those that a search follows."""

from __future__ import annotations

import numpy as np

from latbench.errors import MeasurementError
from latbench.profiling.subjects import Subject, network_subjects
from latbench.profiling.sweep import Instance, Sweep
from latbench.spaces import FloatArray, IntArray, SearchSpace
from latbench.store import Store
from latbench.target import Target
from latbench.timing import Protocol
from latbench.workflows.found import Latency


class MeasuredLatency:
    """Times architectures as they are asked for; what the store has already is not timed again.

    Attributes:
        asked: the latencies of all that were asked for, by architecture.
    """

    def __init__(
        self,
        store: Store,
        space: SearchSpace,
        target: Target,
        instance: Instance,
        protocol: Protocol | None = None,
    ) -> None:
        """Bind what is measured, where it is measured, and how: quickly by default."""
        self._store = store
        self._space = space
        self._target = target
        self._sweep = Sweep(store, target, instance, protocol or Protocol.quick())
        self.asked: dict[tuple[int, ...], float] = {}

    def __call__(self, X: IntArray) -> FloatArray:
        """Return the measured latency in ms of each architecture of ``X`` (n, choices), (n,).

        Raises:
            MeasurementError: one of them has no latency; the text says which, and why.
        """
        rows = [tuple(map(int, x)) for x in self._space.check(X)]
        new = [row for row in dict.fromkeys(rows) if row not in self.asked]
        if new:
            subjects = network_subjects(self._space, np.array(new), self._target.batch)
            jobs = self._sweep.run(subjects).jobs
            for row, job, subject in zip(new, jobs, subjects, strict=True):
                self.asked[row] = latency_of(self._store, job, subject).latency_ms
        return np.array([self.asked[row] for row in rows])


def latency_of(store: Store, job: str, subject: Subject) -> Latency:
    """Return what a sweep measured of ``subject``.

    Raises:
        MeasurementError: it has no latency; the text says why.
    """
    row = store.measurement(job)
    if row is None or row.latency_ms is None or row.low_ms is None or row.high_ms is None:
        reason = row.reason if row is not None else "its turn did not come"
        raise MeasurementError(f"the {subject.kind} {subject.key} has no latency: {reason}")
    return Latency(row.latency_ms, row.low_ms, row.high_ms, row.status)
