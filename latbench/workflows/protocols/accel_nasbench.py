"""Accel-NASBench's split on its eight columns of devices (afzalxo/Accel-NASBench).

Predictors are fitted on the networks of ``train``, gbdt's trees are chosen on ``val``, and ``test``
is scored. Networks outside the split are copies of some inside it, and are never used.

Latencies are learned in ms, and throughputs as the table has them, in images/s, as those have done
whose row stands beside ours: a predictor takes any quantity above zero. A search needs ms. So gbdt
also learns the milliseconds an image, 1000 / throughput, and its predictions are turned back before
they are scored. That makes the errors small of networks that are slow, and R2 is ruled by the fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import latbench
from latbench.errors import UsageError
from latbench.prediction import metrics
from latbench.spaces import FloatArray, IntArray, SearchSpace
from latbench.spaces.table import TableSpace, describe
from latbench.workflows.protocols import public_tables
from latbench.workflows.protocols.rows import Request, Row, Scores, ours

FILE, FOLDER = "accel_nasbench.csv.gz", "accel-nasbench"
COLUMNS = tuple(f"block{block}_{part}" for block in range(7) for part in ("e", "k", "l", "se"))
DEVICES = {
    "latency_zcu102": "latency_zcu102_mean",
    "latency_vck190": "latency_vck190_mean",
    "throughput_zcu102": "throughput_zcu102_mean",
    "throughput_vck190": "throughput_vck190_mean",
    "throughput_a100": "throughput_a100_mean",
    "throughput_3090": "throughput_3090_mean",
    "throughput_tpuv2": "throughput_tpuv2_mean",
    "throughput_tpuv3": "throughput_tpuv3_mean",
}
"""Name -> column."""
PARTS = ("train", "val", "test")
SHOWN = ("r2", "kendall", "spearman", "mape")

TREES = tuple(
    {"rounds": rounds, "leaves": leaves} for rounds, leaves in ((1500, 7), (1500, 15), (3000, 15))
)
"""Of which gbdt takes, for each column, what has the highest R2 on ``val``."""


@dataclass(frozen=True)
class Method:
    """A row of ours: the kind of its predictor, and whether it learns ms where it may choose."""

    kind: str
    in_ms: bool = False


OURS: Mapping[str, Method] = {
    "ridge": Method("ridge"),
    "mlp": Method("mlp"),
    "gbdt": Method("gbdt"),
    "gbdt, through ms an image": Method("gbdt", in_ms=True),
}

_SOURCE = "measured with LightGBM (1,500 trees) and scikit-learn's ridge on the same split"
_REFERENCE: Mapping[tuple[str, str], tuple[float, ...]] = {
    ("LightGBM on the 28 columns", "r2"): (0.997, 0.997, 0.987, 0.990, 0.992, 0.993, 0.994, 0.974),
    ("LightGBM on the 28 columns", "kendall"): (
        *(0.957, 0.970, 0.943, 0.945),
        *(0.966, 0.965, 0.963, 0.901),
    ),
    ("LightGBM on the 28 columns", "mape"): (2.4, 1.4, 4.2, 3.0, 1.9, 1.9, 1.8, 2.2),
    ("ridge on one-hots", "r2"): (0.816, 0.846, 0.877, 0.938, 0.886, 0.902, 0.968, 0.893),
}
"""Method and score -> scores in the order of :data:`DEVICES`."""
_ORDER = tuple(DEVICES)


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a device.

    Attributes:
        values: latencies in ms, or images/s; NaN where there is none, (n,).
        inverted: whether they are images/s, the more the faster.
    """

    values: FloatArray
    inverted: bool

    def turned(self, values: FloatArray) -> FloatArray:
        """Return images/s as ms an image, and the other way round; latencies as they are."""
        return 1000 / values if self.inverted else values

    def known(self, rows: IntArray) -> IntArray:
        """Return those of ``rows`` that have a value."""
        found: IntArray = rows[np.isfinite(self.values[rows])]
        return found


@dataclass(frozen=True, eq=False)
class Networks:
    """The table.

    Attributes:
        space: of its 28 columns.
        X: architectures (n, choices).
        parts: part of the split -> rows of it.
        columns: device -> its column.
    """

    space: SearchSpace
    X: IntArray
    parts: Mapping[str, IntArray]
    columns: Mapping[str, Column]


