"""What is put into a store comes out as it was."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from latbench.errors import StoreError, UsageError
from latbench.store import (
    InstanceRow,
    JobRow,
    MeasurementRow,
    ProcessRow,
    RoundRow,
    Store,
    SubjectRow,
    WorkloadRow,
    canonical_json,
)
from latbench.target import Target

NewJob = Callable[..., str]

AWKWARD = (0.1, 1 / 3, math.pi, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e16 + 2)


def _round(job_id: str, number: int = 0, **changes: Any) -> RoundRow:
    values: dict[str, Any] = {
        "process": "worker-1",
        "started": 1_700_000_000.125,
        "inner": 3,
        "times_ns": np.array([3_000_001, 2_999_999], dtype=np.int64),
        "median_ms": 1.0,
    }
    return RoundRow(job_id=job_id, number=number, **{**values, **changes})


def test_instances_and_targets_come_back(store: Store, target: Target) -> None:
    """Rows that others refer to are the ones that were added."""
    rows = [
        InstanceRow("i1:b", "cpu", {"flags": ["avx2"], "cache": None}),
        InstanceRow("i1:a", "v"),
    ]
    for row in rows:
        store.add_instance(row)
    other = Target("v100", "tensorrt", "10.0", "fp16", 8, 2, (("a", "1"), ("b", "ü")))
    assert store.add_target(target) == target.key
    store.add_target(other)
    assert store.instances() == sorted(rows, key=lambda row: row.id)
    assert sorted(store.targets(), key=lambda one: one.device) == [target, other]


def test_process_comes_back(store: Store, new_job: NewJob) -> None:
    """A worker's row keeps its numbers, its flag and its provenance."""
    job_id = new_job(store)
    row = ProcessRow(job_id, "w", "fp16", {"a": {"b": [1, 0.1, None]}}, 0.1, 1 / 3, None, False)
    store.add_process(row)
    assert store.processes(job_id) == [row]


def test_round_comes_back(store: Store, new_job: NewJob) -> None:
    """A round keeps every sample, its taints and its sentinel."""
    job_id = new_job(store)
    given_row = _round(job_id, taints=("steal", "throttled"), sentinel_ms=1 / 3, inner=2**40)
    store.add_round(given_row)
    (row,) = store.rounds(job_id)
    assert row.times_ns.dtype == np.int64
    np.testing.assert_array_equal(row.times_ns, given_row.times_ns)
    assert {**vars(row), "times_ns": None} == {**vars(given_row), "times_ns": None}


def test_a_round_keeps_which_samples_were_quiet(store: Store, new_job: NewJob) -> None:
    """The flags come back, one a sample."""
    job_id = new_job(store)
    quiet = np.arange(21) % 3 == 0
    store.add_round(_round(job_id, times_ns=np.arange(21), quiet=quiet))
    (row,) = store.rounds(job_id)
    assert row.quiet is not None
    np.testing.assert_array_equal(row.quiet, quiet)


def test_rounds_come_in_the_order_of_time(store: Store, new_job: NewJob) -> None:
    """Rounds of several processes interleave as they were measured."""
    job_id = new_job(store)
    store.add_rounds(
        [
            _round(job_id, 1, started=3.0),
            _round(job_id, 0, started=1.0),
            _round(job_id, 0, started=2.0, process="worker-0"),
        ]
    )
    assert [row.started for row in store.rounds(job_id)] == [1.0, 2.0, 3.0]


def test_numbers_survive_exactly(store: Store, new_job: NewJob) -> None:
    """A float comes back as the same 64 bits, in columns and inside JSON."""
    rows = [
        MeasurementRow(
            new_job(store, f"g1:{number}"),
            "ok",
            latency_ms=number,
            low_ms=number,
            high_ms=number,
            half_width=number,
            drift=number,
            p90_ms=number,
            provenance={"number": number},
            created=order,
        )
        for order, number in enumerate(AWKWARD)
    ]
    for row in rows:
        store.add_measurement(row)
    assert [store.measurement(row.job_id) for row in rows] == rows
    assert list(store.table()["latency_ms"]) == list(AWKWARD)
    assert list(store.table()["p90_ms"]) == list(AWKWARD)


