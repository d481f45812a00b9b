"""Tables of architectures and latencies that were measured elsewhere, in CSV or Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from latbench.errors import UsageError
from latbench.registry import unknown
from latbench.spaces import IntArray, SearchSpace

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Table:
    """The usable rows of a table.

    Attributes:
        X: architectures (n, choices).
        y: latencies (n,) in ms; empty if no latency column was asked for.
        set_aside: why rows were left out, with their number.
    """

    X: IntArray
    y: np.ndarray[tuple[int], np.dtype[np.float64]]
    set_aside: dict[str, int]

    def notes(self) -> list[str]:
        """Return what was left out, in sentences."""
        return [f"{count} rows were set aside: {why}" for why, count in self.set_aside.items()]


def read_table(
    path: Path, space: SearchSpace, arch_column: str, latency_column: str | None = None
) -> Table:
    """Return the rows of ``path`` whose architecture and latency can be used.

    Rows are set aside, and counted by reason, whose latency is missing, no number, infinite or
    not above zero.

    Raises:
        UsageError: the file cannot be read, a column is missing, an architecture is not of
            ``space``, or no row is left.
    """
    frame = _read(path)
    for column in filter(None, (arch_column, latency_column)):
        if column not in frame.columns:
            raise UsageError(f"{path}: {unknown('column', column, map(str, frame.columns))}")
    set_aside: dict[str, int] = {}
    if latency_column is not None:
        frame = _with_latency(frame, latency_column, set_aside)
    if not len(frame):
        why = ", ".join(f"{reason} in {count}" for reason, count in set_aside.items())
        raise UsageError(f"{path} has no row that can be used: {why or 'it is empty'}")
    rows = []
    for line, text in zip(frame.index, frame[arch_column], strict=True):
        try:
            rows.append(space.encode(str(text)))
        except UsageError as failure:
            raise UsageError(f"{path}, row {int(line) + 1}: {failure}") from failure
    latencies = frame[latency_column].to_numpy(dtype=np.float64) if latency_column else np.empty(0)
    X = np.array(rows, dtype=np.int64).reshape(len(rows), len(space.choices))
    return Table(X, latencies, set_aside)


def _with_latency(frame: pd.DataFrame, column: str, set_aside: dict[str, int]) -> pd.DataFrame:
    import pandas as pd

    numbers = pd.to_numeric(frame[column], errors="coerce")
    missing = frame[column].isna()
    reasons = {
        f"{column} is missing": missing,
        f"{column} is no number": numbers.isna() & ~missing,
        f"{column} is infinite": np.isinf(numbers),
        f"{column} is not above zero": (numbers <= 0) & ~np.isinf(numbers),
    }
    usable = numbers.notna() & ~np.isinf(numbers) & (numbers > 0)
    set_aside.update({why: int(rows.sum()) for why, rows in reasons.items() if rows.any()})
    kept: pd.DataFrame = frame.assign(**{column: numbers})[usable]
    return kept


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path)
    except OSError as failure:
        reason = failure.strerror or str(failure)
        raise UsageError(f"{path} cannot be read: {reason}") from failure
    # pandas and pyarrow raise subclasses of ValueError for every way a file can be malformed.
    except ValueError as failure:
        reason = str(failure).strip().splitlines()[0]
        raise UsageError(f"{path} holds no table: {reason}") from failure
