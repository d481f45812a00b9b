"""The space of a table: its architectures are rows of some columns, with no networks behind them.

It serves tables that others measured on spaces that latbench does not have. Whatever asks for the
options of an architecture alone works on it; whatever asks for a graph is refused.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.spaces.architectures import Architectures, Choice
from latbench.spaces.exporting import Exporter
from latbench.spaces.graph import IntArray, StaticGraph
from latbench.spaces.space import SearchSpace

_MOST_NUMBERS = 64
_STEPS = 256
_SHOWN = 8

Value = str | float


class TableSpace(SearchSpace):
    """Architectures that are combinations of the values of some columns.

    A column of texts has the values that it lists. A column of numbers has them in order; with
    ``between`` its values are a grid, and a number between the lowest and the highest is taken to
    the nearest. Every column is one choice.
    """

    name: ClassVar[str] = "table"
    has_networks: ClassVar[bool] = False

    def __init__(self, *, columns: Sequence[Mapping[str, Any]]) -> None:
        """Take the columns.

        Args:
            columns: for each ``{"name": …, "values": […]}``, the values all texts or all numbers;
                optionally ``"between": true``, and ``"active": [column, [values]]`` where the
                column only matters if an earlier one has one of those values.

        Raises:
            UsageError: another form, a name twice, or a value twice.
        """
        if isinstance(columns, str | Mapping) or not isinstance(columns, Sequence) or not columns:
            raise UsageError(f"columns is a list of {{name, values}}; got {columns!r}")
        choices: list[Choice] = []
        for column in columns:
            choices.append(_choice(column, choices))
        names = [choice.name for choice in choices]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UsageError(f"the column {twice!r} stands twice; name it once")
        # Not the constructor of the parent: it lays out a graph.
        Architectures.__init__(self, {"columns": [dict(column) for column in columns]}, choices)
        self._exporters: dict[int, Exporter] = {}
        self._between = {
            choice.name
            for choice, column in zip(choices, columns, strict=True)
            if column.get("between", False)
        }

    @property
    def graph(self) -> StaticGraph:
        """There is none.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "the space of a table knows its columns and no network behind them: it has no blocks, "
            "no multiply-accumulates, and nothing to build or to measure; take a predictor that "
            "reads the columns alone, such as ridge, or a space of `latbench plugins`"
        )

    def read(
        self, columns: Mapping[str, Sequence[Any]], rows: Sequence[int] | None = None
    ) -> IntArray:
        """Return the architectures (n, choices) of a table.

        Args:
            columns: the values of each column, (n,).
            rows: what to call the rows in messages, (n,); from 1 if left out.

        Raises:
            UsageError: a column is missing, or has a value that is none of its own; the text
                names row and value, and the known ones.
        """
        read = []
        for choice in self.choices:
            if choice.name not in columns:
                known = ", ".join(one.name for one in self.choices)
                raise UsageError(
                    f"there is no column {choice.name!r}; the predictor was fitted on {known}"
                )
            read.append(self._codes(choice, columns[choice.name], rows))
        return self.check(np.array(read, dtype=np.int64).reshape(len(read), -1).T)

    def _codes(
        self, choice: Choice, values: Sequence[Any], rows: Sequence[int] | None
    ) -> list[int]:
        known: Sequence[Value] = choice.values or choice.options
        places = {value: place for place, value in enumerate(known)}
        codes = []
        for row, raw in zip(rows or range(1, len(values) + 1), values, strict=True):
            value = _value(raw, number=choice.values is not None)
            place = places.get(value) if value is not None else None
            if place is None and choice.name in self._between and isinstance(value, float):
                place = _nearest(value, choice.values or ())
            if place is None:
                raise UsageError(
                    f"row {row}: {_unknown(choice, raw, choice.name in self._between)}"
                )
            codes.append(place)
        return codes

    def decode(self, x: npt.ArrayLike) -> str:
        """Return the values of one architecture, separated by commas as in a CSV file."""
        row = self.one(x)
        text = io.StringIO()
        options = [choice.options[place] for choice, place in zip(self.choices, row, strict=True)]
        csv.writer(text, lineterminator="").writerow(options)
        return text.getvalue()

    def encode(self, text: str) -> IntArray:
        """Return the architecture (choices,) that :meth:`decode` wrote as ``text``.

        Raises:
            UsageError: another number of values, or an unknown one.
        """
        parts = next(csv.reader([text]), [])
        if len(parts) != len(self.choices):
            names = ", ".join(choice.name for choice in self.choices)
            raise UsageError(
                f"{text!r} has {len(parts)} values; this table has {len(self.choices)} columns: "
                f"{names}"
            )
        columns = {choice.name: [part] for choice, part in zip(self.choices, parts, strict=True)}
        return self.one(self.read(columns))


