"""Which architectures a workflow looks at: drawn by seed, or read from files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from latbench.errors import UsageError
from latbench.spaces import IntArray, SearchSpace

_CHUNK = 256
_BARREN = 100
_LARGEST_JSON_BYTES = 1 << 20


def draw(space: SearchSpace, n: int, seed: int) -> IntArray:
    """Return ``n`` different architectures (n, choices), drawn uniformly by ``seed``.

    The first of a longer draw are those of a shorter one, so that what was measured is reused.
    A space with fewer gives as many as it has.
    """
    rng = np.random.default_rng(seed)
    n = min(n, space.size)
    found: dict[bytes, IntArray] = {}
    barren = 0
    # Inactive choices make fewer architectures than the size says: end when no new ones come.
    while len(found) < n and barren < _BARREN:
        before = len(found)
        for x in space.sample(rng, _CHUNK):
            found.setdefault(x.tobytes(), x)
        barren = barren + 1 if len(found) == before else 0
    rows = list(found.values())[:n]
    return np.array(rows, dtype=np.int64).reshape(n, len(space.choices))


def read(space: SearchSpace, paths: Iterable[Path]) -> IntArray:
    """Return the architectures (n, choices) in JSON files, one a file.

    Raises:
        UsageError: a file that cannot be read, holds no JSON, or an architecture of another space.
    """
    return np.array([_read_one(space, path) for path in paths], dtype=np.int64)


def _read_one(space: SearchSpace, path: Path) -> IntArray:
    try:
        if path.stat().st_size > _LARGEST_JSON_BYTES:
            raise UsageError(f"{path} is too large for an architecture; is it another file?")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as failure:
        raise UsageError(f"{path} cannot be read: {failure.strerror}") from failure
    except (ValueError, RecursionError) as failure:
        raise UsageError(f"{path} holds no JSON: {failure}") from failure
    if isinstance(data, dict) and isinstance(data.get("arch"), dict):
        data = data["arch"]  # the document that `latbench search --json` prints
    try:
        return space.from_json(data)
    except UsageError as failure:
        raise UsageError(f"{path}: {failure}") from failure


def space_of(path: Path) -> dict[str, object] | None:
    """Return the space that the architecture file ``path`` names, if it is one."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # whoever reads the architecture says what is wrong with the file
    if isinstance(data, dict) and isinstance(data.get("arch"), dict):
        data = data["arch"]
    spec = data.get("space") if isinstance(data, dict) else None
    return spec if isinstance(spec, dict) else None
