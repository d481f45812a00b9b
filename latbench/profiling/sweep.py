"""A sweep: plan what is missing, time it group by group, commit every round as it ends.

Each subject is timed in several processes. All groups run once before any runs again, in another
order and other company, so that a subject's rounds span the sweep. Rounds are in the store as soon
as they end: a sweep that is stopped, at any moment, goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from latbench.profiling.channel import Message, unpack_times
from latbench.profiling.drifting import record_sentinel, sentinel_job
from latbench.profiling.process import LocalExecutor, Task
from latbench.profiling.provenance import provenance
from latbench.profiling.subjects import Subject, sentinel
from latbench.store import Store
from latbench.store.rows import (
    InstanceRow,
    JobRow,
    MeasurementRow,
    ProcessRow,
    RoundRow,
    WorkloadRow,
)
from latbench.target import Target
from latbench.timing import Estimate, Protocol, Round, drift_of

GROUP_SIZE = 16


@dataclass(frozen=True)
class Instance:
    """The machine or card that is measured: its id, its device and its facts."""

    id: str
    device: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SweepResult:
    """What a sweep did.

    Attributes:
        jobs: job id of each subject, in their order.
        measured: jobs that were measured now.
        reused: jobs whose measurement was there before.
        failed: reason by job, for those without a latency.
    """

    jobs: list[str]
    measured: list[str]
    reused: list[str]
    failed: dict[str, str]


class Sweep:
    """Measures subjects on one target and instance into a store."""

    def __init__(
        self,
        store: Store,
        target: Target,
        instance: Instance,
        protocol: Protocol,
        campaign: str = "main",
        executor: LocalExecutor | None = None,
        budget_s: float | None = None,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Prepare a sweep.

        Args:
            store: takes the measurements.
            target: what they belong to.
            instance: where they are taken.
            protocol: how they are timed.
            campaign: ``main``, or the name of a repeat.
            executor: runs the groups; worker processes on this machine by default.
            budget_s: no group begins after this many seconds.
            on_progress: told how many turns (a subject in a process) are done, of how many.
        """
        self._store = store
        self._target = target
        self._instance = instance
        self._protocol = protocol
        self._campaign = campaign
        self._executor = executor or LocalExecutor()
        self._budget_s = budget_s
        self._on_progress = on_progress

    def run(self, subjects: Sequence[Subject], retry_failed: bool = False) -> SweepResult:
        """Measure what the store does not hold yet.

        Args:
            subjects: what to measure; several may share one workload, which is measured once.
            retry_failed: measure those again that failed before.
        """
        deadline = None if self._budget_s is None else time.monotonic() + self._budget_s
        jobs = self._register(subjects)
        workloads = {job: subject.workload for job, subject in zip(jobs, subjects, strict=True)}
        settled = self._store.measured(workloads, retry_failed)
        course = _Course(
            self._store, {job: w for job, w in workloads.items() if job not in settled}
        )
        turns = course.turns(self._protocol.processes)
        total, done = sum(turns.values()), 0
        rng = np.random.default_rng(self._protocol.seed)
        while course.waiting(turns):
            for group in _groups(course.waiting(turns), rng):
                left_s = None if deadline is None else deadline - time.monotonic()
                if left_s is not None and left_s <= 0:
                    turns.clear()
                    break
                self._time(group, course, left_s)
                for job in group:
                    turns[job] = 0 if job in course.failed else turns[job] - 1
                done = total - sum(turns.values())
                self._on_progress(done, total)
                for job in group:
                    if not turns[job]:
                        self._settle(job, course)
        unsettled = [job for job in course.workloads if job not in course.settled]
        for job in unsettled:
            self._settle(job, course)
        failed = {}
        for job in workloads:
            row = self._store.measurement(job)
            if row is None:
                failed[job] = "the budget was spent before its turn; run the command again"
            elif row.latency_ms is None:
                failed[job] = row.reason or row.status
        return SweepResult(
            jobs=jobs,
            measured=[job for job in course.workloads if job not in failed],
            reused=[job for job in workloads if job in settled and job not in failed],
            failed=failed,
        )

    def _register(self, subjects: Sequence[Subject]) -> list[str]:
        store, fixed = self._store, sentinel()
        store.add_instance(
            InstanceRow(self._instance.id, self._instance.device, self._instance.facts)
        )
        store.add_target(self._target)
        workloads = {subject.workload.id: subject.workload for subject in subjects}
        workloads[fixed.id] = fixed
        store.add_workloads(
            WorkloadRow(
                workload.id,
                workload.name,
                [[spec.name, list(spec.shape), spec.dtype] for spec in workload.inputs],
                workload.nodes,
                workload.macs,
                workload.params,
            )
            for workload in workloads.values()
        )
        rows = [subject.row() for subject in subjects]
        store.add_subjects(row for row in rows if row is not None)
        return store.add_jobs(
            JobRow(
                self._target.key,
                self._instance.id,
                subject.workload.id,
                self._protocol.name,
                self._campaign,
            )
            for subject in subjects
        )

    def _time(self, group: Sequence[str], course: _Course, left_s: float | None) -> None:
        """Time ``group`` in one process; if it dies, each of its subjects in one of its own."""
        end = self._attempt(group, course, left_s)
        if end is None:
            return
        rest = [job for job in group if job not in course.failed and job not in course.finished]
        if len(rest) == 1:
            self._fail(rest[0], end, course)
            return
        for job in rest:
            alone = self._attempt([job], course, left_s)
            if alone is not None and job not in course.finished:
                self._fail(job, alone, course)

    def _attempt(self, group: Sequence[str], course: _Course, left_s: float | None) -> str | None:
        course.finished.clear()
        collected: list[float] = []
        store = self._store

        def report(process: str, message: Message) -> None:
            kind, job = message["type"], message.get("job", "")
            if kind == "compiled":
                course.compiled[job] = message
            elif kind == "warm":
                store.add_process(
                    ProcessRow(
                        job_id=job,
                        process=process,
                        precision_run=course.compiled[job]["precision_run"],
                        provenance=provenance(self._target),
                        first_run_ms=message["first_run_ms"],
                        compile_ms=course.compiled[job]["compile_ms"],
                        warmup_ms=message["warmup_ms"],
                        steady=message["steady"],
                    )
                )
            elif kind == "round":
                store.add_round(_round_row(job, process, message))
                if message["sentinel_ms"] is not None:
                    collected.append(message["sentinel_ms"])
            elif kind == "failed":
                self._fail(job, message["reason"], course)
            elif kind == "done":
                course.finished.add(job)

        task = Task(
            target=self._target,
            protocol=self._protocol,
            workloads={job: course.workloads[job] for job in group},
            before={job: course.medians(job) for job in group},
            sentinel=sentinel(),
            budget_s=left_s,
        )
        end = self._executor.run(task, report)
        if collected:
            job = sentinel_job(self._target, self._instance.id, self._protocol, sentinel())
            passes = list(dict.fromkeys(collected))  # one value for all rounds of a pass
            record_sentinel(store, self._target, job, passes, self._protocol)
        return end

    def _fail(self, job: str, reason: str, course: _Course) -> None:
        course.failed.add(job)
        course.settled.add(job)
        self._store.add_measurement(
            MeasurementRow(job, "failed", reason=reason, provenance=provenance(self._target))
        )

    def _settle(self, job: str, course: _Course) -> None:
        """Store the estimate of ``job`` from all its rounds, if it has any."""
        if job in course.settled:
            return
        rounds = course.rounds(job)
        if not rounds:
            return
        course.settled.add(job)
        history = self._store.sentinel_history(self._target.key, self._instance.id)
        steady = all(process.steady for process in self._store.processes(job))
        estimate = Estimate.of(rounds, self._protocol, drift_of(history, self._protocol), steady)
        self._store.add_measurement(
            MeasurementRow(
                job_id=job,
                status=estimate.status,
                reason=estimate.reason,
                latency_ms=estimate.latency_ms,
                low_ms=estimate.low_ms,
                high_ms=estimate.high_ms,
                half_width=estimate.half_width,
                drift=estimate.drift,
                p90_ms=estimate.p90_ms,
                rounds=estimate.rounds,
                tainted=estimate.tainted,
                provenance=provenance(self._target),
            )
        )


