"""What a sweep plans, repeats, gives up and stores; an executor without processes reports to it."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from latbench.errors import StoreError, UsageError
from latbench.profiling.channel import pack_times
from latbench.profiling.child import KILLED
from latbench.profiling.ledger import Ledger
from latbench.profiling.process import Report, Task
from latbench.profiling.recording import Recorder
from latbench.profiling.subjects import Subject
from latbench.profiling.sweep import Instance, Sweep, SweepResult, in_turns
from latbench.store import JobRow, MeasurementRow, Store
from latbench.target import Target
from latbench.timing import Estimate, Protocol, levellings

Named = Callable[..., Subject]
Measure = Callable[..., SweepResult]


class Stage:
    """An executor that plays what its subjects' names say.

    That is ``dies``, ``killed N`` (from outside, in its first N processes), ``fails``, ``crowded``
    (fails in company), ``breaks`` (fails, and the process with it), ``sways`` (every other process
    measures 3 % more), ``unquiet`` (a third of its samples are not quiet) or neither.

    Attributes:
        groups: the names of each task's subjects, in the order of the tasks.
        before: how many processes each subject was said to have rounds of, by task.
        rounds: rounds that it gives to each subject.
        sentinel_ms: what it says of the sentinel.
        warm: what it says beside of each subject that is warm.
    """

    def __init__(self, name: str = "p", rounds: int = 3, sentinel_ms: float = 1.0) -> None:
        self.groups: list[list[str]] = []
        self.before: list[dict[str, int]] = []
        self.name = name
        self.rounds = rounds
        self.sentinel_ms = sentinel_ms
        self.warm: dict[str, object] = {}

    def run(self, task: Task, report: Report) -> str | None:
        """Report what a worker would, until a subject dies."""
        names = {job: workload.name for job, workload in task.workloads.items()}
        self.groups.append(sorted(names.values()))
        self.before.append({names[job]: len(medians) for job, medians in task.before.items()})
        process = f"{self.name}{len(self.groups)}"
        if any(map(self._is_killed, names.values())):
            return KILLED
        for job, name in names.items():
            report(process, {"type": "compiling", "job": job})
            crowded = name.startswith("crowded") and len(names) > 1
            if name.startswith(("fails", "breaks")) or crowded:
                report(process, {"type": "failed", "job": job, "reason": "no\n\x00such kernel"})
                if name.startswith("breaks"):
                    return "its process ended with exit code 1"
                continue
            report(
                process,
                {"type": "compiled", "job": job, "compile_ms": 1.0, "precision_run": "fp32"},
            )
            report(
                process,
                {
                    "type": "warm",
                    "job": job,
                    "steady": True,
                    "first_run_ms": 2.0,
                    "warmup_ms": 3.0,
                    **self.warm,
                },
            )
            if name.startswith("dies"):
                return "its process was killed by SIGSEGV"
            for number in range(self.rounds):
                report(process, self._round(job, number, name))
            report(process, {"type": "done", "job": job, "outcome": "converged"})
        for number in range(self.rounds):
            level = self.sentinel_ms + 0.001 * number
            report(process, {"type": "sentinel", "values_ms": [level], "samples": 1, "quiet": 1})
        return None

    def _is_killed(self, name: str) -> bool:
        if not name.startswith("killed"):
            return False
        return sum(name in group for group in self.groups) <= int(name.split()[1])

    def _round(self, job: str, number: int, name: str) -> dict[str, object]:
        more = 60_000 * (len(self.groups) % 2) if name.startswith("sways") else 0
        times = np.full(3, 2_000_000 + 1000 * number + more, dtype=np.int64)
        return {
            "type": "round",
            "job": job,
            "number": number,
            "started": 1000.0 * len(self.groups) + number,
            "inner": 2,
            "times": pack_times(times),
            "taints": [],
            "sentinel_ms": self.sentinel_ms + 0.001 * number,
            "quiet": [False, True, True] if name.startswith("unquiet") else None,
        }


def stored(store: Store, job: str) -> MeasurementRow:
    """Return the newest attempt at a job, which there must be."""
    row = store.measurement(job)
    assert row is not None
    return row


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def target() -> Target:
    return Target("cpu", "odd", "1.0")


@pytest.fixture
def measure(
    store: Store, target: Target, instance: Instance, fast: Protocol, stage: Stage
) -> Measure:
    """A function that sweeps over subjects on the stage."""

    def run(
        subjects: Sequence[Subject], retry_failed: bool = False, **settings: object
    ) -> SweepResult:
        arguments = {"protocol": fast, "executor": stage, **settings}
        return Sweep(store, target, instance, **arguments).run(  # type: ignore[arg-type]
            subjects, retry_failed
        )

    return run


def test_every_subject_is_timed_in_every_process(
    measure: Measure, named: Named, stage: Stage, store: Store
) -> None:
    """Two processes each: a latency in the middle of its interval, from all rounds of both."""
    result = measure([named("a"), named("b")])
    assert stage.groups == [["a", "b"], ["a", "b"]]
    assert result.measured == result.jobs
    assert (result.reused, result.failed) == ([], {})
    for job in result.jobs:
        row = stored(store, job)
        assert row.latency_ms == pytest.approx(1.0005)
        assert row.low_ms is not None
        assert row.high_ms is not None
        assert row.low_ms < 1.0005 < row.high_ms
        assert (row.status, row.rounds, row.tainted) == ("ok", 6, 0)
        processes = store.processes(job)
        assert [process.process for process in processes] == ["p1", "p2"]
        assert {process.compile_ms for process in processes} == {1.0}


def test_what_differs_between_processes_is_timed_in_more(
    measure: Measure, named: Named, stage: Stage, store: Store, fast: Protocol
) -> None:
    """Two more processes for the subject whose half-width is too wide, none for the other."""
    protocol = dataclasses.replace(fast, half_width=0.01, processes_extra=2)
    told: list[tuple[int, int]] = []
    result = measure(
        [named("a"), named("sways")],
        protocol=protocol,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert stage.groups == [["a", "sways"], ["a", "sways"], ["sways"], ["sways"]]
    assert [stored(store, job).rounds for job in result.jobs] == [6, 12]
    assert result.measured == result.jobs
    assert told[-1] == (6, 6)


def test_tainted_processes_are_not_made_up_for_without_end(
    measure: Measure, named: Named, store: Store, fast: Protocol
) -> None:
    """Where the rounds of all later processes are tainted, their number is bounded all the same."""

    class Disturbed(Stage):
        def _round(self, job: str, number: int, name: str) -> dict[str, object]:
            more = 60_000 * (number % 2)
            one = super()._round(job, number, name)
            times = np.full(3, 2_000_000 + more, dtype=np.int64)
            return {**one, "times": pack_times(times), "taints": self.taints}

        @property
        def taints(self) -> list[str]:
            return ["steal"] if len(self.groups) > 1 else []

    protocol = dataclasses.replace(fast, half_width=0.01, processes_extra=2)
    disturbed = Disturbed(rounds=4)
    (job,) = measure([named("a")], executor=disturbed, protocol=protocol).jobs
    assert len(disturbed.groups) == protocol.processes + protocol.processes_extra
    assert stored(store, job).status == "unstable"


def test_later_processes_know_of_earlier_rounds(
    measure: Measure, named: Named, stage: Stage
) -> None:
    """The stop rule of the second process counts what the first one gave."""
    measure([named("a")])
    assert stage.before == [{"a": 0}, {"a": 1}]


def test_a_second_sweep_reuses_everything(measure: Measure, named: Named, stage: Stage) -> None:
    """What is measured stays measured: no worker is started for it."""
    subjects = [named("a"), named("fails")]
    first = measure(subjects)
    tasks = len(stage.groups)
    again = measure(subjects)
    assert len(stage.groups) == tasks
    assert again.jobs == first.jobs
    assert again.measured == []
    assert again.reused == [first.jobs[0]]
    assert again.failed == first.failed


def test_only_what_is_missing_is_measured(measure: Measure, named: Named, stage: Stage) -> None:
    """A sweep over known and new subjects times the new ones."""
    measure([named("a"), named("b")])
    del stage.groups[:]
    result = measure([named("b"), named("c"), named("a")])
    assert stage.groups == [["c"], ["c"]]
    assert len(result.reused) == 2


def test_campaigns_and_protocols_are_jobs_of_their_own(
    measure: Measure, named: Named, stage: Stage, fast: Protocol
) -> None:
    """A repeat, and another way to time, measure the same subject again."""
    jobs = {
        measure([named("a")], **settings).jobs[0]
        for settings in (
            {},
            {"campaign": "repeat"},
            {"protocol": dataclasses.replace(fast, seed=1)},
        )
    }
    assert len(jobs) == 3
    assert len(stage.groups) == 6


def test_subjects_of_one_workload_are_measured_once(
    measure: Measure, named: Named, stage: Stage
) -> None:
    """Two subjects that compute alike share a job and its measurement."""
    twin = dataclasses.replace(named("a"), key="another name")
    result = measure([named("a"), twin, named("b")])
    assert stage.groups[0] == ["a", "b"]
    assert result.jobs[0] == result.jobs[1] != result.jobs[2]
    assert len(result.measured) == 2


def test_groups_are_small_and_change_company(measure: Measure, named: Named, stage: Stage) -> None:
    """At most 16 subjects share a process; all are timed once before any is timed again."""
    names = [f"{number:02}" for number in range(70)]
    measure([named(name) for name in names])
    assert [len(group) for group in stage.groups] == [14] * 5 * 2
    first, second = stage.groups[:5], stage.groups[5:]
    for groups in (first, second):
        assert sorted(name for group in groups for name in group) == names
    assert sorted(first) != sorted(second)


@pytest.mark.parametrize(
    ("subjects", "sizes"), [(4, [4]), (9, [9]), (12, [6, 6]), (20, [5] * 4), (40, [10] * 4)]
)
def test_few_subjects_are_timed_in_more_processes(
    measure: Measure, named: Named, stage: Stage, subjects: int, sizes: list[int]
) -> None:
    """Up to four groups, of five at least: a few processes may all be at the same wrong level."""
    measure([named(f"{number:02}") for number in range(subjects)])
    assert [len(group) for group in stage.groups] == sizes * 2


def test_a_failure_is_that_subjects_alone(
    measure: Measure, named: Named, stage: Stage, store: Store
) -> None:
    """What fails in its group has its reason, on one printable line; the others a latency."""
    result = measure([named("a"), named("fails"), named("b")])
    job = result.jobs[1]
    assert result.failed == {job: "no ?such kernel"}
    assert len(result.measured) == 2
    assert stage.groups == [["a", "b", "fails"], ["a", "b"]]
    row = stored(store, job)
    assert (row.status, row.latency_ms) == ("failed", None)


def test_the_guilty_of_a_dead_worker_is_found_alone(
    measure: Measure, named: Named, stage: Stage
) -> None:
    """Each subject that a dead worker left unfinished is timed in a process of its own."""
    names = ["dies 1", "dies 2", *(f"n{number}" for number in range(6))]
    result = measure([named(name) for name in names])
    assert set(result.failed) == set(result.jobs[:2])
    assert set(result.failed.values()) == {"its process was killed by SIGSEGV"}
    assert len(result.measured) == 6
    alone = [group for group in stage.groups if len(group) == 1]
    assert {"dies 1", "dies 2"} <= {name for group in alone for name in group}
    # A failure is final: the second pass begins without them.
    assert stage.groups[-1] == names[2:]


def test_the_last_one_unfinished_is_the_guilty(
    measure: Measure, named: Named, stage: Stage, fast: Protocol
) -> None:
    """Where all others had ended, nobody else can have brought the worker down."""
    result = measure([named("dies")])
    assert result.failed == {result.jobs[0]: "its process was killed by SIGSEGV"}
    assert stage.groups == [["dies"]]


@pytest.fixture
def card() -> Target:
    """A target on a card, which its subjects share."""
    return Target("v100", "odd", "1.0")


def test_who_fails_in_company_on_a_card_is_tried_alone(
    store: Store, card: Target, instance: Instance, fast: Protocol, named: Named, stage: Stage
) -> None:
    """Others fill its memory: only what fails alone has failed, once, with its own reason."""
    names = ["a", "crowded", "fails"]
    result = Sweep(store, card, instance, fast, executor=stage).run([named(one) for one in names])
    assert result.failed == {result.jobs[2]: "no ?such kernel"}
    assert result.measured == result.jobs[:2]
    assert [row.status for row in store.attempts(result.jobs[1])] == ["ok"]
    assert [row.status for row in store.attempts(result.jobs[2])] == ["failed"]
    assert stage.groups[0] == names
    assert sorted(stage.groups[1:3]) == [["crowded"], ["fails"]]
    assert stage.groups[3:] == [["a", "crowded"], ["crowded"]]


class Silent(Stage):
    """A stage whose workers begin on a card that tells nothing."""

    def run(self, task: Task, report: Report) -> str | None:
        report("p", {"type": "began", "provenance": {"card": {"untold": "there is no NVML"}}})
        return super().run(task, report)


def test_a_card_that_tells_nothing_is_noted_once(
    store: Store, card: Target, instance: Instance, fast: Protocol, named: Named
) -> None:
    """For the whole sweep: nobody must take its rounds for those of a card that ran freely."""
    sweep = Sweep(store, card, instance, fast, executor=Silent())
    with pytest.warns(RuntimeWarning) as noted:
        sweep.run([named("a"), named("b")])
    (note,) = noted
    assert str(note.message) == (
        "clocks and heat of the v100 are not recorded, and no round is left out because it was "
        "slowed: there is no NVML"
    )


def test_the_card_at_work_is_recorded_and_not_the_idle_one(
    store: Store, card: Target, instance: Instance, fast: Protocol, named: Named
) -> None:
    """The worker reads it once a subject is warm; without that, what was told before stays."""

    class Begun(Stage):
        def run(self, task: Task, report: Report) -> str | None:
            report("p", {"type": "began", "provenance": {"card": {"sm_clock_mhz": 210}}})
            return super().run(task, report)

    stage = Begun()
    for name, warm, clock_mhz in (("a", {"card": {"sm_clock_mhz": 1530}}, 1530), ("b", {}, 210)):
        stage.warm = dict(warm)
        (job,) = Sweep(store, card, instance, fast, executor=stage).run([named(name)]).jobs
        told = [stored(store, job).provenance, *(one.provenance for one in store.processes(job))]
        assert [one["card"]["sm_clock_mhz"] for one in told] == [clock_mhz] * 3


@pytest.mark.parametrize("company", [["a"], ["a", "b", "crowded"]])
def test_who_breaks_a_card_fails_alone(
    store: Store,
    card: Target,
    instance: Instance,
    fast: Protocol,
    named: Named,
    stage: Stage,
    company: list[str],
) -> None:
    """Its process ends with it, and whoever had not ended in it is measured all the same."""
    subjects = [named(name) for name in ["breaks", *company]]
    result = Sweep(store, card, instance, fast, executor=stage).run(subjects)
    assert result.failed == {result.jobs[0]: "no ?such kernel"}
    assert result.measured == result.jobs[1:]
    assert ["breaks"] in stage.groups


@pytest.mark.parametrize("company", [[], ["a", "b"]])
def test_who_is_killed_from_outside_is_innocent_at_first(
    measure: Measure, named: Named, stage: Stage, company: list[str]
) -> None:
    """A kill that comes once, from whoever it was, is made up for by another process."""
    times = 1 if not company else 2  # once among others, and once alone
    result = measure([named(name) for name in [f"killed {times}", *company]])
    assert result.failed == {}
    assert result.measured == result.jobs
    alone = [group for group in stage.groups if group == [f"killed {times}"]]
    assert len(alone) >= 2


def test_who_is_killed_each_time_fails(measure: Measure, named: Named, stage: Stage) -> None:
    """As the kernel kills what needs more memory than there is; its company is measured."""
    result = measure([named("killed 9"), named("a")])
    assert result.measured == [result.jobs[1]]
    (reason,) = result.failed.values()
    assert reason.startswith("its process was killed by SIGKILL again when it ran alone")
    assert "memory" in reason
    assert [group for group in stage.groups if "killed 9" in group] == [
        ["a", "killed 9"],
        ["killed 9"],
        ["killed 9"],
    ]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage whose every group takes eleven seconds, by the only clock that a budget sees."""
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("latbench.profiling.sweep.time", clock)

    class Slow(Stage):
        def run(self, task: Task, report: Report) -> str | None:
            now[0] += 11.0
            return super().run(task, report)

    return Slow()


