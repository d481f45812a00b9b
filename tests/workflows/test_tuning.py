"""Tuning on a made-up file tree: what it sets, what it leaves alone and what it says."""

import os
from pathlib import Path

import pytest

from latbench.workflows.contention import contention, judge
from latbench.workflows.tuning import tune


@pytest.fixture
def cpu(tmp_path: Path) -> Path:
    """The folder of the processors' settings."""
    folder = tmp_path / "sys/devices/system/cpu"
    for number in os.sched_getaffinity(0):
        governor = folder / f"cpu{number}/cpufreq/scaling_governor"
        governor.parent.mkdir(parents=True)
        governor.write_text("powersave\n", encoding="ascii")
    return folder


def test_it_sets_the_governor_and_turbo_and_says_how_to_undo(tmp_path: Path, cpu: Path) -> None:
    """Every governor becomes performance and boost off; the former value is told."""
    boost = cpu / "cpufreq/boost"
    boost.parent.mkdir()
    boost.write_text("1\n", encoding="ascii")
    checks = tune(tmp_path)
    assert all(check.ok for check in checks)
    assert len(checks) == len(os.sched_getaffinity(0)) + 1
    assert boost.read_text(encoding="ascii") == "0"
    governors = [path.read_text(encoding="ascii") for path in cpu.glob("cpu*/cpufreq/scaling_*")]
    assert set(governors) == {"performance"}
    assert "undo by writing powersave to it" in checks[0].value
    assert [check.value for check in tune(tmp_path)] == ["nothing to change"]


def test_the_switch_of_pstate_goes_before_boost(tmp_path: Path, cpu: Path) -> None:
    """Where both switches exist, only Intel's own is set."""
    for name in ("cpufreq/boost", "intel_pstate/no_turbo"):
        (cpu / name).parent.mkdir(exist_ok=True)
        (cpu / name).write_text("1" if "boost" in name else "0", encoding="ascii")
    tune(tmp_path)
    assert (cpu / "intel_pstate/no_turbo").read_text(encoding="ascii") == "1"
    assert (cpu / "cpufreq/boost").read_text(encoding="ascii") == "1"


def test_a_machine_without_settings_has_nothing_to_change(tmp_path: Path) -> None:
    """A virtual machine shows neither governor nor turbo."""
    assert [check.value for check in tune(tmp_path)] == ["nothing to change"]


def test_what_may_not_be_written_is_told(
    tmp_path: Path, cpu: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the right to write, the check says which setting stays and why."""

    def refuse(path: Path, *_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_text", refuse)
    checks = tune(tmp_path)
    assert not any(check.ok for check in checks)
    assert "stays powersave: Permission denied" in checks[0].value
    assert "root" in checks[0].advice


def test_a_contended_core_is_told() -> None:
    """Below half of the time undisturbed, the check is not ok and says what to do."""
    assert judge(0.9).ok
    bad = judge(0.26)
    assert (bad.ok, bad.value) == (False, "26% of the time")
    assert "another tenant" in bad.advice


def test_the_core_is_really_probed() -> None:
    """A short look gives a share."""
    assert contention(0.05).value.endswith("% of the time")
