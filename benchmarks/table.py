"""One measured row, and the table in README.md that holds them."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- table -->", "<!-- end of table -->"


@dataclass(frozen=True)
class Row:
    """What was measured, what it was to be, and whether it is."""

    what: str
    goal: str
    measured: str
    beside: str
    met: bool


def markdown(rows: Sequence[Row], machine: str, date: str) -> str:
    """Return the table as Markdown, with the machine that it was measured on."""
    lines = [
        f"Measured on {date}: {machine}, Python {platform.python_version()}.",
        "",
        "| what | goal | measured | beside it, in the same run | met |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.what} | {row.goal} | {row.measured} | {row.beside} | "
        f"{'yes' if row.met else '**no**'} |"
        for row in rows
    ]
    return "\n".join(lines)


def write(text: str) -> None:
    """Put ``text`` between the marks of README.md."""
    page = README.read_text(encoding="utf-8")
    head, rest = page.split(_BEGIN)
    _, tail = rest.split(_END)
    README.write_text(f"{head}{_BEGIN}\n{text}\n{_END}{tail}", encoding="utf-8")