def describe(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Return the column that ``values`` are: what :class:`TableSpace` takes for one.

    Values that all are numbers make a column of numbers: of those, if they are up to 64, else of a
    grid of 257 from the lowest to the highest.

    Raises:
        UsageError: it has no values, or about as many texts as rows: a name of the row.
    """
    numbers = [_value(value, number=True) for value in values]
    if values and all(isinstance(number, float) for number in numbers):
        known = sorted({float(number) for number in numbers if number is not None})
        if len(known) <= _MOST_NUMBERS:
            return {"name": name, "values": known}
        grid = np.linspace(known[0], known[-1], _STEPS + 1).tolist()
        return {"name": name, "values": grid, "between": True}
    texts = sorted({str(value).strip() for value in values})
    if not texts or len(texts) > max(_MOST_NUMBERS, len(values) // 2):
        raise UsageError(
            f"the column {name!r} has {len(texts)} different texts in {len(values)} rows: it names "
            "rows and describes none; give columns of which each holds one property"
        )
    return {"name": name, "values": texts}


def _choice(column: Mapping[str, Any], earlier: Sequence[Choice]) -> Choice:
    form = 'a column is {"name": text, "values": list of texts or of numbers}'
    if not isinstance(column, Mapping) or not isinstance(column.get("name"), str):
        raise UsageError(f"{form}; got {column!r}")
    odd = sorted(set(column) - {"name", "values", "between", "active"})
    if odd:
        raise UsageError(f"{form}; the column {column['name']!r} also has {odd[0]!r}")
    values = column.get("values")
    name = column["name"]
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise UsageError(f"{form}; the values of {name!r} are {values!r}")
    numbers = [_value(value, number=True) for value in values if not isinstance(value, str)]
    if numbers and (len(numbers) < len(values) or None in numbers):
        raise UsageError(f"{form}; the column {name!r} mixes them, or holds what is neither")
    known = tuple(float(number) for number in numbers if number is not None)
    if known and list(known) != sorted(known):
        raise UsageError(f"the numbers of the column {name!r} are not in order; sort them")
    options = tuple(map(_text, known)) if known else tuple(map(str, values))
    if len(set(options)) < len(options):
        raise UsageError(f"the column {name!r} has a value twice; list each once")
    if column.get("between", False) and not known:
        raise UsageError(f"the column {name!r} holds texts, between which there is nothing")
    return Choice(name, options, _active(column, earlier), known or None)


def _active(
    column: Mapping[str, Any], earlier: Sequence[Choice]
) -> tuple[str, tuple[str, ...]] | None:
    if column.get("active") is None:
        return None
    try:
        parent, values = column["active"]
        (choice,) = (one for one in earlier if one.name == parent)
        options = tuple(_option(choice, value) for value in values)
    except (TypeError, ValueError) as failure:
        raise UsageError(
            f'"active" of the column {column["name"]!r} is [an earlier column, list of its '
            f"values]; got {column['active']!r}"
        ) from failure
    return parent, options


def _option(choice: Choice, value: object) -> str:
    found = _value(value, number=choice.values is not None)
    text = _text(found) if isinstance(found, float) else str(found)
    if text not in choice.options:
        raise ValueError(_unknown(choice, value, False))
    return text


def _value(raw: object, number: bool) -> Value | None:
    """Return ``raw`` as a text, or as a finite number; None if it is none."""
    if not number:
        return str(raw).strip()
    if isinstance(raw, bool | np.bool_):
        return None
    try:
        value = float(raw)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _text(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _nearest(value: float, grid: Sequence[float]) -> int | None:
    if not grid[0] <= value <= grid[-1]:
        return None
    return int(np.argmin(np.abs(np.asarray(grid) - value)))


def _unknown(choice: Choice, raw: object, between: bool) -> str:
    if between:
        return (
            f"{raw!r} is no value of the column {choice.name!r}, which runs from "
            f"{choice.options[0]} to {choice.options[-1]}: beyond that nothing was measured"
        )
    known = ", ".join(choice.options[:_SHOWN]) + (", …" if len(choice.options) > _SHOWN else "")
    return f"{raw!r} is no value of the column {choice.name!r}; known: {known}"
