"""HELP's protocol: Spearman's rank correlation after few labels of a target device.

Our rows use labels of the target alone, drawn anew for every device and seed; HELP also uses nine
source devices, and ten reference latencies of the target beside the labels.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import latbench
from latbench.errors import UsageError
from latbench.prediction import metrics
from latbench.spaces import FloatArray, IntArray, SearchSpace
from latbench.workflows.help_tables import Table
from latbench.workflows.protocol import Request, Row

if TYPE_CHECKING:
    import pandas as pd

_ALPHA = 1.0


def rows(table: Table, request: Request) -> list[Row]:
    """Return the published rows of ``table``, then ours: trimmed as published, then untrimmed.

    Raises:
        UsageError: more labels than the trimmed pool holds, or the data is not there or not what
            it should be.
    """
    most = len(table.pool) - 2 * (len(table.pool) // 10)
    for labels in request.labels:
        if not 2 <= labels <= most:
            raise UsageError(f"{labels} labels: this protocol takes 2 to {most}")
    frame, path = _read(table, request.data)
    latencies = [_latencies(frame, device, path) for device in table.devices]
    space = latbench.space(table.space)
    X = _architectures(frame, table, space, path)
    found = [
        Row(
            method=row.method,
            labels=row.labels,
            trimmed=True,
            scores=dict(zip(table.devices, row.scores, strict=True)),
            mean=row.mean,
            source=table.source,
        )
        for row in table.published
    ]
    runs = [
        (method, trimmed, labels)
        for method in table.ours
        for trimmed in (True, False)
        for labels in request.labels
    ]
    features = {method: describe(space, X) for method, describe in table.ours.items()}
    for done, (method, trimmed, labels) in enumerate(runs, start=1):
        scores = np.array(
            [
                [
                    _score(table, features[method], y, labels, trimmed, [seed, place])
                    for place, y in enumerate(latencies)
                ]
                for seed in range(request.seed, request.seed + request.seeds)
            ]
        )
        found.append(_our_row(table, f"latbench {method}", scores, labels, trimmed))
        request.report(done, len(runs))
    return found


def _our_row(table: Table, method: str, scores: FloatArray, labels: int, trimmed: bool) -> Row:
    """Return the row of ``scores`` (seeds, devices)."""
    means = scores.mean(axis=1)
    return Row(
        method=method,
        labels=labels,
        trimmed=trimmed,
        scores=dict(zip(table.devices, scores.mean(axis=0).tolist(), strict=True)),
        mean=float(means.mean()),
        spread=float(means.std(ddof=1)) if len(means) > 1 else None,
        seeds=len(means),
    )


def _score(
    table: Table, features: FloatArray, y: FloatArray, labels: int, trimmed: bool, seed: list[int]
) -> float:
    from sklearn.linear_model import Ridge

    pool, queries = np.array(table.pool), np.array(table.queries)
    if trimmed:
        pool, queries = _trimmed(pool, y), _trimmed(queries, y)
    drawn = np.random.default_rng(seed).choice(pool, labels, replace=False)
    predicted = Ridge(alpha=_ALPHA).fit(features[drawn], y[drawn]).predict(features[queries])
    return metrics.spearman(y[queries], predicted)


def _trimmed(rows: IntArray, y: FloatArray) -> IntArray:
    """Return ``rows`` without the tenth of lowest and that of highest latency."""
    tenth = len(rows) // 10
    return rows[np.argsort(y[rows], kind="stable")][tenth:-tenth]


def _read(table: Table, data: Path) -> tuple[pd.DataFrame, Path]:
    """Return the rows of pool and queries in the order of ``arch_idx``, and their file."""
    import pandas as pd

    path = _find(table.file, data)
    try:
        frame = pd.read_csv(path)
    except (ValueError, EOFError, OSError, zlib.error) as failure:
        raise UsageError(
            f"{path} cannot be read as a table ({failure}); fetch it again"
        ) from failure
    index = _column(frame, "arch_idx", path)
    needed = range(table.queries.stop)
    if index.duplicated().any() or not set(needed) <= set(index):
        raise UsageError(
            f"{path} does not hold the networks 0 to {needed.stop - 1} once each; fetch it again"
        )
    return frame.set_index("arch_idx").loc[list(needed)], path


def _find(name: str, data: Path) -> Path:
    if data.is_file():
        return data
    places = (data / name, data / "help" / name)
    for place in places:
        if place.is_file():
            return place
    raise UsageError(
        f"no file {name} in {data}; give --data the folder that holds HELP's tables as CSV, or "
        "the file itself"
    )


def _column(frame: pd.DataFrame, name: str, path: Path) -> Any:
    if name not in frame:
        known = ", ".join(map(str, frame.columns[:6]))
        raise UsageError(
            f"{path} has no column {name!r}, it begins with {known}; is it the table of this "
            "protocol?"
        )
    return frame[name]


def _latencies(frame: pd.DataFrame, device: str, path: Path) -> FloatArray:
    column = _column(frame, device, path)
    try:
        y = np.asarray(column, dtype=np.float64)
    except ValueError as failure:
        raise UsageError(f"{path}: {device} holds no number ({failure})") from failure
    if not (np.isfinite(y).all() and (y > 0).all()):
        raise UsageError(f"{path}: {device} holds a latency that is not above zero; fetch it again")
    return y


def _architectures(frame: pd.DataFrame, table: Table, space: SearchSpace, path: Path) -> IntArray:
    texts = _column(frame, table.column, path)
    try:
        return space.check(np.array([table.read(space, str(text)) for text in texts]))
    except ValueError as failure:  # a UsageError is one
        raise UsageError(
            f"{path}: {table.column} holds no architectures of {space.name} ({failure})"
        ) from failure
