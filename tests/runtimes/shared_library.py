"""A shared library that is read and not loaded: which texts its code uses."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import numpy as np


class Library:
    """The content of a library for x86-64."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        headers, (size, count) = struct.unpack_from("<Q", content, 32)[0], self._read("<HH", 54)
        found = (self._read("<IIQQQQ", headers + number * size) for number in range(count))
        # Of what is loaded: flags, and where it lies in the file and in memory.
        self._loaded = [part[1:4] + part[5:6] for part in found if part[0] == 1]
        self._used = {address for part in self._loaded if part[0] & 1 for address in self._by(part)}

    def _read(self, form: str, place: int) -> tuple[int, ...]:
        return struct.unpack_from(form, self._content, place)

    def _by(self, part: tuple[int, ...]) -> Iterator[int]:
        """Yield the addresses that the code in ``part`` computes, by ``lea`` from its own place."""
        _, start, address, size = part
        code = np.frombuffer(self._content, np.uint8, size, start)
        (places,) = np.nonzero((code[:-6] == 0x8D) & (code[1:-5] & 0xC7 == 0x05))
        for place in places.tolist():
            yield address + place + 6 + self._read("<i", start + place + 2)[0]

    def has(self, name: str) -> bool:
        """Return whether its code uses a string that is ``name``.

        Linkers keep a string that another one ends in only once, as a part of that; so it matters
        what the code means and not what stands around the name.
        """
        places = (
            one.start() for one in re.finditer(re.escape(name.encode() + b"\0"), self._content)
        )
        return any(
            start <= place < start + size and place - start + address in self._used
            for place in places
            for _, start, address, size in self._loaded
        )
