import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, cycle, repeat
from typing import Any

import numpy as np
import pytest

from latbench.errors import UsageError
from latbench.timing import (
    Clock,
    Counters,
    Digest,
    Protocol,
    Round,
    WarmUp,
    interleave,
    undisturbed_ms,
)

PROTOCOL = Protocol(bootstrap=200, round_runs=30, round_ms=15.0, round_cap_ms=60.0)


@dataclass
class Work:
    """A subject whose runs take what ``latencies_ms`` yields."""

    name: str
    latencies_ms: Iterator[float]

    def run_once(self) -> float:
        return next(self.latencies_ms)


def steady(name: str, latency_ms: float = 1.0) -> Work:
    """Return a subject of constant latency."""
    return Work(name, (latency_ms for _ in count()))


def failing(name: str, after: int, error: type[BaseException] = RuntimeError) -> Work:
    """Return a subject of 1 ms whose run fails ``after`` so many."""

    def latencies() -> Iterator[float]:
        for _ in range(after):
            yield 1.0
        raise error("out of memory")

    return Work(name, latencies())


@dataclass
class Log:
    """What was told, in order."""

    warm: dict[str, WarmUp] = field(default_factory=dict)
    rounds: list[tuple[str, Round]] = field(default_factory=list)
    done: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> list[Round]:
        return [one for subject, one in self.rounds if subject == name]


Time = Callable[..., Log]


@pytest.fixture
def time(clock: Clock, now: Callable[[], float]) -> Time:
    """Time subjects on the simulated clock of a quiet machine."""

    def run(*subjects: Work, protocol: Protocol = PROTOCOL, **options: Any) -> Log:
        log = Log()
        defaults: dict[str, Any] = {
            "process": "p0",
            "on_warm": log.warm.__setitem__,
            "on_round": lambda name, one: log.rounds.append((name, one)),
            "on_done": log.done.__setitem__,
            "on_failed": log.failed.__setitem__,
            "clock": clock,
            "now": now,
            "read_counters": Counters,
        }
        interleave(subjects, protocol, **(defaults | options))
        return log

    return run


def test_subjects_take_turns(time: Time) -> None:
    """Every pass holds one round of each subject, and passes differ in order."""
    log = time(*[steady(name) for name in "abcd"])
    names = [name for name, _ in log.rounds]
    passes = [tuple(names[start : start + 4]) for start in range(0, len(names), 4)]
    assert len(passes) == PROTOCOL.rounds_least
    assert all(sorted(one) == list("abcd") for one in passes)
    assert len(set(passes)) > 1
    assert log.done == dict.fromkeys("abcd", "converged")


def test_the_order_is_seeded_and_differs_between_processes(time: Time) -> None:
    """The same process repeats its order; another process or seed has another."""

    def order(process: str, seed: int = 0) -> list[str]:
        protocol = Protocol(bootstrap=200, seed=seed)
        log = time(*[steady(name) for name in "abcdefgh"], process=process, protocol=protocol)
        return [name for name, _ in log.rounds]

    assert order("p0") == order("p0")
    assert order("p0") != order("p1")
    assert order("p0") != order("p0", seed=1)


def test_rounds_tell_where_they_come_from(time: Time) -> None:
    """Process and number identify a round of a subject; starts follow each other."""
    log = time(steady("a"), steady("b"), process="host-7")
    for name in "ab":
        assert [one.number for one in log.of(name)] == list(range(6))
        assert {one.process for one in log.of(name)} == {"host-7"}
    starts = [one.started for _, one in log.rounds]
    assert starts == sorted(starts)
    assert all(one.taints == () and one.sentinel_ms is None for _, one in log.rounds)


def test_all_are_warm_before_any_round(time: Time, clock: Clock) -> None:
    """The first round waits for the subject that takes longest to warm up."""
    slow = (1.0 + 0.5 * 0.98**run for run in count())
    warm_at: list[int] = []
    log = Log()
    time(
        steady("quick"),
        Work("slow", slow),
        on_warm=lambda name, _: warm_at.append(len(log.rounds)),
        on_round=lambda name, one: log.rounds.append((name, one)),
    )
    assert warm_at == [0, 0]


def test_the_warm_up_is_told(time: Time) -> None:
    """The first run is kept apart, and the estimate is that of the steady state."""

    def latencies() -> Iterator[float]:
        yield 250.0
        while True:
            yield 2.0

    warm = time(Work("a", latencies())).warm["a"]
    assert warm.state == "steady"
    assert warm.first_run_ms == 250.0
    assert warm.estimate_ms == 2.0
    assert warm.spent_ms == warm.blocks * PROTOCOL.warmup_block_ms


