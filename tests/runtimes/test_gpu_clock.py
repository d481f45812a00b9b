"""Clocks of a GPU, on a stream of their own making: what is held, flushed, and looked at."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from latbench.errors import UsageError
from latbench.runtimes import gpu_clock
from latbench.runtimes.gpu_clock import ColdHostClock, Event, GpuClock
from latbench.runtimes.gpu_options import clock_for, mode_of, refuse_unknown
from latbench.runtimes.run_times import RunTimes, run_times
from latbench.timing.clock import inner_runs

RUN_NS = 100_000


class Mark:
    """An event of :class:`Simulated`."""

    def __init__(self, lane: Simulated) -> None:
        self._lane = lane
        self.at_ns: int | None = None

    def record(self) -> None:
        self.at_ns = None
        self._lane.put(self)

    def happened(self) -> bool:
        return self.at_ns is not None

    def ms_since(self, earlier: Event) -> float:
        assert isinstance(earlier, Mark)
        assert self.at_ns is not None
        assert earlier.at_ns is not None
        return (self.at_ns - earlier.at_ns) / 1e6


class Simulated:
    """A stream that does its work in the wait, unless it was held too shortly for the host.

    Or unless more was put into it than it has room for.
    """

    def __init__(self, needed_ns: int = 0, room: int = 10**6) -> None:
        self.needed_ns = needed_ns
        self.room = room
        self.log: list[str] = []
        self.holds_ns: list[int] = []
        self._queue: list[Mark | int] = []
        self._now_ns = 0

    def event(self) -> Mark:
        return Mark(self)

    def put(self, work: Mark | int) -> None:
        self._queue.append(work)
        late = bool(self.holds_ns) and self.holds_ns[-1] < self.needed_ns
        if late or len(self._queue) > self.room:
            self._do()

    def run(self) -> None:
        """Begin a run of :data:`RUN_NS`."""
        self.log.append("run")
        self.put(RUN_NS)

    def hold(self, ns: int) -> None:
        self.log.append("hold")
        self.holds_ns.append(ns)

    def flush(self) -> None:
        self.log.append("flush")
        self.put(3 * RUN_NS)

    def wait(self) -> None:
        self.log.append("wait")
        self._do()

    def _do(self) -> None:
        for work in self._queue:
            if isinstance(work, int):
                self._now_ns += work
            else:
                work.at_ns = self._now_ns
        self._queue.clear()


def timed(clock: GpuClock | ColdHostClock, lane: Simulated, runs: int) -> tuple[int, list[str]]:
    """Return what ``clock`` says of ``runs`` runs, and what it did with the stream."""
    lane.log.clear()
    return clock.time(lane.run, runs), list(lane.log)


def test_events_stand_around_runs_that_the_host_put_in_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stream is held meanwhile, and nothing but the runs is between the events."""
    monkeypatch.setattr(gpu_clock, "time", SimpleNamespace(perf_counter_ns=lambda: 0))
    lane = Simulated()
    clock = GpuClock(lane)
    assert clock.overhead_ns == 0
    assert timed(clock, lane, 3) == (3 * RUN_NS, ["hold", "run", "run", "run", "wait"])
    assert clock.hidden


def test_a_cold_cache_is_flushed_before_each_run_and_outside_of_the_time() -> None:
    """Each run then stands between two events of its own."""
    lane = Simulated()
    once = ["flush", "hold", "run", "wait"]
    clock = GpuClock(lane, cold=True)
    assert timed(clock, lane, 2) == (2 * RUN_NS, once * 2)
    assert inner_runs(clock, 2000.0) == 1
    assert inner_runs(GpuClock(lane), 2000.0) == 250