def test_a_kill_after_the_budget_is_not_a_failure(
    measure: Measure, named: Named, store: Store, slow: Stage
) -> None:
    """There is no time for another process: the next sweep measures what is missing."""
    subject = named("killed 1")
    result = measure([subject], executor=slow, budget_s=10.0)
    assert "budget" in result.failed[result.jobs[0]]
    assert store.attempts(result.jobs[0]) == []
    assert measure([subject], executor=Stage("q")).failed == {}


def test_failures_are_repeated_on_request_alone(
    measure: Measure, named: Named, stage: Stage, store: Store
) -> None:
    """Without the request a failure is kept; with it another attempt is appended."""
    subject = named("fails")
    (job,) = measure([subject]).jobs
    measure([subject])
    assert len(stage.groups) == 1
    measure([subject], retry_failed=True)
    assert len(stage.groups) == 2
    assert [row.attempt for row in store.attempts(job)] == [1, 2]
    # The engine has been mended in between.
    mended = dataclasses.replace(
        subject, workload=dataclasses.replace(subject.workload, name="works")
    )
    result = measure([mended], retry_failed=True)
    assert (result.measured, result.failed) == ([job], {})
    assert [row.status for row in store.attempts(job)] == ["failed", "failed", "ok"]


def test_a_process_that_was_cut_short_is_made_up_for(
    measure: Measure, named: Named, stage: Stage, store: Store, fast: Protocol
) -> None:
    """After a stop the rounds are kept, and whole processes are added until there are enough."""

    class Stopped(Stage):
        def run(self, task: Task, report: Report) -> str | None:
            super().run(task, report)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure([named("a")], executor=Stopped("cut", rounds=1))
    (job,) = measure([named("a")]).jobs
    assert len(stage.groups) == fast.processes
    assert Counter(row.process for row in store.rounds(job)) == {"cut1": 1, "p1": 3, "p2": 3}
    assert stored(store, job).status == "ok"


