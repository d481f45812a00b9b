from collections.abc import Iterable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.timing import Protocol, Round, Samples
from latbench.timing.stopping import StopRule, another_process

PROTOCOL = Protocol(rounds_min=12, rounds_max=60, processes=2, bootstrap=800)


def a_round(median_ms: float, taints: tuple[str, ...] = ()) -> Round:
    """Return a round of one sample."""
    return Round("p1", 0, 0.0, 1, Samples(np.array([round(median_ms * 1e6)])), taints)


def rounds_until_done(rule: StopRule, rounds: Iterable[Round]) -> tuple[int, str]:
    """Return how many of ``rounds`` the rule takes until it has an outcome, and which."""
    for taken, one in enumerate(rounds, start=1):
        rule.add(one)
        if rule.outcome is not None:
            return taken, rule.outcome
    raise AssertionError("the rule took all rounds and still has no outcome")


def test_equal_rounds_end_with_the_process_share() -> None:
    """Two processes share twelve rounds: each leaves after six that agree."""
    assert rounds_until_done(StopRule(PROTOCOL), [a_round(1.0)] * 99) == (6, "converged")


def test_wild_rounds_leave_half_way() -> None:
    """Two processes share sixty rounds; where all of them cannot help, half of them do."""
    rounds = [a_round(1.0 + number % 2) for number in range(99)]
    assert rounds_until_done(StopRule(PROTOCOL), rounds) == (15, "rounds")


def test_two_checks_in_a_row_must_agree() -> None:
    """The fifth round makes a narrow check, the sixth a wide one: two more narrow ones follow."""
    rounds = [a_round(1.0)] * 5 + [a_round(1.5)] + [a_round(1.0)] * 90
    assert rounds_until_done(StopRule(PROTOCOL), rounds) == (8, "converged")


def test_tainted_rounds_are_made_up_for() -> None:
    """Every other round is tainted: twice as many give the same share of clean ones."""
    rounds = [a_round(1.0, ("steal",) if number % 2 == 0 else ()) for number in range(99)]
    assert rounds_until_done(StopRule(PROTOCOL), rounds) == (12, "converged")


def test_nothing_but_taints_ends_when_clean_rounds_could_no_longer_save_it() -> None:
    """Of at most 60 rounds 30 % may be tainted: the nineteenth makes the estimate unstable."""
    rounds = [a_round(1.0, ("steal",))] * 999
    assert rounds_until_done(StopRule(PROTOCOL), rounds) == (19, "rounds")


def test_rounds_of_earlier_processes_count_for_the_width() -> None:
    """Where the subject's rounds were apart before, more of its rounds are wanted now."""
    before = [[a_round(1.0 + 0.2 * (number % 2)).digest for number in range(12)]]
    assert rounds_until_done(StopRule(PROTOCOL, before), [a_round(1.0)] * 99) == (15, "rounds")
    before = [[a_round(1.0).digest] * 12]
    assert rounds_until_done(StopRule(PROTOCOL, before), [a_round(1.0)] * 99) == (6, "converged")


def test_a_process_at_another_level_is_no_reason_to_stay() -> None:
    """No round of this process tells what sets it apart from the one before."""
    before = [[a_round(1.1).digest] * 6]
    assert rounds_until_done(StopRule(PROTOCOL, before), [a_round(1.0)] * 99) == (6, "converged")


def test_earlier_rounds_do_not_spare_this_process_its_share() -> None:
    """Twelve earlier rounds are one process's; this one still gives six."""
    before = [[a_round(1.0).digest] * 12]
    assert rounds_until_done(StopRule(PROTOCOL, before), [a_round(1.0)] * 99) == (6, "converged")


def test_a_half_width_that_may_become_narrow_gets_another_process() -> None:
    """Four processes halve the half-width of one: up to 2.1 % of two may come near to 1 %."""
    protocol = Protocol(processes=2, processes_extra=2, half_width=0.01)
    assert not another_process(2, 0.01, protocol)
    assert another_process(2, 0.011, protocol)
    assert another_process(2, 0.021, protocol)
    assert not another_process(2, 0.022, protocol)
    assert another_process(3, 0.017, protocol)
    assert not another_process(3, 0.018, protocol)
    assert not another_process(4, 0.011, protocol)
    assert not another_process(0, 1.0, protocol)
    assert not another_process(2, 0.011, Protocol(processes_extra=0))


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.floats(0.5, 2.0), st.booleans()), min_size=60, max_size=60),
)
def test_every_subject_ends(history: list[tuple[float, bool]]) -> None:
    """Whatever it measures, a subject leaves between its share and twice its most rounds."""
    rounds = [a_round(ms, ("steal",) if tainted else ()) for ms, tainted in history]
    taken, _ = rounds_until_done(StopRule(Protocol(bootstrap=40)), rounds)
    assert 6 <= taken <= 60
