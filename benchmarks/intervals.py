"""Whether 90 % intervals hold 90 % of networks not seen, on public tables with 500 of them or more.

The tables are those of HELP and Accel-NASBench, in the folder that ``LATBENCH_EVAL_DATA`` names; no
table has latencies of blocks, so there is no row of a lut. Every seed draws other networks to fit
on; the others are scored, up to 3,000 of them.

``ridge`` is quick to fit and stands for every column of every table. The other kinds take from ten
to a hundred times as long, and are looked at in the columns that their row names alone: one of each
table, and for ``transfer``, which learns from HELP's source devices, two of each of two tables.

Each core has a process, and each process one thread: matrices as small as these are slower on two.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import numpy as np

import latbench
from benchmarks.table import Row
from latbench.prediction import metrics
from latbench.prediction.inputs import FloatArray, IntArray
from latbench.spaces import SearchSpace
from latbench.workflows.protocols import accel_nasbench, help_ofa, help_tables, public_tables
from latbench.workflows.protocols.help_tables import Table
from latbench.workflows.protocols.nb201_900 import connected
from latbench.workflows.protocols.rows import Request

VARIABLE = "LATBENCH_EVAL_DATA"

_NOMINAL, _POINTS, _FEWEST, _MOST = 90.0, 2.0, 500, 3000
_SOURCE_NETWORKS = 800
_CELLS, _FBNET, _OFA, _ACCEL = (
    "HELP's connected cells",
    "HELP's FBNet",
    "HELP's OFA",
    "Accel-NASBench",
)


@dataclass(frozen=True)
class _Kind:
    """How a kind is looked at.

    Attributes:
        labels: networks to fit on.
        seeds: draws of them.
        columns: tables and columns; none for all.
    """

    labels: int
    seeds: int
    columns: tuple[tuple[str, str], ...] = ()


_ONE_A_TABLE = (
    (_CELLS, "gold_6226"),
    (_FBNET, "gold_6226"),
    (_OFA, "v100_1"),
    (_ACCEL, "latency_vck190"),
)
_TO_TRANSFER = (
    (_CELLS, "gold_6226"),
    (_CELLS, "eyeriss"),
    (_FBNET, "raspi4"),
    (_FBNET, "fpga"),
)
_KINDS = {
    "ridge": _Kind(300, 20),
    "gbdt": _Kind(150, 10, _ONE_A_TABLE),
    "mlp": _Kind(300, 10, _ONE_A_TABLE),
    "transfer": _Kind(100, 10, _TO_TRANSFER),
}


@dataclass(frozen=True, eq=False)
class _Column:
    """Latencies, or images/s, of architectures in one column of a table.

    Attributes:
        table: which table.
        name: of the column.
        space: of the architectures.
        X: architectures (n, choices).
        y: the values (n,).
        sources: architectures and latencies of source devices, where the table's authors name some.
    """

    table: str
    name: str
    space: SearchSpace
    X: IntArray
    y: FloatArray
    sources: Mapping[str, tuple[IntArray, FloatArray]] = field(default_factory=dict)


Named = tuple[str, str]
"""A table and a column of it."""


def rows() -> Iterator[Row]:
    """Yield the coverage of each kind; nothing where there is no data."""
    folder = os.environ.get(VARIABLE)
    if folder is None:
        print(f"  skipped: {VARIABLE} names no folder of public tables", file=sys.stderr)
        return
    columns = _columns(Path(folder))
    with (
        patch.dict(os.environ, {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}),
        ProcessPoolExecutor(mp_context=get_context("spawn")) as pool,
    ):

        def coverages(kind: str, named: Sequence[Named]) -> dict[Named, FloatArray]:
            done = pool.map(_coverages, repeat(Path(folder)), repeat(kind), named)
            return dict(zip(named, done, strict=True))

        for kind, how in _KINDS.items():
            if how.columns:
                yield _few(kind, columns, coverages(kind, how.columns))
            else:
                for table in dict.fromkeys(table for table, _ in columns):
                    named = [one for one in columns if one[0] == table]
                    yield _every(kind, table, columns, coverages(kind, named))


def _every(
    kind: str,
    table: str,
    columns: Mapping[Named, _Column],
    found: Mapping[Named, FloatArray],
) -> Row:
    """Return the row of every column of a table."""
    means = {name: float(coverages.mean()) for (_, name), coverages in found.items()}
    low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    return Row(
        f"{kind}, 90 % intervals on {table}, {_KINDS[kind].labels} labels",
        f"{_goal(kind)} in every column",
        f"{len(means)} columns, from {means[low]:.1f} (`{low}`) to {means[high]:.1f} (`{high}`); "
        f"mean {np.mean(list(means.values())):.1f}",
        _beside(kind, columns, found),
        all(map(_met, means.values())),
    )


def _few(kind: str, columns: Mapping[Named, _Column], found: Mapping[Named, FloatArray]) -> Row:
    """Return the row of some columns, which are named."""
    told = ", ".join(
        f"{table} `{name}` {coverages.mean():.1f}" for (table, name), coverages in found.items()
    )
    return Row(
        f"{kind}, 90 % intervals, {_KINDS[kind].labels} labels",
        f"{_goal(kind)} in these columns",
        told,
        _beside(kind, columns, found),
        all(_met(float(coverages.mean())) for coverages in found.values()),
    )


def _goal(kind: str) -> str:
    return f"{_NOMINAL:.0f} ± {_POINTS:.0f} %, mean of {_KINDS[kind].seeds} seeds,"


def _met(coverage: float) -> bool:
    return abs(coverage - _NOMINAL) <= _POINTS


def _beside(kind: str, columns: Mapping[Named, _Column], found: Mapping[Named, FloatArray]) -> str:
    tested = [min(_MOST, len(columns[named].y) - _KINDS[kind].labels) for named in found]
    networks = f"{tested[0]:,}" if len(set(tested)) == 1 else f"{min(tested):,} to {max(tested):,}"
    spread = np.mean([coverages.std() for coverages in found.values()])
    return f"{networks} networks not seen; from seed to seed ± {spread:.1f}"


def _coverages(folder: Path, kind: str, named: Named) -> FloatArray:
    """Return the percentage of networks within their interval for each seed, (seeds,)."""
    column = _columns(folder)[named]
    how = _KINDS[kind]
    learned = {"tables": column.sources} if kind == "transfer" else {}
    predictor = latbench.predictor(kind).for_table(column.space, None, **learned)
    found = []
    for seed in range(how.seeds):
        order = np.random.default_rng(seed).permutation(len(column.y))
        seen, new = np.split(order, [how.labels])
        new = new[:_MOST]
        assert len(new) >= _FEWEST
        fitted = predictor.clone().fit(column.X[seen], column.y[seen], seed=seed)
        within = fitted.predict_interval(column.X[new], _NOMINAL / 100)
        found.append(metrics.interval_coverage(column.y[new], *within))
    return np.array(found)


@cache
def _columns(folder: Path) -> Mapping[Named, _Column]:
    """Return every column of every table."""
    return {(one.table, one.name): one for one in _read(folder)}


def _read(folder: Path) -> Iterator[_Column]:
    yield from _help(_CELLS, help_tables.NB201, folder)
    yield from _help(_FBNET, help_tables.FBNET, folder)
    ofa = help_ofa.load(folder)
    for name, y in ofa.y.items():
        yield _Column(_OFA, name, ofa.spaces[True], ofa.X[True], y)
    accel = accel_nasbench.load(Request(folder))
    inside = np.concatenate(list(accel.parts.values()))
    for name, column in accel.columns.items():
        known = column.known(inside)
        yield _Column(_ACCEL, name, accel.space, accel.X[known], column.values[known])


def _help(name: str, table: Table, folder: Path) -> Iterator[_Column]:
    path = public_tables.find(table.public.file, table.public.folder, folder)
    described = ("arch_idx", table.public.column, "op_str")
    devices = [one for one in map(str, public_tables.read(path)) if one not in described]
    found = public_tables.load(table.public, folder, devices, table.public.networks)
    # Cells without a path from input to output compute nothing.
    rows = connected(found.space, found.X)
    X = found.X[rows]
    drawn = np.random.default_rng(0).permutation(len(rows))[:_SOURCE_NETWORKS]
    sources = {one: (X[drawn], found.y[one][rows][drawn]) for one in table.sources}
    for device in devices:
        yield _Column(name, device, found.space, X, found.y[device][rows], sources)
