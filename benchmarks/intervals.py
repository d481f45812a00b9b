"""Whether 90 % intervals hold 90 % of networks not seen, on public tables with 500 of them or more.

The tables are those of HELP and Accel-NASBench, in the folder that ``LATBENCH_EVAL_DATA`` names; no
table has latencies of blocks, so there is no row of a lut. Every seed draws other networks to fit
on; the others are scored, up to 3,000 of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import latbench
from benchmarks.table import Row
from latbench.prediction import metrics
from latbench.prediction.inputs import FloatArray, IntArray
from latbench.spaces import SearchSpace
from latbench.workflows.protocols import public_tables
from latbench.workflows.protocols.public_tables import HELP_FBNET, HELP_NB201, PublicTable
from latbench.workflows.tables import read_columns

VARIABLE = "LATBENCH_EVAL_DATA"

_NOMINAL, _POINTS, _SEEDS, _MOST = 90.0, 2.0, 20, 3000
_LABELS = {"ridge": 300, "gbdt": 150}
# One column a table for the trees, which take ten times as long: processor, GPU and FPGA.
_OF_TREES = ("gold_6226", "v100_1", "latency_vck190_mean")
_CELLS = ("titan_rtx_256", "gold_6226", "pixel2", "pixel3", "raspi4", "eyeriss", "fpga")
_FBNET = ("titan_rtx_1", "gold_6226", "pixel2", "samsung_a50", "raspi4", "eyeriss")
_OFA = ("titan_rtx_64", "v100_1", "2080ti_1")
_ACCEL = ("latency_zcu102_mean", "latency_vck190_mean")


@dataclass(frozen=True, eq=False)
class _Column:
    """Latencies ``y`` (n,) in ms of architectures ``X`` (n, choices) in one column of a table."""

    table: str
    name: str
    space: SearchSpace
    X: IntArray
    y: FloatArray


def rows() -> Iterator[Row]:
    """Yield the coverage of each kind on each table; nothing where there is no data."""
    folder = os.environ.get(VARIABLE)
    if folder is None:
        print(f"  skipped: {VARIABLE} names no folder of public tables", file=sys.stderr)
        return
    columns = list(_columns(Path(folder)))
    for kind in _LABELS:
        for table in dict.fromkeys(one.table for one in columns):
            yield _row(kind, table, [one for one in columns if one.table == table])


def _row(kind: str, table: str, columns: list[_Column]) -> Row:
    wanted = [one for one in columns if kind != "gbdt" or one.name in _OF_TREES]
    found = {one.name: _coverages(one, kind) for one in wanted}
    means = {name: float(coverages.mean()) for name, coverages in found.items()}
    told = ", ".join(f"`{name}` {mean:.1f}" for name, mean in means.items())
    spread = np.mean([coverages.std() for coverages in found.values()])
    tested = min(_MOST, len(wanted[0].y) - _LABELS[kind])
    return Row(
        f"{kind}, 90 % intervals on {table}, {_LABELS[kind]} labels",
        f"{_NOMINAL:.0f} ± {_POINTS:.0f} % in every column, mean of {_SEEDS} seeds",
        told,
        f"{tested:,} networks not seen; from seed to seed ± {spread:.1f}",
        all(abs(mean - _NOMINAL) <= _POINTS for mean in means.values()),
    )


def _coverages(column: _Column, kind: str) -> FloatArray:
    """Return the percentage of networks within their interval for each seed, (seeds,)."""
    found = []
    for seed in range(_SEEDS):
        order = np.random.default_rng(seed).permutation(len(column.y))
        seen, new = np.split(order, [_LABELS[kind]])
        predictor = latbench.predictor(kind).for_table(column.space, None)
        predictor.fit(column.X[seen], column.y[seen], seed=seed)
        new = new[:_MOST]
        within = predictor.predict_interval(column.X[new], _NOMINAL / 100)
        found.append(metrics.interval_coverage(column.y[new], *within))
    return np.array(found)


def _columns(folder: Path) -> Iterator[_Column]:
    yield from _help("HELP's connected cells", HELP_NB201, folder, _CELLS)
    yield from _help("HELP's FBNet", HELP_FBNET, folder, _FBNET)
    ofa = public_tables.find("ofa_latency_12dev.csv.gz", "help", folder)
    yield from _of_columns("HELP's OFA", ofa, ("ks", "e", "d", "r"), _OFA)
    accel = public_tables.find("accel_nasbench.csv.gz", "accel-nasbench", folder)
    blocks = [f"block{block}_{part}" for block in range(7) for part in ("e", "k", "l", "se")]
    yield from _of_columns("Accel-NASBench", accel, blocks, _ACCEL)


def _help(
    name: str, table: PublicTable, folder: Path, devices: tuple[str, ...]
) -> Iterator[_Column]:
    found = public_tables.load(table, folder, devices, table.networks)
    blocks = found.space.path(found.X).sum(axis=1)
    # Cells without a path from input to output run the fixed blocks alone.
    connected = np.asarray(blocks > blocks.min()).ravel()
    if not found.space.graph.prunes:
        connected[:] = True
    for device in devices:
        yield _Column(name, device, found.space, found.X[connected], found.y[device][connected])


def _of_columns(
    name: str, path: Path, columns: tuple[str, ...] | list[str], latencies: tuple[str, ...]
) -> Iterator[_Column]:
    for latency in latencies:
        table = read_columns(path, columns, latency)
        yield _Column(name, latency, table.space, table.X, table.y)
