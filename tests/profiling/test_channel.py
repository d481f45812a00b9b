"""The line between a worker and its sweep: whole messages, or none."""

from __future__ import annotations

import socket
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.profiling.channel import (
    Channel,
    GarbageError,
    checked,
    pack_times,
    unpack_times,
)

Pair = tuple[socket.socket, Channel]

texts = st.text(st.sampled_from('aé\n\r\0"\\{}😀'))
values = st.none() | st.booleans() | st.floats(allow_nan=False) | st.lists(texts, max_size=3)


@given(st.lists(st.dictionaries(texts, values, max_size=3), max_size=3))
@settings(max_examples=40)
def test_messages_arrive_as_they_were_sent(messages: list[dict[str, object]]) -> None:
    """Whatever JSON holds, line breaks in texts too, arrives whole and in order."""
    ours, theirs = socket.socketpair()
    one, other = Channel(ours), Channel(theirs)
    try:
        for message in messages:
            one.send(message)
        one.close()
        assert [other.receive() for _ in messages] == messages
        assert other.receive() is None
    finally:
        other.close()


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_times_survive_as_text(times: list[int]) -> None:
    """Nanoseconds are packed without loss."""
    array = np.array(times, dtype=np.int64)
    np.testing.assert_array_equal(unpack_times(pack_times(array)), array)


@pytest.fixture
def pair() -> Pair:
    """A bare socket, and a channel on its other end."""
    ours, theirs = socket.socketpair()
    return ours, Channel(theirs)


def test_a_message_may_come_in_parts(pair: Pair) -> None:
    """A message is given out once its line has ended, and the next one is kept."""
    bare, channel = pair
    bare.sendall(b'{"a": ')
    with pytest.raises(TimeoutError):
        channel.receive(timeout_s=0.01)
    bare.sendall(b'1}\n{"b": 2}\n{"c"')
    assert channel.receive() == {"a": 1}
    assert channel.receive() == {"b": 2}
    bare.close()
    assert channel.receive() is None
    channel.close()


def test_large_messages_pass(pair: Pair) -> None:
    """A message larger than any buffer between the two ends arrives."""
    bare, channel = pair
    sender = Channel(bare)
    message = {"text": "x" * 3_000_000}
    thread = threading.Thread(target=sender.send, args=(message,))
    thread.start()
    assert channel.receive(timeout_s=10) == message
    thread.join()
    sender.close()
    channel.close()


def test_nobody_to_speak_to_is_an_error(pair: Pair) -> None:
    """Sending to an end that is gone raises, so that a worker can end."""
    bare, channel = pair
    bare.close()
    with pytest.raises(BrokenPipeError):
        channel.send({"type": "round"})
    channel.close()


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b"Segmentation fault\n", "Segmentation fault"),
        (b"\xff\x00\n", "\\x00"),
        (b"[1, 2]\n", "[1, 2]"),
        (b"[" * 200_000 + b"\n", "[[["),
    ],
)
def test_what_is_no_message_is_refused(pair: Pair, sent: bytes, shown: str) -> None:
    """Bytes that are no JSON object raise an error that shows how they begin."""
    bare, channel = pair
    thread = threading.Thread(target=bare.sendall, args=(sent,))
    thread.start()
    with pytest.raises(GarbageError) as caught:
        channel.receive(timeout_s=10)
    thread.join()
    assert shown in str(caught.value)
    assert len(str(caught.value)) < 300
    bare.close()
    channel.close()


def test_a_line_without_end_is_refused(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What never ends is not kept for ever."""
    monkeypatch.setattr("latbench.profiling.channel._LONGEST_LINE", 1000)
    bare, channel = pair
    bare.sendall(b"x" * 2000)
    with pytest.raises(GarbageError, match="xxx"):
        channel.receive(timeout_s=10)
    bare.close()
    channel.close()


def test_nobody_who_takes_a_message_is_a_time_out(pair: Pair) -> None:
    """Sending to an end that reads nothing does not last for ever."""
    bare, channel = pair
    with pytest.raises(TimeoutError):
        channel.send({"text": "x" * 10_000_000}, timeout_s=0.05)
    bare.close()
    channel.close()


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": ["done"]},
        {"type": "finished", "job": "a"},
        {"type": "done", "job": "a"},
        {"type": "failed", "job": "b", "reason": ""},
        {"type": "failed", "job": ["a"], "reason": ""},
    ],
)
def test_only_what_a_worker_says_is_believed(message: dict[str, object]) -> None:
    """A message of no known type, without a field, or of a job that was not given is garbage."""
    with pytest.raises(GarbageError):
        checked(message, {"a"})
    assert checked({"type": "failed", "job": "a", "reason": ""}, {"a"})["job"] == "a"
