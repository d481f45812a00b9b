"""Tables of architectures and latencies that were measured elsewhere, in CSV or Parquet."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.registry import unknown
from latbench.spaces import IntArray, SearchSpace
from latbench.spaces.table import TableSpace
from latbench.workflows import latency_column as column_of_latencies
from latbench.workflows.latency_column import Findings
from latbench.workflows.table_columns import rows_of, space_of, with_missing_numbers

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Table:
    """The usable rows of a table.

    Attributes:
        space: the space of the architectures.
        X: architectures (n, choices).
        y: latencies (n,) in ms; empty if no latency column was asked for.
        findings: what was set aside, and what else is to be told.
        noise_mape: what a perfect predictor would score, in percent, where rows tell.
        sources: other columns by name: architectures and latencies in ms of the rows that can be
            used there.
    """

    space: SearchSpace
    X: IntArray
    y: FloatArray
    findings: Findings
    noise_mape: float | None = None
    sources: Mapping[str, tuple[IntArray, FloatArray]] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """Return what was left out and what is odd, in sentences."""
        return self.findings.notes()


def read_table(
    path: Path,
    space: SearchSpace,
    arch_column: str,
    latency_column: str | None = None,
    unit: str = "ms",
    sources: Sequence[str] = (),
) -> Table:
    """Return the rows of ``path`` whose architecture and latency can be used.

    Args:
        path: a CSV or Parquet file.
        space: whose architectures it holds.
        arch_column: the column that holds them as texts.
        latency_column: the column of latencies, if it is wanted.
        unit: what latencies are in.
        sources: further columns of latencies, of other targets.

    Raises:
        UsageError: the file cannot be read, a column is missing, an architecture is not of
            ``space``, the latencies cannot be in ``unit``, or no row is left.
    """
    frame = read_file(path)
    _check_columns(frame, path, [arch_column, *sources], latency_column)
    return _usable(frame, path, _Texts(space, arch_column), latency_column, unit, sources)


def read_columns(
    path: Path,
    columns: Sequence[str] | TableSpace,
    latency_column: str | None = None,
    unit: str = "ms",
    sources: Sequence[str] = (),
) -> Table:
    """Return the rows of ``path`` as architectures of a space that its columns make.

    A column of numbers joined by a separator (``3_5_7``) is taken apart into one a place. A row
    that lacks one of the values is set aside.

    Args:
        path: a CSV or Parquet file.
        columns: those that describe an architecture, or the space whose columns they must be.
        latency_column: the column of latencies, if it is wanted.
        unit: what latencies are in.
        sources: further columns of latencies, of other targets.

    Raises:
        UsageError: as :func:`read_table`, or a value that the space does not know.
    """
    frame = read_file(path)
    if isinstance(columns, TableSpace):
        _check_columns(frame, path, sources, latency_column)
        space = columns
    else:
        _check_columns(frame, path, [*columns, *sources], latency_column)
        space = space_of(frame, columns)
    return _usable(frame, path, _Columns(space), latency_column, unit, sources)


def read_file(path: Path) -> pd.DataFrame:
    """Return the table in ``path``; empty cells, and words for none among numbers, are missing.

    Raises:
        UsageError: it cannot be read, or holds no table.
    """
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            return with_missing_numbers(pd.read_parquet(path).reset_index(drop=True))
        # Or pandas takes options that are called None or NA for missing.
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
        first_line = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
    except OSError as failure:
        reason = failure.strerror or str(failure)
        raise UsageError(f"{path} cannot be read: {reason}") from failure
    # pandas and pyarrow raise subclasses of ValueError for every way a file can be malformed.
    except (ValueError, EOFError, zlib.error) as failure:
        reason = str(failure).strip().splitlines()[0]
        raise UsageError(f"{path} holds no table: {reason}") from failure
    # pandas has renamed the second column of a name, and the first would be taken for it.
    names = first_line.iloc[0]
    twice = names[names.duplicated() & (names != "")].tolist()
    if twice:
        raise UsageError(f"{path} names the column {twice[0]!r} twice; rename or remove one")
    return with_missing_numbers(frame)


@dataclass(frozen=True)
class _Texts:
    """Architectures in one column, as the space writes them."""

    space: SearchSpace
    column: str

    def read(self, frame: pd.DataFrame, findings: Findings) -> tuple[pd.DataFrame, IntArray]:
        """Return the rows of ``frame`` that name an architecture, and those (n, choices)."""
        missing = frame[self.column].isna()
        findings.leave_out(f"{self.column} is missing", int(missing.sum()))
        frame = frame[~missing]
        rows = []
        for line, text in zip(frame.index, frame[self.column], strict=True):
            try:
                rows.append(self.space.encode(str(text)))
            except UsageError as failure:
                raise UsageError(f"row {int(line) + 1}: {failure}") from failure
        X = np.array(rows, dtype=np.int64).reshape(len(rows), len(self.space.choices))
        return frame, X


@dataclass(frozen=True)
class _Columns:
    """Architectures across columns, one a choice."""

    space: TableSpace

    def read(self, frame: pd.DataFrame, findings: Findings) -> tuple[pd.DataFrame, IntArray]:
        """Return the rows of ``frame`` that lack no value, and their architectures."""
        return rows_of(frame, self.space, findings)


def _usable(
    frame: pd.DataFrame,
    path: Path,
    architectures: _Texts | _Columns,
    latency_column: str | None,
    unit: str,
    sources: Sequence[str],
) -> Table:
    findings = Findings()
    latencies = {
        name: column_of_latencies.usable(frame, name, unit, findings)
        for name in (*sources, *([latency_column] if latency_column is not None else []))
    }
    if latencies:
        frame = frame[frame.index.isin(np.concatenate([one.index for one in latencies.values()]))]
        _require(len(frame), path, findings)
    try:
        frame, X = architectures.read(frame, findings)
    except UsageError as failure:
        raise UsageError(f"{path}, {failure}") from failure
    if latency_column is None:
        _require(len(X), path, findings)
        return Table(architectures.space, X, np.empty(0), findings)
    found = {}
    for name, one in latencies.items():
        there = frame.index.isin(one.index)
        y: FloatArray = np.asarray(one.reindex(frame.index[there]), dtype=np.float64)
        _require(len(y), path, findings)
        stays = column_of_latencies.agreeing(X[there], y, findings)
        _require(int(stays.sum()), path, findings)
        found[name] = X[there][stays], y[stays]
    X, y = found.pop(latency_column)
    return Table(architectures.space, X, y, findings, column_of_latencies.noise_mape(X, y), found)


def _require(rows: int, path: Path, findings: Findings) -> None:
    if not rows:
        why = ", ".join(f"{reason} in {count}" for reason, count in findings.set_aside.items())
        raise UsageError(f"{path} has no row that can be used: {why or 'it is empty'}")


def _check_columns(
    frame: pd.DataFrame, path: Path, columns: Sequence[str], latency_column: str | None
) -> None:
    for column in [*columns, *([latency_column] if latency_column is not None else [])]:
        if column not in frame.columns:
            raise UsageError(f"{path}: {unknown('column', column, map(str, frame.columns))}")
