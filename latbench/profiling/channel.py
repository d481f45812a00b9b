"""What a worker process and the process that started it say to each other: JSON, a line each.

The channel is a socket of its own, so whatever a runtime prints cannot be taken for an answer.
"""

from __future__ import annotations

import base64
import json
import socket
from typing import Any

import numpy as np
import numpy.typing as npt

Message = dict[str, Any]


class Channel:
    """One end of a connected socket."""

    def __init__(self, connection: socket.socket) -> None:
        """Speak over ``connection``, which the channel owns from now on."""
        self._socket = connection
        self._buffer = b""

    def send(self, message: Message) -> None:
        """Send one message, whole.

        Raises:
            OSError: the other end is gone.
        """
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """Return the next message, or None once the other end has closed.

        Raises:
            TimeoutError: none came within ``timeout_s`` seconds.
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
        line, self._buffer = self._buffer.split(b"\n", 1)
        message: Message = json.loads(line)
        return message

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def pack_times(times_ns: npt.NDArray[np.int64]) -> str:
    """Return int64 nanoseconds as text."""
    return base64.b64encode(times_ns.astype("<i8").tobytes()).decode()


def unpack_times(text: str) -> npt.NDArray[np.int64]:
    """Return the nanoseconds that :func:`pack_times` wrote."""
    return np.frombuffer(base64.b64decode(text), dtype="<i8").astype(np.int64)
