"""How checks are printed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from latbench.cli.output import table
from latbench.workflows.checks import Check

_WORDS = {True: "ok", False: "not ok", None: "?"}


def show(console: Console, title: str, checks: Sequence[Check]) -> None:
    """Print ``checks`` as a table, and below it what to do, a line each."""
    rows = [[check.name, _WORDS[check.ok], check.value] for check in checks]
    console.print(table(title, ["check", "", "found"], rows))
    for check in checks:
        if check.advice:
            console.print(f"{check.name}: {check.advice}", markup=False, soft_wrap=True)
