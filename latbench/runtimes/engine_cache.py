"""What took long to build, kept in files: found again by all that it was made from, and checked."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latbench.errors import LatbenchError

_SCHEMA = 1


class EngineCache:
    """Files below a folder; each begins with a line that says what it was made from.

    What is named, cut off or made from something else is not used: an engine of another version
    or of another GPU must never be timed as if it were this one's.
    """

    def __init__(self, folder: Path) -> None:
        """Keep the files in ``folder``, which is made when something is kept."""
        self._folder = folder

    def get(self, facts: Mapping[str, Any]) -> bytes | None:
        """Return what was kept under ``facts`` (JSON values), or None."""
        path = self._path(facts)
        if not path.is_file():
            return None
        head, _, content = path.read_bytes().partition(b"\n")
        return content if head == _head(facts, content) else None

    def put(self, facts: Mapping[str, Any], content: bytes) -> None:
        """Keep ``content`` under ``facts``, in place of what was there.

        Raises:
            LatbenchError: the folder cannot be written.
        """
        path = self._path(facts)
        # Another process may read meanwhile: it sees the old file or the whole new one.
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(_head(facts, content) + b"\n" + content)
            unfinished.replace(path)
        except OSError as failure:
            with contextlib.suppress(OSError):  # the first failure is the one to tell
                unfinished.unlink()
            raise LatbenchError(
                f"engines cannot be kept ({failure.strerror}); set XDG_CACHE_HOME to a folder that "
                "can be written and has room"
            ) from failure

    def _path(self, facts: Mapping[str, Any]) -> Path:
        return self._folder / hashlib.sha256(_text(facts)).hexdigest()


def default_cache() -> EngineCache:
    """Return the cache of this user: ``$XDG_CACHE_HOME/latbench/tensorrt``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return EngineCache(Path(base) / "latbench" / "tensorrt")


def _head(facts: Mapping[str, Any], content: bytes) -> bytes:
    digest = hashlib.sha256(content).hexdigest()
    return _text({"schema": _SCHEMA, "sha256": digest, "made_from": facts})


def _text(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