def test_the_hold_follows_what_launches_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is half as long again as the longest of late, for as many runs as there are."""
    host_ns = 0
    monkeypatch.setattr(gpu_clock, "time", SimpleNamespace(perf_counter_ns=lambda: host_ns))
    lane = Simulated(needed_ns=150_000)
    clock = GpuClock(lane)

    def launch() -> None:
        nonlocal host_ns
        host_ns += 100_000
        lane.run()

    clock.time(launch, 1)
    assert lane.holds_ns[-1] == 20_000
    assert not clock.hidden
    for runs in (1, 3):
        clock.time(launch, runs)
        assert lane.holds_ns[-1] == 150_000 * runs
        assert clock.hidden
    for _ in range(9):
        clock.time(lane.run, 1)
    assert lane.holds_ns[-1] == 20_000


def test_more_runs_than_a_hold_can_hide_stand_in_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No hold is longer than 20 ms, and none is too short for its runs; all of them are timed."""
    host_ns = 0
    monkeypatch.setattr(gpu_clock, "time", SimpleNamespace(perf_counter_ns=lambda: host_ns))
    lane = Simulated()
    clock = GpuClock(lane)

    def launch() -> None:
        nonlocal host_ns
        host_ns += 100_000
        lane.run()

    clock.time(launch, 1)
    lane.holds_ns.clear()
    elapsed_ns, log = clock.time(launch, 1000), lane.holds_ns
    assert elapsed_ns == 1000 * RUN_NS
    assert sum(log) == 1000 * 150_000
    assert max(log) <= 20_000_000
    assert len(log) == 8
    assert clock.hidden


def test_a_full_stream_gets_fewer_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the launches showed three times on end, and never because the host was late once."""
    monkeypatch.setattr(gpu_clock, "time", SimpleNamespace(perf_counter_ns=lambda: 0))
    lane = Simulated(room=40)
    clock = GpuClock(lane)
    hidden = []
    for _ in range(5):
        assert clock.time(lane.run, 60) == 60 * RUN_NS
        hidden.append(clock.hidden)
    assert hidden == [False, False, False, True, True]
    lane.room = 0
    for runs in (20, 20, 1, 1, 1):
        clock.time(lane.run, runs)
        assert not clock.hidden
    lane.room = 40
    assert timed(clock, lane, 30)[1].count("hold") == 1


def test_the_hosts_clock_leaves_the_flush_out() -> None:
    """The stream is empty when a run is begun, and the time ends when it is empty again."""
    lane = Simulated()
    clock = ColdHostClock(lane)
    elapsed_ns, log = timed(clock, lane, 2)
    assert log == ["flush", "wait", "run", "wait"] * 2
    assert elapsed_ns > 0


def test_short_runs_stand_together_between_two_events() -> None:
    """Their sum has to be long for the half microsecond in which events step."""
    lane = Simulated()
    told = run_times(lane, lane.run, 4)
    assert told.gpu_ms == (RUN_NS / 1e6,) * 4
    assert len(told.enqueue_ms) == len(told.e2e_ms) == 4
    assert told.hidden
    assert lane.log.count("run") == 5 + 5 + 5 * 4 + 5 + 4
    assert "hold" not in lane.log[-2 * (5 + 4) :]


def test_launches_that_show_are_told() -> None:
    """Of any of the runs."""
    lane = Simulated(needed_ns=10**12)
    assert not run_times(lane, lane.run, 2).hidden
    times = RunTimes((1.0, 3.0, 2.0), (0.5, 0.5, 0.5), (2.0, 2.0, 5.0), hidden=False)
    assert times.to_dict() == {
        "gpu_ms": 2.0,
        "enqueue_ms": 0.5,
        "e2e_ms": 2.0,
        "hidden": False,
        "enqueue_bound": False,
        "runs": 3,
    }


@pytest.mark.parametrize(
    ("options", "kind", "mode"),
    [
        ({}, type(None), "host"),
        ({"clock": "host", "l2": "warm"}, type(None), "host"),
        ({"l2": "cold"}, ColdHostClock, "host"),
        ({"clock": "gpu"}, GpuClock, "device"),
        ({"clock": "gpu", "l2": "cold"}, GpuClock, "device"),
    ],
)
def test_options_choose_the_clock(options: dict[str, str], kind: type, mode: str) -> None:
    """Without any it is the host's around a run and its wait."""
    assert isinstance(clock_for(options, Simulated()), kind)
    assert mode_of(options) == mode


@pytest.mark.parametrize("name", ["clock", "launch", "l2"])
def test_unknown_values_are_refused(name: str) -> None:
    """With what there is; options of others are nobody's business here."""
    refuse: Callable[..., None] = refuse_unknown
    refuse([("another", "whatever")])
    with pytest.raises(UsageError, match=f"{name}='no' is unknown; use one of "):
        refuse([(name, "no")])
