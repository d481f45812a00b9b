"""One text for one JSON value, so that texts can be compared and hashed."""

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> str:
    """Return ``value`` as JSON with sorted keys, without spaces; equal values, equal texts.

    Raises:
        TypeError: a part of the value is not JSON.
        ValueError: a number is NaN or infinite, which JSON cannot hold.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(prefix: str, *parts: object) -> str:
    """Return ``prefix:<sha256>`` over ``parts``; no two different lists of parts share a text."""
    return f"{prefix}:{hashlib.sha256(canonical_json(parts).encode()).hexdigest()}"