def test_waiting_for_others_counts_as_warming(time: Time) -> None:
    """The least warm-up time is wall time: among twenty subjects, ten blocks of each suffice."""
    alone = time(steady("a")).warm["a"]
    shared = time(*[steady(f"s{n}") for n in range(20)]).warm["s0"]
    assert alone.blocks * PROTOCOL.warmup_block_ms >= PROTOCOL.warmup_min_ms
    assert shared.blocks == 2 * PROTOCOL.warmup_window


def test_a_subject_without_steady_state_is_timed_all_the_same(time: Time) -> None:
    """It is told as such, and its rounds follow."""
    log = time(Work("drifting", (1.0003**run for run in count())))
    assert log.warm["drifting"].state == "no-steady-state"
    assert len(log.of("drifting")) >= PROTOCOL.rounds_least


def test_a_noisy_subject_stays_longer(time: Time) -> None:
    """The quiet one leaves with its share, the hopelessly noisy one half-way."""
    rng = np.random.default_rng(0)
    noisy = Work("noisy", iter(np.repeat(rng.uniform(1, 2, 999), 40).tolist()))
    log = time(steady("quiet"), noisy)
    assert log.done == {"quiet": "converged", "noisy": "rounds"}
    assert len(log.of("quiet")) == PROTOCOL.rounds_least
    assert len(log.of("noisy")) == math.ceil(PROTOCOL.rounds_most / 2)


@pytest.mark.parametrize("after", [0, 1, 100, 300])
def test_a_failing_subject_leaves_and_the_others_go_on(time: Time, after: int) -> None:
    """In its first run, in the warm-up or in a round: it is named once, with its exception."""
    log = time(steady("a"), failing("bad", after), steady("b"))
    assert log.failed == {"bad": "RuntimeError: out of memory"}
    assert log.done == {"a": "converged", "b": "converged"}


def test_an_interrupt_is_nobodys_failure(time: Time) -> None:
    """Ctrl-C ends the timing."""
    with pytest.raises(KeyboardInterrupt):
        time(steady("a"), failing("bad", 100, KeyboardInterrupt))


def test_a_failing_callback_ends_the_timing(time: Time) -> None:
    """A round that cannot be stored is not the subject's failure."""

    def full(name: str, one: Round) -> None:
        raise OSError("disk full")

    failures: dict[str, str] = {}
    with pytest.raises(OSError, match="disk full"):
        time(steady("a"), on_round=full, on_failed=failures.__setitem__)
    assert failures == {}


def test_a_budget_ends_the_turns(time: Time, now: Callable[[], float]) -> None:
    """After the budget no round begins, and everybody still there is told."""
    rng = np.random.default_rng(0)
    subjects = [Work(name, iter(rng.uniform(1, 2, 10**5).tolist())) for name in "abc"]
    log = time(*subjects, budget_s=0.8, protocol=Protocol(bootstrap=200, warmup_cap_ms=100.0))
    assert log.done == dict.fromkeys("abc", "budget")
    assert log.rounds
    assert 0.8 <= now() < 0.8 + 0.04


def test_a_budget_may_end_the_warm_up(time: Time) -> None:
    """Who was not warm by then has no rounds and is told."""
    log = time(steady("a"), steady("b"), budget_s=0.1)
    assert log.done == {"a": "budget", "b": "budget"}
    assert (log.warm, log.rounds) == ({}, [])


def test_the_sentinel_runs_before_each_pass(time: Time) -> None:
    """Its median is kept with each round of the pass, so passes can be compared."""
    runs = [*repeat(0.5, PROTOCOL.lead_in_runs), *repeat(1.0, PROTOCOL.sentinel_runs)]
    speeds = (number * ms for number in count(1) for ms in runs)
    log = time(steady("a"), steady("b"), sentinel=lambda: next(speeds))
    assert [one.sentinel_ms for one in log.of("a")] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert [one.sentinel_ms for one in log.of("b")] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_disturbed_rounds_are_tainted_and_made_up_for(time: Time) -> None:
    """Steal in every other round leaves the share of clean rounds as it is."""
    ticks = iter([0, 1, 1, 1] * 99)  # one reading before and one after each round
    log = time(steady("a"), read_counters=lambda: Counters(steal_ticks=next(ticks)))
    assert [one.taints for one in log.of("a")] == [("steal",), ()] * PROTOCOL.rounds_least
    assert log.done == {"a": "converged"}


class Neighbour:
    """A probe that finds the core quiet as often as it is told to."""

    def __init__(self, states: Iterator[bool]) -> None:
        self.looks = 0
        self._states = states

    def quiet(self) -> bool:
        self.looks += 1
        return next(self._states)

    def wait(self, longest_ns: int) -> int:
        return longest_ns


