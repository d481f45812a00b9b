"""Processes side by side: what each of them may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.lanes import lanes


def allowed(_: int) -> set[frozenset[int]]:
    """Return the CPUs that each thread of this process may use."""
    threads = map(int, os.listdir("/proc/self/task"))
    return {frozenset(os.sched_getaffinity(thread)) for thread in threads}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are told by Linux")
def test_each_lane_has_cpus_of_its_own() -> None:
    """They share out all of them, and no thread leaves its lane."""
    cpus = os.sched_getaffinity(0)
    if len(cpus) < 2:
        pytest.skip("one CPU has one lane")
    with lanes(2) as pool:
        # A process is begun for each task that finds none idle.
        found = set().union(*pool.map(allowed, range(8)))
    assert len(found) <= 2
    assert sum(map(len, found)) == len(set().union(*found))
    assert set().union(*found) <= cpus


@pytest.mark.parametrize("number", [0, len(os.sched_getaffinity(0)) + 1])
def test_there_are_no_more_lanes_than_cpus(number: int) -> None:
    """Nor none."""
    with pytest.raises(ValueError, match=f"{number} lanes"), lanes(number):
        pass
