"""A stored table is held against new measurements of some of its rows."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import latbench
from latbench.errors import MissingMeasurementsError
from latbench.profiling.channel import pack_times
from latbench.profiling.process import LocalExecutor, Report, Task
from latbench.profiling.provenance import provenance
from latbench.store import InstanceRow, JobRow, MeasurementRow, Store, SubjectRow, WorkloadRow
from latbench.target import Target
from latbench.timing import Protocol
from latbench.workflows.setting import Setting
from latbench.workflows.validate import validate
from latbench.workflows.verdict import Comparison, Stored, compare, judge
from tests.runtimes.fake_cuda import FakeGpu
from tests.runtimes.gpu_machine import machine

SPACE = latbench.space("digits-mobilenet")
TARGET = Target("cpu", "onnxruntime", "1.0")
STANDARD = Protocol.standard()
HERE, ON_A_CARD = Setting(), Setting(device="v100", runtime="tensorrt")
Fill = Callable[..., None]


class Pretending(LocalExecutor):
    """Reports the stored latencies times a factor, without running anything."""

    def __init__(self, latency_ms: dict[str, float], factor: float) -> None:
        super().__init__()
        self._latency_ms = latency_ms
        self._factor = factor

    def run(self, task: Task, report: Report) -> str | None:
        for job, workload in task.workloads.items():
            rng = np.random.default_rng(zlib.crc32(job.encode()))
            latency_ns = self._latency_ms[workload.id] * self._factor * 1e6
            report("p", _message("compiled", job, compile_ms=1.0, precision_run="fp32"))
            report("p", _message("warm", job, first_run_ms=1.0, warmup_ms=1.0, steady=True))
            for number in range(12):
                times = rng.normal(latency_ns, 1e-3 * latency_ns, 30).astype(np.int64)
                report(
                    "p",
                    _message(
                        "round",
                        job,
                        number=number,
                        started=0.0,
                        inner=1,
                        times=pack_times(times),
                        taints=[],
                        sentinel_ms=None,
                        quiet=None,
                    ),
                )
            report("p", _message("done", job, outcome="converged"))
        return None


def _message(kind: str, job: str, **values: Any) -> dict[str, Any]:
    return {"type": kind, "job": job, **values}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with Store.open(f"sqlite:///{tmp_path / 'latbench.db'}") as opened:
        yield opened


@pytest.fixture
def latency_ms() -> dict[str, float]:
    """What the stored blocks took, by workload; filled by ``fill``."""
    return {}


@pytest.fixture
def fill(store: Store, latency_ms: dict[str, float]) -> Fill:
    """A function that stores a table of blocks as if it had been measured here."""

    def fill(
        count: int = 6,
        name: str | None = None,
        provenance: dict[str, Any] | None = None,
        setting: Setting = HERE,
        protocol: Protocol = STANDARD,
        factor: float = 1.0,
        **changes: Any,
    ) -> None:
        target, instance = setting.here()
        target = replace(target, **changes)
        facts = {**instance.facts, "name": name or instance.facts["name"]}
        identity = instance.id if name is None else "i1:other"
        store.add_instance(InstanceRow(identity, target.device, facts))
        store.add_target(target)
        for number, block in enumerate(SPACE.blocks[:count]):
            workload = SPACE.block_workload(block)
            store.add_workload(WorkloadRow(workload.id, workload.name, [], workload.nodes))
            store.add_subjects([SubjectRow(SPACE.id, "block", block.key, workload.id)])
            job = store.add_job(JobRow(target.key, identity, workload.id, protocol.name))
            value_ms = factor * latency_ms.setdefault(workload.id, 1.0 + number)
            low_ms, high_ms = 0.98 * value_ms, 1.02 * value_ms
            row = MeasurementRow(job, "ok", None, value_ms, low_ms, high_ms, 0.02)
            store.add_measurement(replace(row, provenance=provenance or {}))

    return fill


def test_an_unchanged_table_holds(store: Store, fill: Fill, latency_ms: dict[str, float]) -> None:
    """The same latencies again are within the intervals."""
    fill()
    found = validate(store, Setting(), executor=Pretending(latency_ms, 1.0))
    assert found.verdict == "holds"
    assert [one.holds for one in found.comparisons] == [True] * 5
    assert not any(check.ok is False for check in found.checks)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_changed_table_is_told(
    store: Store, fill: Fill, latency_ms: dict[str, float], factor: float
) -> None:
    """Latencies that moved beyond both intervals make the table a changed one."""
    fill()
    found = validate(store, Setting(), executor=Pretending(latency_ms, factor))
    assert found.verdict == "changed"
    for one in found.comparisons:
        assert one.ratio == pytest.approx(factor, rel=0.01)
    assert found.checks[-1].ok is False
    assert found.checks[-1].advice


def test_it_takes_the_fastest_the_slowest_and_between(
    store: Store, fill: Fill, latency_ms: dict[str, float]
) -> None:
    """The rows that are timed again are spread over the latencies."""
    fill(count=7)
    found = validate(store, Setting(), count=4, executor=Pretending(latency_ms, 1.0))
    assert [one.stored_ms for one in found.comparisons] == [1.0, 3.0, 5.0, 7.0]


def test_what_another_protocol_timed_is_left_out(
    store: Store, fill: Fill, latency_ms: dict[str, float]
) -> None:
    """Latencies compare only within one protocol: that of most rows, however new the others are."""
    fill(count=6)
    fill(count=4, protocol=Protocol.quick(), factor=1.5)
    found = validate(store, Setting(), count=6, executor=Pretending(latency_ms, 1.0))
    assert found.verdict == "holds"
    assert [one.stored_ms for one in found.comparisons] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_the_table_itself_stays(store: Store, fill: Fill, latency_ms: dict[str, float]) -> None:
    """The new measurements are a campaign of their own."""
    fill()
    before = store.table()
    validate(store, Setting(), executor=Pretending(latency_ms, 1.25))
    assert store.table().equals(before)
    assert len(store.table(campaign=None)) > len(before)


def test_another_runtime_version_is_stale(
    store: Store, fill: Fill, latency_ms: dict[str, float]
) -> None:
    """Latencies of another version do not hold, even where they agree."""
    fill(runtime_version="0.9")
    found = validate(store, Setting(), executor=Pretending(latency_ms, 1.0))
    assert found.verdict == "stale"
    assert found.stored.runtime_version == "0.9"
    assert all(one.holds for one in found.comparisons)


def test_another_processor_is_stale(store: Store, fill: Fill, latency_ms: dict[str, float]) -> None:
    """So is what was measured on another model of processor."""
    fill(name="Abacus 3000")
    found = validate(store, Setting(), executor=Pretending(latency_ms, 1.0))
    assert found.verdict == "stale"
    assert "Abacus 3000 stored" in found.checks[1].value


@pytest.mark.parametrize(
    ("governor", "turbo_off", "verdict"),
    [
        ("performance", "1", "holds"),
        ("powersave", "1", "stale"),
        ("performance", "0", "stale"),
        (None, None, "holds"),
    ],
)
def test_another_setting_of_the_clock_is_stale(
    store: Store,
    fill: Fill,
    latency_ms: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
    governor: str | None,
    turbo_off: str | None,
    verdict: str,
) -> None:
    """Latencies were taken under a governor and turbo; where either is told to differ, they end."""
    fill(provenance={"governor": "performance", "turbo_off": "1"})
    here = {"governor": governor, "turbo_off": turbo_off}
    monkeypatch.setattr("latbench.profiling.recording.provenance", lambda _: here)
    found = validate(store, Setting(), executor=Pretending(latency_ms, 1.0))
    assert found.verdict == verdict
    clock = next(check for check in found.checks if check.name == "clock")
    if verdict == "stale":
        assert "governor performance, turbo off stored" in clock.value


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGpu]:
    """A machine with a V100 that TensorRT runs on."""
    with machine(monkeypatch, tmp_path, "10.4.0", "v100") as gpu:
        yield gpu


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, {"driver": "550.1", "clock of the card": "1530 MHz"}),
        ({}, {"power cap of the card": "300 W"}),
        ({"driver": "570.9"}, {"driver": "550.1 stored, 570.9 here"}),
        ({"clock_set_mhz": 1290}, {"clock of the card": "1530 MHz stored, 1290 MHz here"}),
        ({"power_cap_mw": 250_000}, {"power cap of the card": "300 W stored, 250 W here"}),
        ({"power_cap_mw": None}, {"power cap of the card": "not told"}),
    ],
)
def test_another_driver_or_setting_of_a_card_is_stale(
    store: Store,
    fill: Fill,
    latency_ms: dict[str, float],
    gpu: FakeGpu,
    changes: dict[str, Any],
    told: dict[str, str],
) -> None:
    """Its clock, its power cap and its driver were what they were; an update ends the table."""
    fill(setting=ON_A_CARD, provenance=provenance(ON_A_CARD.here()[0]))
    for name, value in changes.items():
        setattr(gpu, name, value)
    found = validate(store, ON_A_CARD, executor=Pretending(latency_ms, 1.0))
    checks = {check.name: check for check in found.checks}
    assert {name: checks[name].value for name in told} == told
    stale = any("stored," in value for value in told.values())
    assert found.verdict == ("stale" if stale else "holds")


def test_a_processor_has_no_driver(store: Store, fill: Fill, latency_ms: dict[str, float]) -> None:
    """What only cards have is not asked of others."""
    fill()
    found = validate(store, HERE, executor=Pretending(latency_ms, 1.0))
    assert not {"driver", "power cap of the card"} & {check.name for check in found.checks}


def test_this_instance_comes_first(store: Store, fill: Fill, latency_ms: dict[str, float]) -> None:
    """Where this machine was measured too, another one's rows do not matter."""
    fill()
    fill(name="Abacus 3000")
    found = validate(store, Setting(), executor=Pretending(latency_ms, 1.0))
    assert found.verdict == "holds"


