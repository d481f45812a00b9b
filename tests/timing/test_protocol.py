import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.timing import Protocol

PROTOCOLS = st.builds(
    Protocol,
    lead_in_runs=st.integers(0, 9),
    round_ms=st.floats(0.1, 50),
    round_cap_ms=st.floats(50, 500),
    rounds_min=st.integers(1, 20),
    rounds_max=st.integers(20, 99),
    half_width=st.floats(0.001, 0.5),
    processes=st.integers(1, 5),
    seed=st.integers(0, 2**31),
)


@given(PROTOCOLS)
def test_a_protocol_survives_json(protocol: Protocol) -> None:
    """Written as JSON and read back, a protocol and its name are the same."""
    back = Protocol.from_dict(json.loads(json.dumps(protocol.to_dict())))
    assert back == protocol
    assert back.name == protocol.name


@given(PROTOCOLS, PROTOCOLS)
def test_names_are_equal_exactly_if_protocols_are(one: Protocol, other: Protocol) -> None:
    """The name tells protocols apart."""
    assert (one.name == other.name) == (one == other)


def test_every_value_is_part_of_the_name() -> None:
    """Changing any single value changes the name."""
    standard = Protocol()
    for field in fields(Protocol):
        value = getattr(standard, field.name)
        changed = value * 1.01 if isinstance(value, float) else {str: "p0", int: 25}[type(value)]
        other = Protocol.from_dict(standard.to_dict() | {field.name: changed})
        assert other.name != standard.name, field.name


def test_the_name_begins_with_the_version() -> None:
    """A name shows the generation of the method."""
    assert Protocol().name.startswith("p7:")
    assert len(Protocol().name) == len("p2:") + 8


def test_a_protocol_is_found_by_its_name() -> None:
    """If it is one of latbench's own in this version; any other is unknown."""
    for protocol in (Protocol.standard(), Protocol.quick()):
        assert Protocol.named(protocol.name) == protocol
    assert Protocol.named("p4:0badf00d") is Protocol.named(None) is None


def test_a_whole_number_is_the_same_protocol_as_its_float() -> None:
    """A file may say 15 for 15.0."""
    assert Protocol(round_ms=15).name == Protocol(round_ms=15.0).name


def test_the_quick_protocol_asks_for_less() -> None:
    """It is shorter in every respect and less exact."""
    quick, standard = Protocol.quick(), Protocol.standard()
    assert quick.half_width > standard.half_width
    assert quick.rounds_min * quick.round_ms < 0.4 * standard.rounds_min * standard.round_ms
    assert (
        quick.warmup_window * quick.warmup_block_ms
        < 0.4 * standard.warmup_window * standard.warmup_block_ms
    )


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"half_width": 1.0}, "half_width 1.0"),
        ({"half_width": "1%"}, "half_width '1%'"),
        ({"processes": 0}, "processes 0"),
        ({"processes": 1.5}, "processes 1.5"),
        ({"round_ms": float("nan")}, "round_ms nan"),
        ({"rounds_min": 31}, "rounds_min 31 is above rounds_max 30"),
        ({"round_ms": 80.0}, "round_ms 80.0 is above round_cap_ms 30.0"),
        ({"warmup_window": 1}, "warmup_window 1"),
        ({"round_msec": 3.0}, "round_msec; known: version, lead_in_runs"),
    ],
)
def test_impossible_values_are_refused_by_name(values: dict[str, object], named: str) -> None:
    """The message names the value that is wrong."""
    with pytest.raises(UsageError, match=named):
        Protocol.from_dict(values)


@pytest.mark.parametrize(("processes", "least", "most"), [(1, 12, 30), (2, 6, 15), (5, 3, 6)])
def test_processes_share_the_rounds(processes: int, least: int, most: int) -> None:
    """All processes together give at least ``rounds_min`` and at most about ``rounds_max``."""
    protocol = Protocol(processes=processes)
    assert (protocol.rounds_least, protocol.rounds_most) == (least, most)
