"""What took long to build, kept in files: found again by all that it was made from, and checked."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latbench.errors import LatbenchError
from latbench.replacing import replace_whole

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

    def with_hash(self, sha256: str) -> bytes | None:
        """Return what was kept that has this SHA-256, whatever it was made from, or None."""
        paths = sorted(self._folder.iterdir()) if self._folder.is_dir() else []
        contents = (path.read_bytes().partition(b"\n")[2] for path in paths)
        return next((one for one in contents if hashlib.sha256(one).hexdigest() == sha256), None)

    def put(self, facts: Mapping[str, Any], content: bytes) -> None:
        """Keep ``content`` under ``facts``, in place of what was there.

        Raises:
            LatbenchError: the folder cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_whole(self._path(facts), _head(facts, content) + b"\n" + content)
        except OSError as failure:
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