def rows(request: Request) -> list[Row]:
    """Return the rows of reference, then ours.

    Every draw takes another seed of the predictors; with fewer ``labels`` than ``train`` has, also
    other networks of it, and then gbdt finds by itself how many trees it wants.

    Raises:
        UsageError: more labels than ``train`` has, or the data is not there or not what it should
            be.
    """
    read = load(request)
    train = read.parts["train"]
    labels = request.labels or (len(train),)
    for count in labels:
        if not 3 <= count <= len(train):
            raise UsageError(f"{count} labels: this protocol takes 3 to {len(train)}")
    found = [
        Row(
            method=method,
            labels=len(train),
            trimmed=None,
            scores={name: told[_ORDER.index(name)] for name in DEVICES},
            mean=sum(told) / len(told),
            source=_SOURCE,
            score=score,
        )
        for (method, score), told in _REFERENCE.items()
    ]
    runs = [(name, count) for name in OURS for count in labels]
    for done, (name, count) in enumerate(runs, start=1):
        method = OURS[name]
        every = count == len(train)
        trees = _chosen(read, method) if method.kind == "gbdt" and every else {}
        # A ridge that sees every network draws nothing.
        seeds = request.draws[:1] if method.kind == "ridge" and every else request.draws
        draws = [_draw(read, method, count, trees, seed) for seed in seeds]
        found += ours(name, count, None, draws)
        request.report(done, len(runs))
    return found


def load(request: Request) -> Networks:
    """Return the table at ``request.data``.

    Raises:
        UsageError: it is not there or not what it should be.
    """
    path = public_tables.find(FILE, FOLDER, request.data)
    frame = public_tables.read(path)
    split = public_tables.column(frame, "split", path)
    parts = {part: np.flatnonzero(split == part) for part in PARTS}
    for part, held in parts.items():
        if len(held) < 2:
            raise UsageError(f"{path}: the column split has no networks of {part!r}")
    given = {name: public_tables.column(frame, name, path).tolist() for name in COLUMNS}
    space, X = _architectures(given, path)
    columns = {
        name: Column(
            public_tables.positive(frame, column, path, missing=True),
            column.startswith("throughput"),
        )
        for name, column in DEVICES.items()
    }
    return Networks(space, X, parts, columns)


def _architectures(given: Mapping[str, Sequence[Any]], path: Path) -> tuple[SearchSpace, IntArray]:
    try:
        space = TableSpace(columns=[describe(name, values) for name, values in given.items()])
        return space, space.read(given)
    except UsageError as failure:
        raise UsageError(f"{path}: {failure}") from failure


def _chosen(read: Networks, method: Method) -> Mapping[str, Mapping[str, int]]:
    """Return the trees that are best on ``val``, by device."""
    train, val = read.parts["train"], read.parts["val"]
    chosen: dict[str, Mapping[str, int]] = {}
    for device, column in read.columns.items():
        scored = column.known(val)
        fits = [
            metrics.r2(
                column.values[scored],
                _predicted(read, method, trees, column, train, scored),
            )
            for trees in TREES
        ]
        chosen[device] = TREES[int(np.argmax(fits))]
    return chosen


def _draw(
    read: Networks, method: Method, labels: int, trees: Mapping[str, Mapping[str, int]], seed: int
) -> dict[str, Scores]:
    """Return the scores by device for one seed."""
    train = read.parts["train"]
    found: dict[str, Scores] = {}
    seeded = {} if method.kind == "ridge" else {"seed": seed}
    for place, (device, column) in enumerate(read.columns.items()):
        drawn = column.known(train)
        if labels < len(train):
            drawn = np.random.default_rng([seed, place]).permutation(drawn)[:labels]
        scored = column.known(read.parts["test"])
        params = {**seeded, **trees.get(device, {})}
        predicted = _predicted(read, method, params, column, drawn, scored)
        found[device] = _scores(column, scored, predicted)
    return found


def _predicted(
    read: Networks,
    method: Method,
    params: Mapping[str, Any],
    column: Column,
    train: IntArray,
    scored: IntArray,
) -> FloatArray:
    """Return what ``method`` says of ``scored``, in the unit of the column."""
    known = column.known(train)
    y = column.values[known]
    predictor = latbench.predictor(method.kind).for_table(read.space, None, **params)
    predictor.fit(read.X[known], column.turned(y) if method.in_ms else y, calibrate=False)
    predicted = predictor.predict(read.X[scored])
    return column.turned(predicted) if method.in_ms else predicted


def _scores(column: Column, scored: IntArray, predicted: FloatArray) -> Scores:
    y = column.values[scored]
    found = metrics.summary(y, predicted)
    if column.inverted:  # images/s have no error in ms
        found["rmse_ms"] = None
    return {"r2": metrics.r2(y, predicted), **found}