class _Course:
    """Where a sweep stands: what is left, what failed, what is settled."""

    def __init__(self, store: Store, workloads: Mapping[str, Any]) -> None:
        self._store = store
        self.workloads = dict(workloads)
        self.compiled: dict[str, Message] = {}
        self.finished: set[str] = set()
        self.failed: set[str] = set()
        self.settled: set[str] = set()

    def turns(self, processes: int) -> dict[str, int]:
        """Return how many processes each job still needs: at least one, as nothing is settled."""
        return {
            job: max(1, processes - len({one.process for one in self._store.rounds(job)}))
            for job in self.workloads
        }

    def waiting(self, turns: Mapping[str, int]) -> list[str]:
        """Return the jobs that have turns left."""
        return [job for job in self.workloads if turns.get(job, 0) > 0]

    def rounds(self, job: str) -> list[Round]:
        """Return every round of ``job``."""
        return [
            Round(
                row.process,
                row.number,
                row.started,
                row.inner,
                row.times_ns,
                row.taints,
                row.sentinel_ms,
            )
            for row in self._store.rounds(job)
        ]

    def medians(self, job: str) -> dict[str, list[float]]:
        """Return the medians of the clean rounds of ``job`` in ms, by process."""
        medians: dict[str, list[float]] = {}
        for row in self._store.rounds(job):
            if not row.taints:
                medians.setdefault(row.process, []).append(row.median_ms)
        return medians


def _groups(jobs: Sequence[str], rng: np.random.Generator) -> list[list[str]]:
    """Return ``jobs`` in random groups of equal size, at most :data:`GROUP_SIZE`."""
    count = -(-len(jobs) // GROUP_SIZE)
    shuffled = [jobs[index] for index in rng.permutation(len(jobs))]
    return [shuffled[start::count] for start in range(count)]


def _round_row(job: str, process: str, message: Message) -> RoundRow:
    times_ns = unpack_times(message["times"])
    return RoundRow(
        job_id=job,
        process=process,
        number=message["number"],
        started=message["started"],
        inner=message["inner"],
        times_ns=times_ns,
        median_ms=float(np.median(times_ns)) / message["inner"] / 1e6,
        taints=tuple(message["taints"]),
        sentinel_ms=message["sentinel_ms"],
    )