@pytest.fixture(scope="module")
def long_lived_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all the examples of a property."""
    file = tmp_path_factory.mktemp("rows") / "latbench.db"
    with Store.open(f"sqlite:///{file}") as opened:
        yield opened


@given(times=hnp.arrays(np.int64, hnp.array_shapes(max_dims=1, min_side=0, max_side=50)))
@settings(max_examples=30, deadline=None)
def test_samples_survive_exactly(long_lived_store: Store, times: npt.NDArray[np.int64]) -> None:
    """Any 64-bit samples come back, none at all too."""
    store, target = long_lived_store, Target("cpu", "torch", "2.13")
    store.add_instance(InstanceRow("i", "cpu"))
    store.add_target(target)
    store.add_workload(WorkloadRow("g1:a", "a", {}, 1))
    job_id = store.add_job(JobRow(target.key, "i", "g1:a", "p1", campaign=str(uuid4())))
    store.add_round(_round(job_id, times_ns=times))
    np.testing.assert_array_equal(store.rounds(job_id)[0].times_ns, times)


@given(number=st.floats(allow_nan=False, allow_infinity=False), text=st.text())
def test_canonical_json_is_one_text_a_value(number: float, text: str) -> None:
    """The order in which keys were set does not show."""
    assert canonical_json({"a": number, "b": text}) == canonical_json({"b": text, "a": number})


def test_samples_of_another_type_are_refused(store: Store, new_job: NewJob) -> None:
    """Floats would be cut to whole nanoseconds without a word."""
    job_id = new_job(store)
    with pytest.raises(TypeError):
        store.add_round(_round(job_id, times_ns=np.array([1.5])))
    assert store.rounds(job_id) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, object()])
def test_what_json_cannot_hold_is_refused(store: Store, new_job: NewJob, value: object) -> None:
    """PostgreSQL would refuse NaN and SQLite take it: both refuse it here."""
    job_id = new_job(store)
    with pytest.raises(StoreError, match="cannot hold a value"):
        store.add_process(ProcessRow(job_id, "w", "fp32", {"x": value}))
    assert store.processes(job_id) == []


def test_rows_added_twice_are_there_once(store: Store, new_job: NewJob) -> None:
    """Every way of adding may be repeated, and the first row stays."""
    job_id = new_job(store)
    assert new_job(store) == job_id
    for steady in (True, False):
        store.add_process(ProcessRow(job_id, "w", "fp32", steady=steady))
    for median in (1.0, 2.0):
        store.add_rounds([_round(job_id, 0, median_ms=median), _round(job_id, 1)])
    assert len(store.instances()) == len(store.targets()) == 1
    assert [row.steady for row in store.processes(job_id)] == [True]
    assert [row.median_ms for row in store.rounds(job_id)] == [1.0, 1.0]


def test_adding_nothing_is_allowed(store: Store) -> None:
    """A plan may be empty."""
    assert store.add_jobs([]) == []
    store.add_rounds([])
    store.add_subjects([])
    store.add_workloads([])


def test_job_is_its_parts(store: Store) -> None:
    """Each part makes another job, and parts do not run into each other."""
    base = JobRow("t", "i", "w", "p", "main")
    others = [
        JobRow("t2", "i", "w", "p"),
        JobRow("t", "i2", "w", "p"),
        JobRow("t", "i", "w2", "p"),
        JobRow("t", "i", "w", "p2"),
        JobRow("t", "i", "w", "p", "sentinel:1"),
        JobRow("ti", "", "w", "p"),
    ]
    assert len({row.id for row in [base, *others]}) == 7
    assert JobRow("t", "i", "w", "p", created=1.0).id == base.id


def test_row_that_refers_to_nothing_is_refused(store: Store, target: Target) -> None:
    """A job needs its target, instance and workload, a round its job."""
    with pytest.raises(StoreError, match="add that first"):
        store.add_job(JobRow(target.key, "i", "g1:a", "p1"))
    with pytest.raises(StoreError, match="add that first"):
        store.add_round(_round("j1:nowhere"))
    with pytest.raises(StoreError, match="add the job before"):
        store.add_measurement(MeasurementRow("j1:nowhere", "failed", "no"))


def test_rounds_are_added_all_or_none(store: Store, new_job: NewJob) -> None:
    """One bad row leaves nothing of its call."""
    job_id = new_job(store)
    with pytest.raises(StoreError):
        store.add_rounds([_round(job_id), _round("j1:nowhere")])
    assert store.rounds(job_id) == []


def test_subject_follows_its_newest_workload(store: Store, new_job: NewJob) -> None:
    """When a block is built otherwise, the old measurement is kept but stands for it no more."""
    old, new = new_job(store, "g1:old"), new_job(store, "g1:new")
    for job_id in (old, new):
        store.add_measurement(MeasurementRow(job_id, "ok", None, 1.0, 0.9, 1.1, 0.1))
    store.add_subjects([SubjectRow("{}", "block", "b", "g1:old")])
    store.add_subjects([SubjectRow("{}", "block", "b", "g1:new")])
    assert list(store.table(kind="block")["workload"]) == ["g1:new"]
    assert store.measurement(old) is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "fine"}, "no status 'fine'"),
        ({"status": "failed"}, "a reason and no latency"),
        ({"status": "failed", "reason": "crashed", "latency_ms": 1.0}, "a reason and no latency"),
        ({"status": "ok"}, "needs latency_ms"),
        ({"status": "ok", "latency_ms": 1.0}, "low_ms, high_ms and half_width"),
        ({"status": "ok", "latency_ms": math.nan}, "latency_ms is nan"),
    ],
)
def test_measurement_without_its_promises_is_refused(changes: dict[str, Any], said: str) -> None:
    """No number without its interval, no failure without its reason."""
    with pytest.raises(UsageError, match=said):
        MeasurementRow("j", **changes)
