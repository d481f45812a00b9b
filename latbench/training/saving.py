"""Files that are replaced whole, and not too often."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latbench.errors import ArtefactError
from latbench.replacing import replace_whole


def replace_file(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` so that a reader, or a crash, meets the old file or the new.

    Raises:
        ArtefactError: the folder is missing or not writable, or the disk is full.
    """
    try:
        replace_whole(path, content)
    except OSError as failure:
        raise ArtefactError(
            f"{path} cannot be written: {failure.strerror}; choose another place"
        ) from failure


def check_identity(source: str, found: Any, wanted: Any) -> None:
    """Refuse a saved state that belongs to something else than what is under way.

    Args:
        source: what holds the state, for the message.
        found: what it says it belongs to, as JSON values.
        wanted: what it must belong to.

    Raises:
        ArtefactError: they differ; the text names the first difference.
    """
    difference = _first_difference(found, wanted, "")
    if difference is not None:
        name, old, new = difference
        raise ArtefactError(
            f"{source} belongs to something else: {name} is {old!r} there and {new!r} here; "
            "use the same settings, or another file"
        )


def _first_difference(found: Any, wanted: Any, name: str) -> tuple[str, Any, Any] | None:
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in sorted({*found, *wanted}):
            inner = f"{name}.{key}" if name else str(key)
            difference = _first_difference(found.get(key), wanted.get(key), inner)
            if difference is not None:
                return difference
        return None
    return None if found == wanted else (name, found, wanted)


class Pace:
    """Says when to save, so that saving takes a twentieth of the time at most."""

    SHARE = 20

    def __init__(self) -> None:
        """Let the first save be due at once."""
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() >= self._next

    def saved(self, started: float) -> None:
        """Note that a save, begun at ``started`` on the monotonic clock, is done."""
        now = time.monotonic()
        self._next = now + self.SHARE * (now - started)