def test_models_alone_cannot_be_timed_again(store: Store) -> None:
    """A user's ONNX file is not in the store, so there is nothing to time."""
    target, instance = Setting().here()
    store.add_instance(InstanceRow(instance.id, "cpu", instance.facts))
    store.add_target(target)
    store.add_workload(WorkloadRow("g1:model", "model", [], 1))
    job = store.add_job(JobRow(target.key, instance.id, "g1:model", "p1"))
    store.add_measurement(MeasurementRow(job, "ok", None, 1.0, 0.9, 1.1, 0.1))
    with pytest.raises(MissingMeasurementsError, match="neither blocks nor networks"):
        validate(store, Setting())


def row(latency_ms: float, width: float, status: str = "ok") -> MeasurementRow:
    """Return a measurement with an interval of relative half-width ``width``."""
    low_ms, high_ms = latency_ms * (1 - width), latency_ms * (1 + width)
    return MeasurementRow("j1:x", status, None, latency_ms, low_ms, high_ms, width)


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0.001, 0.2), st.floats(0.001, 0.2))
def test_the_interval_of_a_ratio_combines_both(
    before_ms: float, now_ms: float, first: float, second: float
) -> None:
    """Its relative half-width is the root of the squares of both, and 1 inside means it holds."""
    one = compare(Stored("block", "b", before_ms, first), row(now_ms, second))
    assert one.ratio is not None
    assert one.low is not None
    assert one.high is not None
    assert one.ratio == pytest.approx(now_ms / before_ms)
    assert (one.high - one.low) / 2 / one.ratio == pytest.approx((first**2 + second**2) ** 0.5)
    assert one.holds is (one.low <= 1 <= one.high)


