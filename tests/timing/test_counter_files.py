from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from latbench.timing import CounterFiles, Counters, causes

STAT = """cpu  100 0 50 9000 10 0 5 {total} 0 0
cpu0 50 0 25 4500 5 0 5 {cpu0} 0 0
cpu1 50 0 25 4500 5 0 0 {cpu1} 0 0
cpu10 50 0 25 4500 5 0 0 900 0 0
intr 139550 0 0
ctxt 12345
"""
PRESSURE = """some avg10=0.00 avg60=0.00 avg300=0.00 total={total}
full avg10=0.00 avg60=0.00 avg300=0.00 total=999999
"""
CORE = "sys/devices/system/cpu/cpu{cpu}/thermal_throttle/core_throttle_count"

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of the machine whose root is ``tmp_path``."""

    def put(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return put


def read(root: Path) -> Counters:
    """Return the counters of CPUs 0 and 1, without this process's real switches."""
    return replace(CounterFiles(root, cpus=[0, 1]).read(), switches=None)


def test_a_machine_that_tells_nothing_judges_nothing(tmp_path: Path) -> None:
    """Without any file, only the process's own switches are known."""
    assert CounterFiles(tmp_path).read().readable() == ("switches",)


def test_steal_is_summed_over_our_cpus(tmp_path: Path, write: Write) -> None:
    """CPUs outside the affinity mask, also those whose number begins alike, are left out."""
    write("proc/stat", STAT.format(total=912, cpu0=5, cpu1=7))
    assert read(tmp_path) == Counters(steal_ticks=12)
    assert CounterFiles(tmp_path, cpus=[1]).read().steal_ticks == 7
    assert CounterFiles(tmp_path, cpus=[99]).read().steal_ticks is None


def test_core_throttles_are_summed_over_our_cpus(tmp_path: Path, write: Write) -> None:
    """CPUs outside the affinity mask are left out."""
    for cpu, count in ((0, 3), (1, 4), (2, 100)):
        write(CORE.format(cpu=cpu), f"{count}\n")
    assert read(tmp_path) == Counters(core_throttles=7)


@pytest.mark.parametrize("mount", ["sys/fs/cgroup", "sys/fs/cgroup/unified"])
def test_groups_of_version_2(tmp_path: Path, write: Write, mount: str) -> None:
    """Quotas count on every level; pressure is our own group's. The top has no quota."""
    write("proc/self/cgroup", "0::/system.slice/job.scope\n")
    write("proc/pressure/cpu", PRESSURE.format(total=77))
    write(f"{mount}/cpu.stat", "usage_usec 5\n")
    write(f"{mount}/cpu.pressure", PRESSURE.format(total=66))
    write(f"{mount}/system.slice/cpu.stat", "usage_usec 5\nnr_periods 9\nnr_throttled 2\n")
    write(f"{mount}/system.slice/job.scope/cpu.stat", "nr_throttled 1\n")
    write(f"{mount}/system.slice/job.scope/cpu.pressure", PRESSURE.format(total=55))
    assert read(tmp_path) == Counters(throttled=3, pressure_us=55)


@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct"])
def test_groups_of_version_1(tmp_path: Path, write: Write, controllers: str) -> None:
    """The cpu controller's quotas count on every level; pressure is the system's."""
    write("proc/self/cgroup", f"5:cpuset:/other\n4:{controllers}:/job\n2:cpuacct:/wrong\n0::/\n")
    write("proc/pressure/cpu", PRESSURE.format(total=77))
    write(f"sys/fs/cgroup/{controllers}/cpu.stat", "nr_periods 0\nnr_throttled 1\n")
    write(f"sys/fs/cgroup/{controllers}/job/cpu.stat", "nr_periods 9\nnr_throttled 4\n")
    write("sys/fs/cgroup/cpuacct/wrong/cpu.stat", "nr_throttled 1000\n")
    assert read(tmp_path) == Counters(throttled=5, pressure_us=77)


@pytest.mark.parametrize("path", ["/docker/4f2a", "/../../outside"])
def test_a_container_finds_its_group_at_the_mount(tmp_path: Path, write: Write, path: str) -> None:
    """A group that the container cannot see by its name is the root of what it sees."""
    write("proc/self/cgroup", f"0::{path}\n")
    write("sys/fs/cgroup/cpu.stat", "nr_throttled 8\n")
    write("sys/fs/cgroup/cpu.pressure", PRESSURE.format(total=44))
    assert read(tmp_path) == Counters(throttled=8, pressure_us=44)


def test_a_link_to_the_same_controller_counts_once(tmp_path: Path, write: Write) -> None:
    """Where ``cpu`` is a link to ``cpu,cpuacct``, its quota is not counted twice."""
    write("proc/self/cgroup", "4:cpu,cpuacct:/\n")
    write("sys/fs/cgroup/cpu,cpuacct/cpu.stat", "nr_throttled 3\n")
    (tmp_path / "sys/fs/cgroup/cpu").symlink_to("cpu,cpuacct")
    assert read(tmp_path).throttled == 3


def test_a_counter_that_vanishes_is_not_told(tmp_path: Path, write: Write) -> None:
    """A control group removed after it was located gives no number, rather than a smaller one."""
    write("proc/self/cgroup", "0::/job\n")
    write("sys/fs/cgroup/cpu.stat", "nr_throttled 3\n")
    write("sys/fs/cgroup/job/cpu.stat", "nr_throttled 9\n")
    files = CounterFiles(tmp_path, cpus=[0])
    assert files.read().throttled == 12
    (tmp_path / "sys/fs/cgroup/job/cpu.stat").unlink()
    assert files.read().throttled is None


def test_what_the_files_tell_between_two_readings_taints(tmp_path: Path, write: Write) -> None:
    """The same files, read again after a disturbed round, give its causes."""
    write("proc/self/cgroup", "0::/\n")
    write("proc/stat", STAT.format(total=0, cpu0=5, cpu1=7))
    write("sys/fs/cgroup/cpu.stat", "nr_throttled 3\n")
    write("proc/pressure/cpu", PRESSURE.format(total=1000))
    write(CORE.format(cpu=0), "2\n")
    files = CounterFiles(tmp_path, cpus=[0, 1])
    before = replace(files.read(), switches=0)
    write("proc/stat", STAT.format(total=0, cpu0=5, cpu1=8))
    write("sys/fs/cgroup/cpu.stat", "nr_throttled 4\n")
    write("proc/pressure/cpu", PRESSURE.format(total=4000))
    write(CORE.format(cpu=0), "3\n")
    after = replace(files.read(), switches=0)
    assert causes(before, after, elapsed_ms=20.0) == (
        "steal",
        "cgroup-throttled",
        "core-throttled",
        "cpu-pressure",
    )


def test_this_machine_can_be_read() -> None:
    """On Linux the process's own switches are always told, and no counter runs backwards."""
    files = CounterFiles()
    before, after = files.read(), files.read()
    assert "switches" in before.readable()
    assert before.readable() == after.readable()
    for name in before.readable():
        assert getattr(after, name) >= getattr(before, name)
