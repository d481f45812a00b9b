"""HELP's protocol: few labels of a target device, and tables of nine source devices.

Labels are drawn anew for every device and seed. HELP also uses ten reference latencies of the
target beside its labels; none of our rows does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latbench.errors import UsageError
from latbench.spaces import FloatArray, IntArray
from latbench.workflows.protocols import public_tables
from latbench.workflows.protocols.help_tables import Table
from latbench.workflows.protocols.methods import Known, Model, scores
from latbench.workflows.protocols.rows import Request, Row, Scores, ours

LABELS = (10, 20, 50, 100)


def rows(table: Table, request: Request) -> list[Row]:
    """Return the published rows of ``table``, then ours: trimmed as published, then untrimmed.

    Raises:
        UsageError: more labels than the trimmed pool holds, or the data is not there or not what
            it should be.
    """
    labels = request.labels or LABELS
    most = len(table.pool) - 2 * (len(table.pool) // 10)
    for count in labels:
        if not 3 <= count <= most:
            raise UsageError(f"{count} labels: this protocol takes 3 to {most}")
    networks = table.queries.stop
    read = public_tables.load(
        table.public, request.data, (*table.devices, *table.sources), networks
    )
    known = Known(
        read.space,
        read.X,
        {name: read.y[name] for name in table.sources},
        np.array(table.pool),
    )
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
        _Run(name, trimmed, count)
        for name in table.ours
        for trimmed in (True, False)
        for count in labels
    ]
    models = {name: method(known) for name, method in table.ours.items()}
    targets = {device: read.y[device] for device in table.devices}
    for done, run in enumerate(runs, start=1):
        draws = [_draw(table, models[run.method], targets, run, seed) for seed in request.draws]
        found += ours(run.method, run.labels, run.trimmed, draws)
        request.report(done, len(runs))
    return found


@dataclass(frozen=True)
class _Run:
    method: str
    trimmed: bool
    labels: int


def _draw(
    table: Table, model: Model, targets: dict[str, FloatArray], run: _Run, seed: int
) -> dict[str, Scores]:
    """Return the scores by device for one draw of the labels."""
    found = {}
    for place, (device, y) in enumerate(targets.items()):
        pool, queries = np.array(table.pool), np.array(table.queries)
        if run.trimmed:
            pool, queries = _trimmed(pool, y), _trimmed(queries, y)
        drawn = model.choose(pool, run.labels, np.random.default_rng([seed, place]))
        found[device] = scores(y[queries], model.predict(drawn, y[drawn], queries))
    return found


def _trimmed(rows: IntArray, y: FloatArray) -> IntArray:
    """Return ``rows`` without the tenth of lowest and that of highest latency."""
    tenth = len(rows) // 10
    return rows[np.argsort(y[rows], kind="stable")][tenth:-tenth]
