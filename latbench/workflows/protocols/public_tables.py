"""The tables that papers published, read from a path of the user's and checked."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import latbench
from latbench.errors import UsageError
from latbench.spaces import FloatArray, IntArray, SearchSpace

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PublicTable:
    """A table of one search space on several devices.

    Attributes:
        file: name of the CSV file.
        folder: the folder in which a collection of such tables keeps it.
        space: name of the search space.
        column: the column that holds the architectures.
        read: returns the architecture (choices,) of a text in that column.
        networks: how many networks it holds, by ``arch_idx`` from 0.
    """

    file: str
    folder: str
    space: str
    column: str
    read: Callable[[SearchSpace, str], IntArray]
    networks: int


@dataclass(frozen=True, eq=False)
class Latencies:
    """What such a table says.

    Attributes:
        space: the search space.
        X: architectures (n, choices) in the order of ``arch_idx``.
        y: device -> latencies (n,) in ms.
    """

    space: SearchSpace
    X: IntArray
    y: dict[str, FloatArray]


def load(table: PublicTable, data: Path, devices: Sequence[str], networks: int) -> Latencies:
    """Return the first ``networks`` networks of ``table`` with the columns of ``devices``.

    Args:
        table: which.
        data: its folder, a folder that holds that folder, or the file.
        devices: columns wanted.
        networks: how many of its networks; the file may hold more.

    Raises:
        UsageError: the data is not there or not what it should be.
    """
    path = find(table.file, table.folder, data)
    frame = read(path)
    index = column(frame, "arch_idx", path)
    if index.duplicated().any() or not set(range(networks)) <= set(index):
        raise UsageError(
            f"{path} does not hold the networks 0 to {networks - 1} once each; fetch it again"
        )
    frame = frame.set_index("arch_idx").loc[list(range(networks))]
    y = {device: positive(frame, device, path) for device in devices}
    space = latbench.space(table.space)
    texts = column(frame, table.column, path)
    try:
        X = space.check(np.array([table.read(space, str(text)) for text in texts]))
    except ValueError as failure:  # a UsageError is one
        raise UsageError(
            f"{path}: {table.column} holds no architectures of {space.name} ({failure})"
        ) from failure
    return Latencies(space, X, y)


def find(name: str, folder: str, data: Path) -> Path:
    """Return the file ``name`` at ``data``: it itself, in it, or in its ``folder``.

    Raises:
        UsageError: there is no such file.
    """
    if data.is_file():
        return data
    for place in (data / name, data / folder / name):
        if place.is_file():
            return place
    raise UsageError(
        f"no file {name} in {data}; give --data the folder that holds it, or the file itself"
    )


def read(path: Path) -> pd.DataFrame:
    """Return the CSV file ``path``, packed or not.

    Raises:
        UsageError: it cannot be read.
    """
    import pandas as pd

    try:
        return pd.read_csv(path)
    except (ValueError, EOFError, OSError, zlib.error) as failure:
        raise UsageError(
            f"{path} cannot be read as a table ({failure}); fetch it again"
        ) from failure


def column(frame: pd.DataFrame, name: str, path: Path) -> Any:
    """Return the column ``name``.

    Raises:
        UsageError: there is none.
    """
    if name not in frame:
        known = ", ".join(map(str, frame.columns[:6]))
        raise UsageError(
            f"{path} has no column {name!r}, it begins with {known}; is it the table of this "
            "protocol?"
        )
    return frame[name]


def positive(frame: pd.DataFrame, name: str, path: Path, *, missing: bool = False) -> FloatArray:
    """Return a column of finite numbers above zero, (n,); NaN where one may be ``missing``.

    Raises:
        UsageError: there is none, or it holds something else.
    """
    try:
        y = np.asarray(column(frame, name, path), dtype=np.float64)
    except ValueError as failure:
        if isinstance(failure, UsageError):
            raise
        raise UsageError(f"{path}: {name} holds no number ({failure})") from failure
    good = np.isfinite(y) & (y > 0)
    if missing:
        good |= np.isnan(y)
    if not good.all():
        raise UsageError(f"{path}: {name} holds a value that is not above zero; fetch it again")
    return y


def _from_string(space: SearchSpace, text: str) -> IntArray:
    return space.encode(text)


def _from_numbers(space: SearchSpace, text: str) -> IntArray:
    """Return the blocks of ``text``; the file numbers them as the space does."""
    return np.array([int(part) for part in text.split("_")], dtype=np.int64)


HELP_NB201 = PublicTable(
    "nb201_latency_27dev.csv.gz", "help", "nasbench201", "arch_str", _from_string, 15_625
)
HELP_FBNET = PublicTable(
    "fbnet_latency_27dev.csv.gz", "help", "fbnet", "op_idx", _from_numbers, 5_000
)
"""HELP's tables (Lee et al., NeurIPS 2021), as CSV."""
