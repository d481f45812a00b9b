"""A sweep: plan what is missing, time it group by group, commit every round as it ends.

Each subject is timed in several processes, and in more where those disagree. All groups run once
before any runs again, in another order and other company, so that a subject's rounds span the
sweep. Rounds are in the store as soon as they end: a sweep that is stopped, at any moment, goes on
where it was.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from latbench.errors import UsageError
from latbench.profiling.child import KILLED
from latbench.profiling.process import Executor, LocalExecutor, Task
from latbench.profiling.recording import Recorder, Turn
from latbench.profiling.subjects import Subject, sentinel
from latbench.spaces.workload import Workload
from latbench.store import Store
from latbench.store.rows import InstanceRow, JobRow, WorkloadRow
from latbench.target import Target
from latbench.timing import Protocol

GROUP_SIZE = 16
_LEAST_GROUPS = 4
_LEAST_COMPANY = 5
_AGAIN = (
    " again when it ran alone, as the kernel does where memory is short (dmesg tells); take a "
    "smaller batch, or a machine with more memory"
)


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


Steps = Generator[int, None, SweepResult]
"""A sweep in steps, see :meth:`Sweep.steps`."""


class Sweep:
    """Measures subjects on one target and instance into a store."""

    def __init__(
        self,
        store: Store,
        target: Target,
        instance: Instance,
        protocol: Protocol,
        campaign: str = "main",
        executor: Executor | None = None,
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
        self._budget_s = math.inf if budget_s is None else budget_s
        self._on_progress = on_progress
        self._recorder = Recorder(store, target, instance.id, protocol)

    def run(self, subjects: Sequence[Subject], retry_failed: bool = False) -> SweepResult:
        """Measure what the store does not hold yet.

        Args:
            subjects: what to measure; several may share one workload, which is measured once.
            retry_failed: measure those again that failed before.

        Raises:
            UsageError: a subject of another batch than the target's.
        """
        (result,) = in_turns([self.steps(subjects, retry_failed)])
        return result

    def steps(self, subjects: Sequence[Subject], retry_failed: bool = False) -> Steps:
        """Do what :meth:`run` does in steps, so that several sweeps can take turns.

        Yields:
            the number of the pass over all groups that the next step, one group, belongs to.
        """
        deadline = time.monotonic() + self._budget_s
        jobs = self._register(subjects)
        workloads = {job: subject.workload for job, subject in zip(jobs, subjects, strict=True)}
        settled = self._store.measured(workloads, retry_failed)
        pending = [job for job in workloads if job not in settled]
        yield from self._measure(pending, workloads, deadline)
        failed = self._failures(workloads)
        return SweepResult(
            jobs=jobs,
            measured=[job for job in pending if job not in failed],
            reused=[job for job in workloads if job in settled and job not in failed],
            failed=failed,
        )

    def _measure(
        self, pending: Sequence[str], workloads: Mapping[str, Workload], deadline: float
    ) -> Iterator[int]:
        turns = self._recorder.plan(pending)
        total = sum(turns.values())
        rng = np.random.default_rng(self._protocol.seed)
        for number in itertools.count():
            # Once all groups have run, and not before, each subject's company is known.
            ended = [job for job, left in turns.items() if left == 0]
            again = self._recorder.settle(ended)
            turns = {job: left or 1 for job, left in turns.items() if left or job in again}
            total += len(again)
            if not turns or time.monotonic() >= deadline:
                break
            for group in _groups(list(turns), rng):
                yield number
                if time.monotonic() >= deadline:
                    break
                failed, cut = self._time({job: workloads[job] for job in group}, deadline)
                for job in set(group) - cut:
                    turns[job] -= 1
                    if job in failed:
                        del turns[job]
                self._on_progress(total - sum(turns.values()), total)
        self._recorder.settle_cut(turns)  # the budget is spent: what has rounds has a value

    def _time(
        self, group: Mapping[str, Workload], deadline: float, killed: bool = False
    ) -> tuple[set[str], set[str]]:
        """Time ``group`` in one process; return which jobs failed, and which the budget cut off.

        If the process dies, each subject that it left unfinished gets one of its own, so that the
        guilty one fails alone; so does each that failed in company on a card. One that somebody
        else killed may be innocent: it gets another one, unless it was ``killed`` alone before, as
        it is if it needs more memory than there is.
        """
        turn = Turn(self._recorder, list(group))
        task = Task(
            target=self._target,
            instance=self._instance.id,
            protocol=self._protocol,
            workloads=group,
            before={job: self._recorder.clean_rounds(job) for job in group},
            sentinel=sentinel(),
            budget_s=None if math.isinf(deadline) else deadline - time.monotonic(),
        )
        death = self._executor.run(task, turn.report)
        turn.end()
        alone = len(turn.unfinished) == 1 and not turn.doubted
        if death is not None and alone and (killed or death != KILLED):
            self._recorder.fail(turn.unfinished[0], f"{death}{_AGAIN if death == KILLED else ''}")
            return {*turn.failed, *turn.unfinished}, turn.cut
        failed, cut = turn.failed, turn.cut
        for job in turn.doubted if death is None else turn.unfinished:
            if time.monotonic() >= deadline:
                cut.add(job)
                continue
            found = self._time({job: group[job]}, deadline, killed=alone)
            failed |= found[0]
            cut |= found[1]
        return failed, cut

    def _failures(self, jobs: Mapping[str, Workload]) -> dict[str, str]:
        return {
            job: why or "the budget was spent before its turn; run the command again"
            for job, why in self._store.without_latency(jobs).items()
        }

    def _register(self, subjects: Sequence[Subject]) -> list[str]:
        for subject in subjects:
            if subject.batch != self._target.batch:
                raise UsageError(
                    f"{subject.key} has batch {subject.batch} and the target {self._target.batch}; "
                    "make the subjects for the target's batch"
                )
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


def in_turns(sweeps: Sequence[Steps]) -> list[SweepResult]:
    """Run :meth:`Sweep.steps` of several sweeps group by group in turns; return their results.

    What changes on the machine with time then hits all of them alike. No sweep begins a pass
    before every other one has ended the pass before it.
    """
    results: list[SweepResult | None] = [None] * len(sweeps)
    # The pass of its next step, the steps it has done, and its place: the least is the next.
    turns = [(0, 0, place) for place in range(len(sweeps))]
    while turns:
        _, done, place = heapq.heappop(turns)
        try:
            heapq.heappush(turns, (next(sweeps[place]), done + 1, place))
        except StopIteration as end:
            results[place] = end.value
    return [result for result in results if result is not None]


def _groups(jobs: Sequence[str], rng: np.random.Generator) -> list[list[str]]:
    """Return ``jobs`` in random groups of equal size, at most :data:`GROUP_SIZE`.

    What all processes of a sweep share, none of them tells, so a small sweep has more of them.
    """
    least = min(_LEAST_GROUPS, len(jobs) // _LEAST_COMPANY)
    count = max(-(-len(jobs) // GROUP_SIZE), least)
    shuffled = [jobs[index] for index in rng.permutation(len(jobs))]
    return [shuffled[start::count] for start in range(count)]
