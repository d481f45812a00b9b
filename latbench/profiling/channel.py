"""What a worker process and the process that started it say to each other: JSON, a line each.

The channel is a socket of its own, so whatever a runtime prints cannot be taken for an answer.
"""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

Message = dict[str, Any]

# What a worker says, by the type of the message, and the fields that each has.
_FIELDS = {
    "working": (),
    "compiling": ("job",),
    "compiled": ("job", "compile_ms", "precision_run"),
    "warm": ("job", "steady", "first_run_ms", "warmup_ms"),
    "round": ("job", "number", "started", "inner", "times", "quiet", "taints", "sentinel_ms"),
    "sentinel": ("values_ms", "samples", "quiet"),
    "done": ("job", "outcome"),
    "failed": ("job", "reason"),
    "kernels": ("graph",),
    "untold": ("reason",),
    "unavailable": ("reason",),
    "end": (),
}
_LONGEST_LINE = 1 << 26
_SHOWN = 60


class GarbageError(ValueError):
    """What came over a channel is no message; the text shows how it begins."""


class Channel:
    """One end of a connected socket."""

    def __init__(self, connection: socket.socket) -> None:
        """Speak over ``connection``, which the channel owns from now on."""
        self._socket = connection
        self._buffer = b""

    def send(self, message: Message, timeout_s: float | None = None) -> None:
        """Send one message, whole.

        Raises:
            TimeoutError: the other end did not take it within ``timeout_s`` seconds.
            OSError: the other end is gone.
        """
        self._socket.settimeout(timeout_s)
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """Return the next message, or None once the other end has closed.

        Raises:
            TimeoutError: none came within ``timeout_s`` seconds.
            GarbageError: what came is no message.
        """
        while b"\n" not in self._buffer:
            self._socket.settimeout(timeout_s)
            try:
                received = self._socket.recv(1 << 20)
            except ConnectionResetError:
                return None
            if not received:
                return None
            self._buffer += received
            if len(self._buffer) > _LONGEST_LINE and b"\n" not in received:
                raise GarbageError(_beginning(self._buffer))
        line, self._buffer = self._buffer.split(b"\n", 1)
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise GarbageError(_beginning(line)) from error
        if not isinstance(message, dict):
            raise GarbageError(_beginning(line))
        return message

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def checked(message: Message, jobs: Collection[str]) -> Message:
    """Return ``message`` if a worker that was given ``jobs`` can have sent it.

    Raises:
        GarbageError: it is of no known type, lacks a field, or is of another job.
    """
    kind = message.get("type")
    fields = _FIELDS.get(kind) if isinstance(kind, str) else None
    known = fields is not None and message.keys() >= set(fields)
    if not known or ("job" in message and message["job"] not in list(jobs)):
        raise GarbageError(_beginning(json.dumps(message).encode()))
    return message


def _beginning(data: bytes) -> str:
    return repr(data[:_SHOWN].decode(errors="replace"))


def pack_times(times_ns: npt.NDArray[np.int64]) -> str:
    """Return int64 nanoseconds as text."""
    return base64.b64encode(times_ns.astype("<i8").tobytes()).decode()


def unpack_times(text: str) -> npt.NDArray[np.int64]:
    """Return the nanoseconds that :func:`pack_times` wrote."""
    return np.frombuffer(base64.b64decode(text), dtype="<i8").astype(np.int64)
