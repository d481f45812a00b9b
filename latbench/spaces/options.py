"""Checks of the options that spaces take: the user's words, so every error is a UsageError."""

from __future__ import annotations

from collections.abc import Sequence

from latbench.errors import UsageError


def whole(name: str, value: object, low: int, high: int) -> int:
    """Return ``value`` as a whole number of ``low`` to ``high``.

    Raises:
        UsageError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UsageError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
    return value


def stages(name: str, value: object) -> list[list[int]]:
    """Return ``value`` as ``[[width, depth, stride], …]``.

    Raises:
        UsageError: another form, or a number out of range.
    """
    form = f"{name} must be a list of [width, depth, stride], such as [[24,4,2],[40,4,2]]"
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise UsageError(f"{form}; got {value!r}")
    result = []
    for stage in value:
        if isinstance(stage, str) or not isinstance(stage, Sequence) or len(stage) != 3:
            raise UsageError(f"{form}; got {stage!r} in it")
        result.append(
            [
                whole(f"the width in {name}", stage[0], 1, 4096),
                whole(f"the depth in {name}", stage[1], 1, 64),
                whole(f"the stride in {name}", stage[2], 1, 4),
            ]
        )
    return result
