"""The table of measurements."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from latbench.errors import UsageError
from latbench.store import (
    InstanceRow,
    JobRow,
    MeasurementRow,
    ProcessRow,
    Store,
    SubjectRow,
    canonical_json,
)
from latbench.target import Target

NewJob = Callable[..., str]

COLUMNS = [
    "device",
    "runtime",
    "runtime_version",
    "precision",
    "precision_run",
    "batch",
    "threads",
    "target_key",
    "instance",
    "workload",
    "name",
    "space",
    "kind",
    "key",
    "arch_hash",
    "campaign",
    "protocol",
    "latency_ms",
    "low_ms",
    "high_ms",
    "p90_ms",
    "half_width",
    "status",
    "reason",
    "rounds",
    "tainted",
    "created",
]
SPEC = {"name": "mobilenet", "options": {"image_size": 96}}
OTHER_SPEC = {"name": "fbnet", "options": {}}


def _ok(job_id: str, **more: Any) -> MeasurementRow:
    return MeasurementRow(
        job_id,
        **{
            "status": "ok",
            "latency_ms": 2.0,
            "low_ms": 1.9,
            "high_ms": 2.1,
            "half_width": 0.004,
            "rounds": 12,
            "tainted": 1,
            "created": 1_700_000_000.5,
            **more,
        },
    )


def test_row_holds_the_whole_origin(store: Store, new_job: NewJob, target: Target) -> None:
    """Each column says what its name says."""
    job_id = new_job(store)
    space = canonical_json(SPEC)
    store.add_subjects([SubjectRow(space, "network", "{}", "g1:a", arch_hash="a1:h")])
    store.add_process(ProcessRow(job_id, "w", "fp16"))
    store.add_measurement(_ok(job_id))
    table = store.table()
    assert list(table.columns) == COLUMNS
    (row,) = table.to_dict("records")
    assert row.pop("created") == datetime.fromtimestamp(1_700_000_000.5, timezone.utc)
    assert row.pop("p90_ms") != row.get("p90_ms")  # NaN
    assert row == {
        "device": "cpu",
        "runtime": "onnxruntime",
        "runtime_version": "1.31.0",
        "precision": "fp32",
        "precision_run": "fp16",
        "batch": 1,
        "threads": 1,
        "target_key": target.key,
        "instance": "i1:x",
        "workload": "g1:a",
        "name": "name of g1:a",
        "space": space,
        "kind": "network",
        "key": "{}",
        "arch_hash": "a1:h",
        "campaign": "main",
        "protocol": "p1",
        "latency_ms": 2.0,
        "low_ms": 1.9,
        "high_ms": 2.1,
        "half_width": 0.004,
        "status": "ok",
        "reason": None,
        "rounds": 12,
        "tainted": 1,
    }


def test_empty_table_has_its_columns_and_types(store: Store, new_job: NewJob) -> None:
    """Code that works on a table works on an empty one."""
    empty = store.table()
    store.add_measurement(_ok(new_job(store)))
    assert list(empty.columns) == COLUMNS
    assert empty.dtypes.to_dict() == store.table().dtypes.to_dict()


def test_one_workload_stands_for_many_subjects(store: Store, new_job: NewJob) -> None:
    """A measurement appears once for each subject, and without any once."""
    shared, alone = new_job(store, "g1:shared"), new_job(store, "g1:alone")
    store.add_subjects(
        [
            SubjectRow(canonical_json(SPEC), "block", "b1", "g1:shared"),
            SubjectRow(canonical_json(SPEC), "block", "b2", "g1:shared"),
            SubjectRow(canonical_json(OTHER_SPEC), "network", "n", "g1:shared"),
        ]
    )
    for job_id in (shared, alone):
        store.add_measurement(_ok(job_id))
    assert sorted(store.table(kind="block")["key"]) == ["b1", "b2"]
    assert list(store.table(kind="network")["key"]) == ["n"]
    assert sorted(store.table(space=SPEC)["key"]) == ["b1", "b2"]
    assert list(store.table(space=canonical_json(OTHER_SPEC))["key"]) == ["n"]
    assert list(store.table(kind="network", space=SPEC)["key"]) == []
    everything = store.table()
    assert len(everything) == 4
    assert list(everything[everything["workload"] == "g1:alone"]["key"]) == [None]


def test_targets_instances_and_campaigns_are_not_pooled(
    store: Store, new_job: NewJob, target: Target
) -> None:
    """Each filter leaves what was asked for."""
    other = Target("cpu", "torch", "2.13")
    new_job(store)
    store.add_target(other)
    store.add_instance(InstanceRow("i1:y", "cpu"))
    jobs = [
        JobRow(target.key, "i1:x", "g1:a", "p1"),
        JobRow(target.key, "i1:x", "g1:a", "p1", "aa:1"),
        JobRow(target.key, "i1:y", "g1:a", "p1"),
        JobRow(other.key, "i1:x", "g1:a", "p1"),
    ]
    for job_id in store.add_jobs(jobs):
        store.add_measurement(_ok(job_id))
    assert len(store.table()) == 3
    assert len(store.table(campaign=None)) == 4
    assert list(store.table(campaign="aa:1")["campaign"]) == ["aa:1"]
    assert list(store.table(instance="i1:y")["instance"]) == ["i1:y"]
    for asked in (other, other.key):
        assert list(store.table(target=asked)["runtime"]) == ["torch"]


def test_failures_are_rows_when_asked_for(store: Store, new_job: NewJob) -> None:
    """A failure has a reason and no latency, never a zero."""
    store.add_measurement(MeasurementRow(new_job(store, "g1:f"), "failed", "no such operator"))
    store.add_measurement(_ok(new_job(store, "g1:u"), status="unconverged"))
    assert list(store.table()["status"]) == ["unconverged"]
    (row,) = store.table(statuses=("failed",)).to_dict("records")
    assert row["reason"] == "no such operator"
    assert row["latency_ms"] != row["latency_ms"]  # NaN


def test_processes_that_ran_several_precisions_are_mixed(store: Store, new_job: NewJob) -> None:
    """No one precision is claimed where two were run."""
    job_id = new_job(store)
    store.add_process(ProcessRow(job_id, "w1", "fp16"))
    store.add_process(ProcessRow(job_id, "w2", "fp32"))
    store.add_measurement(_ok(job_id))
    assert list(store.table()["precision_run"]) == ["mixed"]


def test_rows_are_in_the_order_of_time(store: Store, new_job: NewJob) -> None:
    """The oldest measurement comes first."""
    for created in (3.0, 1.0, 2.0):
        job_id = new_job(store, f"g1:{created}")
        store.add_measurement(_ok(job_id, created=created))
    assert list(store.table()["workload"]) == ["g1:1.0", "g1:2.0", "g1:3.0"]


def test_unknown_words_are_refused(store: Store) -> None:
    """A misspelt filter must not give an empty table."""
    with pytest.raises(UsageError, match="no status 'good'"):
        store.table(statuses=("good",))
    with pytest.raises(UsageError, match="no kind 'blocks'"):
        store.table(kind="blocks")  # type: ignore[arg-type]
