from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.timing import Counters, causes

CALM = Counters(
    steal_ticks=7,
    throttled=0,
    core_throttles=3,
    switches=100,
    pressure_us=5000,
    card_slowdowns=2,
)


@pytest.mark.parametrize(
    ("counter", "growth", "found"),
    [
        ("steal_ticks", 1, ("steal",)),
        ("throttled", 1, ("cgroup-throttled",)),
        ("core_throttles", 1, ("core-throttled",)),
        ("switches", 2, ()),
        ("switches", 3, ("switched-out",)),
        ("pressure_us", 1000, ()),
        ("pressure_us", 1001, ("cpu-pressure",)),
        ("card_slowdowns", 1, ("card-slowed",)),
    ],
)
def test_each_counter_taints_by_its_own_rule(
    counter: str, growth: int, found: tuple[str, ...]
) -> None:
    """In a round of 20 ms: any steal or throttling, over two switches, over 1 ms of waiting."""
    after = replace(CALM, **{counter: getattr(CALM, counter) + growth})
    assert causes(CALM, after, elapsed_ms=20.0) == found


def test_a_single_switch_taints_no_round() -> None:
    """In a round of 5 ms one switch is above one in 10 ms, and still says little."""
    assert causes(CALM, replace(CALM, switches=101), elapsed_ms=5.0) == ()
    assert causes(CALM, replace(CALM, switches=102), elapsed_ms=5.0) == ("switched-out",)


def test_all_causes_are_named() -> None:
    """A round that several things disturbed names each."""
    after = Counters(
        steal_ticks=8,
        throttled=1,
        core_throttles=4,
        switches=110,
        pressure_us=9000,
        card_slowdowns=3,
    )
    assert causes(CALM, after, elapsed_ms=20.0) == (
        "steal",
        "cgroup-throttled",
        "core-throttled",
        "switched-out",
        "cpu-pressure",
        "card-slowed",
    )


@given(
    missing=st.sampled_from([field.name for field in fields(Counters)]),
    side=st.booleans(),
)
def test_a_missing_counter_judges_nothing(missing: str, side: bool) -> None:
    """What could not be read before or after a round does not taint it."""
    wild = Counters(*[10**9] * 6)
    before = replace(CALM, **{missing: None}) if side else CALM
    after = wild if side else replace(wild, **{missing: None})
    assert len(causes(before, after, elapsed_ms=20.0)) == 5


def test_counters_name_what_could_be_read() -> None:
    """Only what the system tells is listed."""
    assert Counters(steal_ticks=0, switches=4).readable() == ("steal_ticks", "switches")
    assert Counters().readable() == ()