def test_rounds_tell_how_often_the_core_was_quiet(time: Time) -> None:
    """Disturbed samples are kept, and are no taint: the estimate takes their share into account."""
    quiet = time(steady("a"), probe=Neighbour(repeat(True))).of("a")
    slow = time(steady("a"), probe=Neighbour(repeat(False))).of("a")
    mixed = time(steady("a"), probe=Neighbour(cycle([True, True, False]))).of("a")
    for rounds in (quiet, slow, mixed):
        assert {one.taints for one in rounds} == {()}
        assert all(len(one.samples.times_ns) >= PROTOCOL.round_runs_min for one in rounds)
    assert all(one.digest.quiet == one.digest.samples for one in quiet)
    assert all(one.digest.quiet == 0 for one in slow)
    assert all(0 < one.digest.quiet < one.digest.samples for one in mixed)


def test_the_sentinel_is_probed_as_well(time: Time) -> None:
    """It is that of its undisturbed samples, though most of them are disturbed."""
    core = Neighbour(cycle([True, True, True, False, False]))

    def run_sentinel() -> float:
        return 1.0 if core.looks % 5 in (1, 2) else 9.0  # between two looks that are quiet

    log = time(steady("a"), sentinel=run_sentinel, probe=core)
    assert {one.sentinel_ms for one in log.of("a")} == {1.0}


def test_a_machine_that_is_never_quiet_ends_once_that_is_plain(time: Time) -> None:
    """All rounds are kept, each with its cause; more than 30 % of the most are enough to see."""
    ticks = count()
    log = time(steady("a"), read_counters=lambda: Counters(steal_ticks=next(ticks)))
    assert len(log.of("a")) == int(PROTOCOL.taint_limit * 2 * PROTOCOL.rounds_most) + 1
    assert {one.taints for one in log.of("a")} == {("steal",)}


def test_earlier_rounds_count_in_the_stop_rule(time: Time) -> None:
    """A subject whose rounds in the process before were 20 % apart does not converge."""
    earlier = [[Digest((value,), 1, 1) for value in (1.0, 1.2) * 6]]
    log = time(steady("a"), steady("b"), process="p1", rounds_before={"a": earlier})
    assert log.done == {"a": "rounds", "b": "converged"}


def test_short_runs_are_timed_in_groups(time: Time) -> None:
    """With a clock that blurs 100 ns, samples last at least 0.1 ms."""
    log = time(steady("short", 0.01), steady("long", 1.0))
    assert {one.inner for one in log.of("short")} == {10}
    assert {one.inner for one in log.of("long")} == {1}
    assert all(one.median_ms == pytest.approx(0.01) for one in log.of("short"))


def test_two_subjects_of_one_name_are_refused(time: Time) -> None:
    """Their rounds could not be told apart."""
    with pytest.raises(UsageError, match="same name"):
        time(steady("a"), steady("a"))


def test_no_subjects_need_no_time(time: Time) -> None:
    """Nothing is told about nobody."""
    log = time()
    assert (log.warm, log.rounds, log.done, log.failed) == ({}, [], {}, {})


def test_samples_in_which_launches_showed_taint_their_round(time: Time, clock: Any) -> None:
    """A device's clock is to leave the host out: where it cannot, the round says so."""

    class Late:
        resolution_ns = overhead_ns = 1.0
        hidden = False

        def time(self, run_once: Callable[[], object], inner: int) -> int:
            return int(clock.time(run_once, inner))

    log = time(*[steady(name) for name in "ab"], clocks={"b": Late()})
    assert {one.taints for one in log.of("b")} == {("launches-shown",)}
    assert {one.taints for one in log.of("a")} == {()}


def test_a_subject_may_bring_its_own_clock(time: Time, clock: Any) -> None:
    """A device's events time it; the others, and the sentinel, keep the common clock."""

    class Twice:
        resolution_ns = overhead_ns = 1.0
        hidden = True

        def time(self, run_once: Callable[[], object], inner: int) -> int:
            return 2 * int(clock.time(run_once, inner))

    passes: list[Digest] = []
    log = time(
        *[steady(name) for name in "ab"],
        clocks={"b": Twice()},
        sentinel=lambda: 1.0,
        on_sentinel=passes.append,
    )
    assert [log.of(name)[0].median_ms for name in "ab"] == [1.0, 2.0]
    assert log.warm["b"].first_run_ms == 2.0
    assert undisturbed_ms(passes[:1]) == 1.0
    passes.clear()
    time(steady("a"), sentinel=lambda: 1.0, on_sentinel=passes.append, sentinel_clock=Twice())
    assert undisturbed_ms(passes[:1]) == 2.0
