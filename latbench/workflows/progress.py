"""How a workflow tells how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Tick = Callable[[int, int], None]
"""Takes how many steps are done, of how many."""

Progress = Callable[[str], AbstractContextManager[Tick]]
"""Opens a display with a title for one piece of work."""


def silent(title: str) -> AbstractContextManager[Tick]:
    """Show nothing."""
    return nullcontext(lambda done, total: None)
