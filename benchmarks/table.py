"""Measured rows: kept in measured.json, and shown as tables in README.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

README = Path(__file__).with_name("README.md")
KEPT = Path(__file__).with_name("measured.json")
_BEGIN, _END = "<!-- tables -->", "<!-- end of tables -->"


@dataclass(frozen=True)
class Row:
    """What was measured, what it was to be, and whether it is."""

    what: str
    goal: str
    measured: str
    beside: str
    met: bool


@dataclass(frozen=True)
class Measured:
    """The rows of one benchmark, with when and on what they were measured."""

    date: str
    machine: str
    rows: Sequence[Row]


def kept() -> dict[str, Measured]:
    """Return what was measured last, by benchmark."""
    if not KEPT.exists():
        return {}
    found = json.loads(KEPT.read_text(encoding="utf-8"))
    return {
        name: Measured(one["date"], one["machine"], [Row(**row) for row in one["rows"]])
        for name, one in found.items()
    }


def markdown(name: str, measured: Measured) -> str:
    """Return the table of one benchmark as Markdown."""
    lines = [
        f"## `python -m benchmarks.run {name}`",
        "",
        f"{measured.date}: {measured.machine}.",
        "",
        "| what | goal | measured | beside it, in the same run | met |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.what} | {row.goal} | {row.measured} | {row.beside} | "
        f"{'yes' if row.met else '**no**'} |"
        for row in measured.rows
    ]
    return "\n".join(lines)


def write(measured: Mapping[str, Measured], order: Sequence[str]) -> None:
    """Keep ``measured``, and put its tables between the marks of README.md."""
    ordered = {name: measured[name] for name in order if name in measured}
    text = json.dumps({name: asdict(one) for name, one in ordered.items()}, indent=2)
    KEPT.write_text(f"{text}\n", encoding="utf-8")
    page = README.read_text(encoding="utf-8")
    head, rest = page.split(_BEGIN)
    _, tail = rest.split(_END)
    tables = "\n\n".join(markdown(name, one) for name, one in ordered.items())
    README.write_text(f"{head}{_BEGIN}\n{tables}\n{_END}{tail}", encoding="utf-8")
