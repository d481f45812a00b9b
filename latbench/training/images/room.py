"""Whether images fit into memory, told before they fill it."""

from __future__ import annotations

from latbench.errors import UsageError
from latbench.profiling.memory import available_bytes
from latbench.units import format_bytes


def require_room(what: str, needed_bytes: int) -> None:
    """Refuse to load what memory cannot hold.

    Raises:
        UsageError: ``what`` needs more than is available.
    """
    available = available_bytes()
    if needed_bytes > available:
        raise UsageError(
            f"{what} would take {format_bytes(needed_bytes)} of memory, and "
            f"{format_bytes(available)} are available; take smaller or fewer images"
        )