def test_an_unstable_latency_tells_nothing() -> None:
    """Neither a stored nor a new latency that is unstable decides anything."""
    assert compare(Stored("block", "b", 1.0, 0.01, "unstable"), row(9.0, 0.01)).holds is None
    assert compare(Stored("block", "b", 1.0, 0.01), row(9.0, 0.01, "unstable")).holds is None


def test_another_graph_tells_nothing() -> None:
    """Where latbench builds the block otherwise now, there is nothing to compare."""
    one = compare(Stored("block", "b", 1.0, 0.01), None)
    assert (one.holds, one.measured_ms) == (None, None)
    assert "another graph" in one.reason


@pytest.mark.parametrize(
    ("held", "verdict"),
    [
        ([True] * 5, "holds"),
        ([True] * 4 + [False], "holds"),
        ([True] * 3 + [False] * 2, "changed"),
        ([False], "changed"),
        ([True] * 19 + [False] * 3, "holds"),
        ([True] * 18 + [False] * 4, "changed"),
        ([None, None], "unclear"),
        ([None, True], "holds"),
        ([], "unclear"),
    ],
)
def test_as_many_misses_as_chance_allows(held: list[bool | None], verdict: str) -> None:
    """One of five latencies may lie outside a 95 % interval; two of five hardly do by chance."""
    comparisons = [Comparison("block", "b", 1.0, 1.0, 1.0, 0.9, 1.1, holds) for holds in held]
    found, _ = judge(TARGET, TARGET, {"processor": ("a", "a")}, comparisons)
    assert found == verdict


def test_an_unknown_processor_is_not_taken_for_another() -> None:
    """Where the store does not say what was measured, nothing is called stale."""
    good = [Comparison("block", "b", 1.0, 1.0, 1.0, 0.9, 1.1, True)]
    verdict, checks = judge(TARGET, TARGET, {"processor": (None, "a")}, good)
    assert verdict == "holds"
    assert checks[1].ok is None
