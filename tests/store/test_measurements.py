"""Results are appended: one a job, after any number of failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from latbench.store import MeasurementRow, ProcessRow, RoundRow, Store
from latbench.target import Target

NewJob = Callable[..., str]


def _ok(job_id: str, latency_ms: float = 1.0, **more: Any) -> MeasurementRow:
    more = {"status": "ok", **more}
    return MeasurementRow(
        job_id,
        latency_ms=latency_ms,
        low_ms=latency_ms * 0.99,
        high_ms=latency_ms * 1.01,
        half_width=0.01,
        **more,
    )


def test_first_result_stays(store: Store, new_job: NewJob) -> None:
    """A second process that measured the same job changes nothing."""
    job_id = new_job(store)
    assert store.add_measurement(_ok(job_id, 1.0))
    assert not store.add_measurement(_ok(job_id, 2.0))
    assert not store.add_measurement(MeasurementRow(job_id, "failed", "late"))
    assert [row.latency_ms for row in store.attempts(job_id)] == [1.0]


def test_failures_are_kept_before_the_result(store: Store, new_job: NewJob) -> None:
    """Every attempt is kept with its number, and the newest one counts."""
    job_id = new_job(store)
    for reason in ("no memory", "no memory again"):
        assert store.add_measurement(MeasurementRow(job_id, "failed", reason))
    newest = store.measurement(job_id)
    assert newest is not None
    assert (newest.attempt, newest.reason) == (2, "no memory again")
    assert store.add_measurement(_ok(job_id))
    attempts = store.attempts(job_id)
    assert [(row.attempt, row.status) for row in attempts] == [
        (1, "failed"),
        (2, "failed"),
        (3, "ok"),
    ]
    assert len(store.table(statuses=("ok", "failed"))) == 1
    assert store.table(statuses=("failed",)).empty


def test_job_without_result_has_no_measurement(store: Store, new_job: NewJob) -> None:
    """Nothing measured is None, not a zero."""
    assert store.measurement(new_job(store)) is None


def test_measured_decides_about_failures(store: Store, new_job: NewJob) -> None:
    """A failure counts as done unless it is to be tried again."""
    ok, failed, retried, new = (new_job(store, f"g1:{i}") for i in range(4))
    store.add_measurement(_ok(ok))
    for job_id in (failed, retried):
        store.add_measurement(MeasurementRow(job_id, "failed", "crashed"))
    store.add_measurement(_ok(retried))
    asked = [ok, failed, retried, new, "j1:unknown"]
    assert store.measured(asked) == {ok, failed, retried}
    assert store.measured(asked, retry_failed=True) == {ok, retried}
    assert store.measured([ok]) == {ok}


def test_measured_takes_any_number_of_jobs(store: Store, new_job: NewJob) -> None:
    """A plan is longer than what one statement can hold."""
    job_id = new_job(store)
    store.add_measurement(_ok(job_id))
    asked = [*(f"j1:{i}" for i in range(40_000)), job_id]
    assert store.measured(asked) == {job_id}


def test_sentinel_history_is_that_of_one_machine(
    store: Store, new_job: NewJob, target: Target
) -> None:
    """Only sentinels with an estimate count, oldest first."""
    for number, status in ((3, "ok"), (1, "unconverged"), (2, "unstable")):
        job_id = new_job(store, campaign=f"sentinel:{number}")
        store.add_measurement(_ok(job_id, float(number), status=status, created=float(number)))
    failed = new_job(store, campaign="sentinel:4")
    store.add_measurement(MeasurementRow(failed, "failed", "crashed"))
    store.add_measurement(_ok(new_job(store), 9.0))
    store.add_measurement(_ok(new_job(store, campaign="sentinelX1"), 9.0))
    assert store.sentinel_history(target.key, "i1:x") == [1.0, 3.0]
    assert store.sentinel_history(target.key, "i1:y") == []
    assert store.sentinel_history("t1:other", "i1:x") == []


def test_begun_are_the_jobs_of_which_something_is_known(store: Store, new_job: NewJob) -> None:
    """A sweep asks for the rounds of these alone; others have none."""
    untouched, timed, compiled = (new_job(store, workload=f"g1:{name}") for name in "abc")
    store.add_round(RoundRow(timed, "p1", 0, 0.0, 1, np.array([1, 2, 3]), 2e-6))
    store.add_process(ProcessRow(compiled, "p1", "fp32"))
    assert store.begun([untouched, timed, compiled, "j1:unknown"]) == {timed, compiled}
    assert store.begun([]) == set()


def test_company_are_the_jobs_of_the_same_processes(store: Store, new_job: NewJob) -> None:
    """A job is in its own company; one that shares no process is not."""
    one, other, both, none = (new_job(store, workload=f"g1:{name}") for name in "abcd")
    for job, process in ((one, "p1"), (other, "p2"), (both, "p1"), (both, "p2")):
        store.add_process(ProcessRow(job, process, "fp32"))
    assert store.company([one]) == {one, both}
    assert store.company([both]) == {one, other, both}
    assert store.company([none]) == store.company([]) == set()


def test_without_latency_tells_why(store: Store, new_job: NewJob) -> None:
    """The newest attempt counts; of what was never tried there is no reason."""
    measured, failed, again, untried = (new_job(store, workload=f"g1:{name}") for name in "abcd")
    store.add_measurement(_ok(measured))
    for reason in ("no memory", "no time"):
        store.add_measurement(MeasurementRow(failed, "failed", reason))
    store.add_measurement(MeasurementRow(again, "failed", "no memory"))
    store.add_measurement(_ok(again))
    found = store.without_latency([measured, failed, again, untried])
    assert found == {failed: "no time", untried: None}
