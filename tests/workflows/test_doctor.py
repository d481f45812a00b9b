"""What the doctor makes of repeated measurements and of counters."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from latbench.store import MeasurementRow
from latbench.timing import Counters
from latbench.workflows.checks import Check
from latbench.workflows.disturbance import Reading, disturbances, load, watch
from latbench.workflows.repeatability import Repeat, judge

QUIET = Counters(steal_ticks=7, throttled=7, core_throttles=7, switches=7, pressure_us=7)


def rows(latencies_ms: Sequence[float], tainted: int = 0, apart_s: float = 2.0) -> list[Repeat]:
    """Return the measurement of each process, so many seconds after the one before it."""
    return [
        Repeat(
            MeasurementRow(
                "j1:x", "ok", None, ms, 0.99 * ms, 1.01 * ms, 0.01, rounds=10, tainted=tainted
            ),
            at_s=100.0 + apart_s * number,
        )
        for number, ms in enumerate(latencies_ms)
    ]


def after_two_seconds(swapped: int = 0, **grown: int) -> dict[str, Check]:
    """Return the checks of two seconds on two processors in which some counters grew."""
    counted: dict[str, Any] = {name: 7 + by for name, by in grown.items()}
    before, after = Reading(QUIET, 5, 1.0), Reading(replace(QUIET, **counted), 5 + swapped, 3.0)
    return {check.name: check for check in disturbances(before, after, cpus=2)}


def test_equal_processes_repeat() -> None:
    """Processes that agree within a percent are ok."""
    repeated, drift, tainted = judge(rows([1.0, 1.0002, 1.0001, 1.0]))
    assert (repeated.ok, drift.ok, tainted.ok) == (True, True, True)


def test_processes_that_differ_are_told() -> None:
    """Those that differ by more are not, and the value says how far apart they are."""
    repeated, _, _ = judge(rows([1.0, 1.05]))
    assert repeated.ok is False
    assert "at most 5.00 % apart, in 2 processes" in repeated.value


def test_too_many_tainted_rounds_are_told() -> None:
    """More than 30 % of tainted rounds are not ok, whatever the latencies say."""
    _, _, tainted = judge(rows([1.0, 1.0], tainted=4))
    assert tainted.ok is False
    assert tainted.value == "8 of 20"


def test_a_workload_that_fails_is_told() -> None:
    """Where nothing could be measured, the reason stands in the check."""
    failed = MeasurementRow("j1:x", "failed", reason="no such kernel")
    (check,) = judge([*rows([1.0]), Repeat(failed, 101.0)])
    assert check.ok is False
    assert "no such kernel" in check.value


def test_slow_drift_is_told_though_neighbours_agree() -> None:
    """Even and odd processes differ by 0.1 %, and the last from the first by 1.9 %."""
    for step, way in ((0.001, "slower"), (-0.001, "faster")):
        repeated, drift, _ = judge(rows([(1 + step) ** number for number in range(20)]))
        assert repeated.ok is True
        assert drift.ok is False
        assert f"{'+' if step > 0 else '-'}3.0" in drift.value  # 0.1 % every two seconds
        assert "a minute, over 38 s" in drift.value
        assert f"the same work becomes {way}" in drift.advice


@pytest.mark.parametrize("latencies_ms", [[1.0, 1.05], [1.0, 1.004] * 3])
def test_drift_that_noise_would_hide_cannot_be_told(latencies_ms: list[float]) -> None:
    """Two processes, or noise through which 2 % a minute would not show, are no verdict."""
    _, drift, _ = judge(rows(latencies_ms))
    assert drift.ok is None
    assert "--seconds 120" in drift.advice


def test_longer_looks_tell_smaller_drifts() -> None:
    """The same noise over some minutes leaves no room for a trend of 2 % a minute."""
    _, drift, _ = judge(rows([1.0, 1.004] * 3, apart_s=60.0))
    assert drift.ok is True
    assert drift.advice == ""


def test_a_quiet_machine_is_ok() -> None:
    """Counters that stand still disturb nothing."""
    assert all(check.ok for check in after_two_seconds().values())


@pytest.mark.parametrize(
    ("name", "grown"),
    [
        ("steal", {"steal_ticks": 1}),
        ("throttling", {"throttled": 1}),
        ("throttling", {"core_throttles": 1}),
        ("swapping", {"swapped": 1}),
        ("CPU pressure", {"pressure_us": 110_000}),
    ],
)
def test_what_disturbs_is_told_alone(name: str, grown: dict[str, int]) -> None:
    """The counter that grew is not ok and has advice; the others are ok."""
    checks = after_two_seconds(**grown)
    assert [check.name for check in checks.values() if not check.ok] == [name]
    assert checks[name].advice


def test_pressure_of_less_than_five_percent_is_ok() -> None:
    """CPU pressure is held to the limit that taints rounds."""
    assert after_two_seconds(pressure_us=90_000)["CPU pressure"].ok is True


def test_counters_that_are_not_there_cannot_be_told() -> None:
    """A system without counters gives no verdict on them."""
    nothing = Reading(Counters(), None, 0.0)
    checks = disturbances(nothing, replace(nothing, at_s=2.0), cpus=2)
    assert [check.ok for check in checks] == [None] * 4


@pytest.mark.parametrize(
    ("average", "cpus", "ok"), [(0.4, 2, True), (0.6, 2, False), (3.0, 64, True)]
)
def test_load_is_judged_by_the_processors(average: float, cpus: int, ok: bool) -> None:
    """A load that fills a small machine is nothing to a large one."""
    assert load(average, cpus).ok is ok


def test_watching_looks_at_this_machine() -> None:
    """On Linux the load and the swapping can always be told."""
    checks = {check.name: check for check in watch(0.01)}
    assert checks["load"].ok is not None
    assert checks["swapping"].ok is not None
