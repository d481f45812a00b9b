"""HELP's table of Once-for-all networks on twelve columns of NVIDIA GPUs; no paper scores it.

An architecture has a resolution, and in each of five stages a depth and four slots with a kernel
and an expansion each. Slots beyond the depth hold numbers that mean nothing: the space masks them.
What that is worth shows the ridge on log latency, with and without; on log latency, for what a
block costs grows with the resolution. Labels and queries are those of HELP's other protocols.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import latbench
from latbench.errors import UsageError
from latbench.prediction import metrics
from latbench.spaces import FloatArray, IntArray
from latbench.spaces.table import TableSpace
from latbench.workflows.protocols import public_tables
from latbench.workflows.protocols.rows import Request, Row, Scores, ours

FILE, FOLDER = "ofa_latency_12dev.csv.gz", "help"
DEVICES = tuple(
    f"{gpu}_{batch}" for gpu in ("2080ti", "titan_rtx", "titan_xp", "v100") for batch in (1, 32, 64)
)
LABELS = (100, 900)
SHOWN = ("mape", "spearman")
STAGES, SLOTS = 5, 4
DEPTHS, KERNELS, EXPANSIONS = (2, 3, 4), (3, 5, 7), (3, 4, 6)
RESOLUTIONS = tuple(range(128, 225, 4))

LOG_RIDGE = "log ridge"
ALPHAS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Of which the ridge on log latency takes what leaving one network out says."""

OURS: Mapping[str, tuple[str, bool]] = {
    "ridge on log latency, unmasked slots": (LOG_RIDGE, False),
    "ridge on log latency": (LOG_RIDGE, True),
    "ridge": ("ridge", True),
    "gbdt": ("gbdt", True),
}
"""Row -> what predicts, and whether it sees masked slots."""

POOL, QUERIES = range(4000), range(4000, 5000)
"""Labels are drawn from the one, the other is scored."""

# What was told of one column: a fit to all of the pool.
_REFERENCE = {"unmasked slots": 2.43, "masked slots": 1.28}
_REFERENCE_COLUMN = "titan_rtx_64"


@dataclass(frozen=True, eq=False)
class Networks:
    """The table.

    Attributes:
        spaces: masked or not -> space.
        X: masked or not -> architectures (n, choices).
        y: device -> latencies (n,) in ms.
    """

    spaces: Mapping[bool, TableSpace]
    X: Mapping[bool, IntArray]
    y: Mapping[str, FloatArray]


def rows(request: Request) -> list[Row]:
    """Return the rows of reference, then ours, with labels drawn at random.

    Raises:
        UsageError: more labels than the pool has, or the data is not there or not what it should
            be.
    """
    labels = request.labels or LABELS
    for count in labels:
        if not 3 <= count <= len(POOL):
            raise UsageError(f"{count} labels: this protocol takes 3 to {len(POOL)}")
    read = load(request.data)
    found = [
        Row(
            method=f"least squares on log latency, {slots}",
            labels=len(POOL),
            trimmed=None,
            scores={device: mape if device == _REFERENCE_COLUMN else None for device in DEVICES},
            mean=None,
            source="measured with least squares on this split",
            score="mape",
        )
        for slots, mape in _REFERENCE.items()
    ]
    runs = [(method, count) for method in OURS for count in labels]
    for done, (method, count) in enumerate(runs, start=1):
        draws = [_draw(read, method, count, seed) for seed in request.draws]
        found += ours(method, count, None, draws)
        request.report(done, len(runs))
    return found


def space(*, masked: bool) -> TableSpace:
    """Return the space of the table; with ``masked``, a slot beyond its stage's depth is none."""
    columns: list[dict[str, Any]] = [{"name": "r", "values": list(RESOLUTIONS)}]
    for stage in range(STAGES):
        depth = f"d[{stage}]"
        columns.append({"name": depth, "values": list(DEPTHS)})
        for slot in range(SLOTS):
            deep = [value for value in DEPTHS if value > slot]
            mask = {"active": [depth, deep]} if masked and len(deep) < len(DEPTHS) else {}
            number = stage * SLOTS + slot
            columns.append({"name": f"ks[{number}]", "values": list(KERNELS), **mask})
            columns.append({"name": f"e[{number}]", "values": list(EXPANSIONS), **mask})
    return TableSpace(columns=columns)


def load(data: Path) -> Networks:
    """Return the table at ``data``.

    Raises:
        UsageError: it is not there or not what it should be.
    """
    path = public_tables.find(FILE, FOLDER, data)
    frame = public_tables.read(path)
    index = public_tables.column(frame, "arch_idx", path)
    if not np.array_equal(index, np.arange(QUERIES.stop)):
        raise UsageError(
            f"{path} does not hold the networks 0 to {QUERIES.stop - 1} in order; fetch it again"
        )
    y = {device: public_tables.positive(frame, device, path) for device in DEVICES}
    given: dict[str, Sequence[Any]] = {"r": public_tables.column(frame, "r", path).tolist()}
    for name, places in (("d", STAGES), ("ks", STAGES * SLOTS), ("e", STAGES * SLOTS)):
        texts = [str(text).split("_") for text in public_tables.column(frame, name, path)]
        for row, parts in enumerate(texts, start=1):
            if len(parts) != places:
                raise UsageError(
                    f"{path}: row {row} has {len(parts)} numbers in {name!r} instead of {places}; "
                    "fetch it again"
                )
        for place, values in enumerate(zip(*texts, strict=True)):
            given[f"{name}[{place}]"] = values
    spaces = {masked: space(masked=masked) for masked in (True, False)}
    try:
        X = {masked: found.read(given) for masked, found in spaces.items()}
    except UsageError as failure:
        raise UsageError(f"{path}: {failure}") from failure
    return Networks(spaces, X, y)


def _draw(read: Networks, method: str, labels: int, seed: int) -> dict[str, Scores]:
    """Return the scores by device for one draw of the labels."""
    kind, masked = OURS[method]
    X = read.X[masked]
    found: dict[str, Scores] = {}
    queries = np.array(QUERIES)
    for place, (device, y) in enumerate(read.y.items()):
        drawn = np.random.default_rng([seed, place]).choice(len(POOL), labels, replace=False)
        predict = _log_ridge if kind == LOG_RIDGE else partial(_registered, kind)
        predicted = predict(read.spaces[masked], X[drawn], y[drawn], X[queries])
        found[device] = metrics.summary(y[queries], predicted)
    return found


def _registered(
    kind: str, space: TableSpace, X: IntArray, y: FloatArray, queries: IntArray
) -> FloatArray:
    predictor = latbench.predictor(kind).for_table(space, None)
    return predictor.fit(X, y, calibrate=False).predict(queries)


def _log_ridge(space: TableSpace, X: IntArray, y: FloatArray, queries: IntArray) -> FloatArray:
    from sklearn.linear_model import RidgeCV

    fitted = RidgeCV(alphas=ALPHAS).fit(space.one_hot(X), np.log(y))
    predicted: FloatArray = np.exp(fitted.predict(space.one_hot(queries)))
    return predicted
