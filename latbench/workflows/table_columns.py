"""The columns of a table as choices of a space: which they are, and what a row chooses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from latbench.errors import UsageError
from latbench.spaces import IntArray
from latbench.spaces.table import TableSpace, describe
from latbench.workflows.latency_column import Findings

if TYPE_CHECKING:
    import pandas as pd

_JOINED = re.compile(r"-?\d+(?:\.\d+)?(?:[_|;, ]-?\d+(?:\.\d+)?)+")
_SEPARATOR = re.compile(r"[_|;, ]")
_PART = re.compile(r"(.+)\[(\d+)\]")
_NO_NUMBER = frozenset({"NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None"})


def with_missing_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return ``frame`` where words such as ``NA`` among numbers are missing values.

    Among texts such a word is a text like any other: the option ``None`` of a column of options.
    """
    import pandas as pd

    return pd.DataFrame({name: _numbers(frame[name]) for name in frame.columns})


def _numbers(given: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    word = given.isin(_NO_NUMBER)
    others = given[~word & given.notna()]
    if not word.any() or others.empty:
        return given
    numbers = pd.to_numeric(given.where(~word), errors="coerce")
    if bool(numbers[others.index].notna().all()):
        return numbers
    return given if _parts(others) is None else given.where(~word)


def columns_of(space: TableSpace) -> list[str]:
    """Return the columns of a table that ``space`` reads; of joined numbers there is one."""
    parts = {choice.name: _PART.fullmatch(choice.name) for choice in space.choices}
    return list(dict.fromkeys(name if part is None else part[1] for name, part in parts.items()))


def space_of(frame: pd.DataFrame, columns: Sequence[str]) -> TableSpace:
    """Return the space whose choices are ``columns`` of ``frame``.

    Raises:
        UsageError: a column is named twice, or describes nothing.
    """
    described: list[dict[str, Any]] = []
    for column in columns:
        given = frame[column].dropna()
        parts = _parts(given)
        if parts is None:
            described.append(describe(column, given.tolist()))
            continue
        for place, values in enumerate(zip(*parts, strict=True)):
            described.append(describe(f"{column}[{place}]", values))
    return TableSpace(columns=described)


def rows_of(
    frame: pd.DataFrame, space: TableSpace, findings: Findings
) -> tuple[pd.DataFrame, IntArray]:
    """Return the rows of ``frame`` that lack no value, and their architectures (n, choices).

    Raises:
        UsageError: a column is missing, or a value is unknown.
    """
    names = [choice.name for choice in space.choices]
    needed = dict.fromkeys(_column(name, frame) for name in names)
    for column in needed:
        if column in frame.columns:
            missing = frame[column].isna()
            findings.leave_out(f"{column} is missing", int(missing.sum()))
            frame = frame[~missing]
    columns: dict[str, Sequence[Any]] = {}
    for column in needed:
        if column in frame.columns:
            columns |= _as_choices(column, frame[column], names)
    return frame, space.read(columns, [int(line) + 1 for line in frame.index])


def _column(name: str, frame: pd.DataFrame) -> str:
    """Return the column that holds the choice ``name``: of its name, or joined with others."""
    part = _PART.fullmatch(name)
    return part[1] if part is not None and name not in frame.columns else name


def _as_choices(
    column: str, given: pd.Series[Any], names: Sequence[str]
) -> dict[str, Sequence[Any]]:
    if column in names:
        return {column: given.tolist()}
    parts = _parts(given)
    places = sum(_PART.fullmatch(name) is not None and name.startswith(column) for name in names)
    if parts is None or (parts and len(parts[0]) != places):
        raise UsageError(
            f"the column {column!r} is to hold {places} numbers a row, joined as in "
            f"{'_'.join('1' * places)}"
        )
    return {f"{column}[{place}]": values for place, values in enumerate(zip(*parts, strict=True))}


def _parts(given: pd.Series[Any]) -> list[list[str]] | None:
    """Return the numbers that each row joins, if all rows join equally many; else None."""
    texts = [str(value).strip() for value in given]
    if not texts or not all(_JOINED.fullmatch(text) for text in texts):
        return None
    parts = [_SEPARATOR.split(text) for text in texts]
    return parts if len({len(row) for row in parts}) == 1 else None
