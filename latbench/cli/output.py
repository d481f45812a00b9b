"""What commands print: one JSON document or tables on stdout, all else on stderr."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from latbench.cli.session import current

Report = Callable[[int, int], None]
"""Takes how many steps are done, of how many."""

# A table in a file or a pipe is not to be cut at the width of a terminal that is not there.
_PIPE_WIDTH = 240
_QUIET_S = 2.0
_LINE_EVERY_S = 15.0


def emit(document: Mapping[str, Any], render: Callable[[Console], None]) -> None:
    """Print a result: ``document`` as JSON under ``--json``, else what ``render`` prints.

    Args:
        document: JSON values; NumPy numbers and arrays are turned into plain ones, and what is
            not finite into null.
        render: prints tables and sentences to the console it is given, which writes to stdout.
    """
    if current().json:
        print(json.dumps(plain(document), indent=2, allow_nan=False))
    else:
        width = None if sys.stdout.isatty() else _PIPE_WIDTH
        render(_Output(file=sys.stdout, width=width, highlight=False))


class _Output(Console):
    """A console that leaves it to the command line what becomes of a reader that went away."""

    def on_broken_pipe(self) -> None:
        """Raise the error that rich would turn into exit code 1."""
        raise BrokenPipeError


def note(text: str) -> None:
    """Print a message to stderr."""
    print(text, file=sys.stderr)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table; columns of numbers stand right, with four digits, and None is a dash."""
    listed = [list(row) for row in rows]
    numeric = [all(_is_number(row[place]) for row in listed) for place in range(len(columns))]
    result = Table(title=title, title_justify="left")
    for column, right in zip(columns, numeric, strict=True):
        result.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in listed:
        result.add_row(*(Text(_cell(value)) for value in row))
    return result


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:#.4g}" if isinstance(value, float) else str(value)


def plain(value: Any) -> Any:
    """Return ``value`` as plain JSON values: NumPy's become Python's, NaN and infinities null."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if hasattr(value, "tolist"):  # a NumPy number or array
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextmanager
def progress(title: str) -> Iterator[Report]:
    """Show on stderr how far a long piece of work is: a bar, or lines where it is no terminal.

    Yields:
        what is to be told (done, total), as often as it suits.
    """
    if sys.stderr.isatty():
        with _bar(title) as report:
            yield report
    else:
        yield _Lines(title)


@contextmanager
def _bar(title: str) -> Iterator[Report]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=False
    ) as shown:
        task = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


class _Lines:
    """Writes a line now and then: the first after two seconds, so that short work is silent."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began_s = time.monotonic()
        self._next_s = self._began_s + _QUIET_S

    def __call__(self, done: int, total: int) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _LINE_EVERY_S
        left = ""
        if 0 < done < total:
            left = f", about {_duration((now_s - self._began_s) * (total - done) / done)} left"
        note(f"{self._title}: {done} of {total}{left}")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