def test_a_whole_process_counts_after_a_stop(
    measure: Measure, named: Named, stage: Stage, store: Store
) -> None:
    """A sweep that was stopped between its processes takes up the remaining one."""

    class Second(Stage):
        def run(self, task: Task, report: Report) -> str | None:
            if self.groups:
                raise KeyboardInterrupt
            return super().run(task, report)

    with pytest.raises(KeyboardInterrupt):
        measure([named("a")], executor=Second("whole"))
    (job,) = measure([named("a")]).jobs
    assert stage.groups == [["a"]]
    assert Counter(row.process for row in store.rounds(job)) == {"whole1": 3, "p1": 3}


def test_no_budget_measures_nothing(measure: Measure, named: Named, stage: Stage) -> None:
    """Without time no worker starts, and what had no turn says so."""
    result = measure([named("a")], budget_s=0.0)
    assert stage.groups == []
    assert "budget" in result.failed[result.jobs[0]]


def test_a_budget_ends_the_sweep_between_groups(
    measure: Measure,
    named: Named,
    stage: Stage,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What has rounds when the time is spent has a value; the rest is measured the next time."""
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("latbench.profiling.sweep.time", clock)

    class Slow(Stage):
        def run(self, task: Task, report: Report) -> str | None:
            assert task.budget_s == 5.0
            now[0] += 6.0
            return super().run(task, report)

    subjects = [named(f"{number}") for number in range(20)]
    result = measure(subjects, executor=Slow("slow"), budget_s=5.0)
    assert len(result.measured) == 5
    for job in result.measured:
        row = stored(store, job)
        assert row.status == "unconverged"
        assert row.latency_ms is not None
        assert "only 1 of 2 processes" in (row.reason or "")
    assert len(result.failed) == 15
    again = measure(subjects)
    assert set(again.measured) == set(result.jobs)
    assert again.failed == {}
    for job in again.measured:
        row = stored(store, job)
        assert row.complete
        assert row.rounds == 6
        assert "processes" not in (row.reason or "")
    assert measure(subjects).measured == []


def test_a_budget_is_not_spent_on_looking_for_the_guilty(
    measure: Measure, named: Named, slow: Stage
) -> None:
    """When a worker dies after the time is spent, nothing is tried alone."""
    measure([named("dies 1"), named("dies 2"), named("a")], executor=slow, budget_s=10.0)
    assert len(slow.groups) == 1


def test_the_sentinel_leaves_a_history(
    measure: Measure, named: Named, store: Store, target: Target, instance: Instance
) -> None:
    """Each process appends one value; it is in no table of the main campaign."""
    measure([named("a"), named("b")])
    assert store.sentinel_history(target.key, instance.id) == [1.001, 1.001]
    measure([named("c")])
    assert len(store.sentinel_history(target.key, instance.id)) == 4
    assert len(store.table()) == 3
    assert store.sentinel_history(target.key, "i1:another") == []


def test_few_passes_tell_nothing_of_drift(
    measure: Measure, named: Named, store: Store, target: Target, instance: Instance
) -> None:
    """A process with fewer than three passes adds nothing to the history."""
    measure([named("a")], executor=Stage(rounds=2))
    assert store.sentinel_history(target.key, instance.id) == []


def test_measured_drift_widens_the_interval(
    measure: Measure, named: Named, store: Store, fast: Protocol
) -> None:
    """Without a repeat of the sentinel that differs the floor counts, then what was measured."""
    first = measure([named("a")], executor=Stage(sentinel_ms=1.0))
    row = stored(store, first.jobs[0])
    assert row.drift is not None
    assert fast.drift_floor / 2 < row.drift <= fast.drift_floor
    for number, sentinel_ms in enumerate((1.1, 0.9, 1.2, 0.8)):
        result = measure([named(f"{number}")], executor=Stage(sentinel_ms=sentinel_ms))
    row = stored(store, result.jobs[0])
    assert row.drift is not None
    assert row.drift > 0.05
    assert row.half_width is not None
    assert row.latency_ms is not None
    u = math.hypot(row.half_width, 1.96 * row.drift)
    assert row.high_ms == pytest.approx(row.latency_ms * (1 + u), rel=1e-3)
    assert row.low_ms == pytest.approx(row.latency_ms * (1 - u), rel=1e-3)


def test_progress_counts_turns_to_the_end(measure: Measure, named: Named) -> None:
    """Progress grows to the number of turns, failures and all."""
    told: list[tuple[int, int]] = []
    measure(
        [named("a"), named("fails"), named("dies")],
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == sorted(told)
    assert told[-1] == (6, 6)


def test_a_database_that_goes_away_loses_nothing_that_was_committed(
    postgresql_server: Any,
    postgresql_url: str,
    named: Named,
    target: Target,
    instance: Instance,
    fast: Protocol,
) -> None:
    """The sweep ends with a reason; once the server is back, the next one does what is missing."""

    class Outage(Stage):
        """Stops the server before the fifth round of the sweep."""

        def run(self, task: Task, report: Report) -> str | None:
            rounds = count(1)

            def watched(process: str, message: dict[str, Any]) -> None:
                if message["type"] == "round" and next(rounds) == 5:
                    postgresql_server.stop()
                report(process, message)

            return super().run(task, watched)

    subjects = [named(name) for name in "abc"]
    try:
        with Store.open(postgresql_url) as store:
            sweep = Sweep(store, target, instance, fast, executor=Outage())
            with pytest.raises(StoreError, match="cannot be reached") as failure:
                sweep.run(subjects)
            assert "\n" not in str(failure.value)
    finally:
        postgresql_server.start()
    with Store.open(postgresql_url) as store:
        jobs = store.add_jobs(
            JobRow(target.key, instance.id, one.workload.id, fast.name, "main") for one in subjects
        )
        assert sum(len(store.rounds(job)) for job in jobs) == 4
        stage = Stage("q")
        result = Sweep(store, target, instance, fast, executor=stage).run(subjects)
        assert result.measured == jobs
        assert result.failed == {}
        assert sum(len(store.rounds(job)) for job in jobs) == 4 + sum(map(len, stage.groups)) * 3


def test_nothing_to_measure_is_fine(measure: Measure, stage: Stage) -> None:
    """An empty sweep is done at once."""
    assert measure([]) == SweepResult([], [], [], {})
    assert stage.groups == []


def test_another_batch_is_refused(measure: Measure, named: Named, stage: Stage) -> None:
    """A latency of one batch must not be stored under the target of another."""
    with pytest.raises(UsageError, match="batch 4 and the target 1"):
        measure([named("a"), named("b", batch=4)])
    assert stage.groups == []


# Several sweeps


@pytest.fixture
def together(store: Store, instance: Instance, fast: Protocol) -> Callable[..., list[SweepResult]]:
    """A function that runs sweeps over subjects, one for each runtime version, in turns."""

    def run(stage: Stage, **subjects: Sequence[Subject]) -> list[SweepResult]:
        return in_turns(
            [
                Sweep(store, Target("cpu", "odd", version), instance, fast, executor=stage).steps(
                    some
                )
                for version, some in subjects.items()
            ]
        )

    return run


class Diary(Stage):
    """A stage that writes down which runtime version each group was for, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: list[str] = []

    def run(self, task: Task, report: Report) -> str | None:
        self.versions.append(task.target.runtime_version)
        return super().run(task, report)


def test_runtimes_alternate_group_by_group(
    together: Callable[..., list[SweepResult]], named: Named
) -> None:
    """One after the other they would be measured on a machine that changed in between."""
    diary = Diary()
    many = [named(f"s{number}") for number in range(20)]
    first, second = together(diary, a=many, b=many)
    assert diary.versions == ["a", "b"] * 8
    assert len(first.measured) == len(second.measured) == 20
    assert diary.groups[0::2] == diary.groups[1::2]  # and in the same company


def test_no_runtime_runs_ahead(together: Callable[..., list[SweepResult]], named: Named) -> None:
    """The one with fewer groups waits for the end of the others' pass."""
    diary = Diary()
    many = [named(f"s{number}") for number in range(40)]
    few, all_of_them = together(diary, few=many[:2], all=many)
    assert diary.versions == ["few", "all", "all", "all", "all"] * 2
    assert (len(few.measured), len(all_of_them.measured)) == (2, 40)


def test_results_come_in_the_order_of_the_sweeps(
    together: Callable[..., list[SweepResult]], named: Named
) -> None:
    """Whichever ends first; one may have nothing to do, or only what fails."""
    results = together(
        Diary(), a=[named("x"), named("y")], none=[], failing=[named("fails"), named("x")]
    )
    assert [len(result.jobs) for result in results] == [2, 0, 2]
    assert [len(result.failed) for result in results] == [0, 0, 1]


def test_a_result_is_that_of_the_rounds_in_the_store(
    measure: Measure, named: Named, store: Store, fast: Protocol
) -> None:
    """What a sweep keeps up in memory is what it wrote: a reader finds the same."""
    jobs = measure([named("a"), named("sways")]).jobs
    ledger = Ledger(store)
    entries = {job: ledger[job] for job in jobs}
    told = levellings(ledger.seen(), fast)
    for job, entry in entries.items():
        row = stored(store, job)
        assert row.drift is not None
        found = Estimate.of(entry.rounds, fast, row.drift, entry.steady, told[job])
        assert found.rounds == row.rounds == 6
        assert (found.latency_ms, found.half_width) == (row.latency_ms, row.half_width)
        assert (found.low_ms, found.high_ms, found.status) == (row.low_ms, row.high_ms, row.status)


def test_company_sets_processes_level(
    measure: Measure, named: Named, store: Store, fast: Protocol
) -> None:
    """What every subject of a process has in common is the process's, and is taken out."""
    everyone = [named(f"sways {number}") for number in range(8)]
    protocol = dataclasses.replace(fast, drift_repeats=1)
    rows = [stored(store, job) for job in measure(everyone, protocol=protocol).jobs]
    assert all(row.half_width is not None and row.half_width < 0.004 for row in rows)


def test_what_was_stopped_before_it_was_settled_is_not_timed_again(
    measure: Measure, named: Named, stage: Stage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its rounds are in the store: the next sweep settles it from them."""

    def stop(*_: object) -> set[str]:
        raise KeyboardInterrupt

    subjects = [named(f"{number}") for number in range(6)]
    with monkeypatch.context() as patch:
        real = Recorder.settle
        patch.setattr(Recorder, "settle", lambda self, jobs: stop() if jobs else real(self, jobs))
        with pytest.raises(KeyboardInterrupt):
            measure(subjects)
    groups = len(stage.groups)
    result = measure(subjects)
    assert len(stage.groups) == groups
    assert len(result.measured) == 6
    assert all(stored(store, job).status == "ok" for job in result.jobs)


def test_company_is_known_to_a_sweep_that_goes_on(
    measure: Measure, named: Named, store: Store
) -> None:
    """What shared a process with a subject that is not settled is read from the store."""
    jobs = measure([named(f"{number}") for number in range(8)]).jobs
    measure([named("elsewhere")])
    ledger = Ledger(store)
    ledger.begin(jobs[:1])
    assert {job for job, _ in ledger.seen()} == set(jobs)


def test_equal_runs_have_equal_latencies(measure: Measure, named: Named, store: Store) -> None:
    """The share of undisturbed runs is the sweep's, not that of a subject's own few looks."""
    result = measure([named("unquiet"), *(named(f"{number}") for number in range(9))])
    one, *others = (stored(store, job) for job in result.jobs)
    assert {other.latency_ms for other in others} == {one.latency_ms}
    alone = stored(store, measure([named("unquiet alone")]).jobs[0])
    assert alone.latency_ms is not None
    assert one.latency_ms is not None
    assert alone.latency_ms < one.latency_ms
