"""NAS-Bench-201 with 900 labels a device, as BRP-NAS has it (Dudziak et al., arXiv 2007.08859).

Of the 15,284 cells whose output is connected to the input, 900 are drawn for training and 100 for
validation; the 14,284 others are scored. None of our rows uses the 100, which are left out all the
same, so that as many cells are scored as there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import latbench
from latbench.errors import UsageError
from latbench.prediction import metrics
from latbench.spaces import FloatArray, IntArray, SearchSpace
from latbench.workflows.protocols import ceiling, cell_classes, public_tables
from latbench.workflows.protocols.help_tables import NB201 as HELP_TABLE_3
from latbench.workflows.protocols.public_tables import HELP_NB201, Latencies
from latbench.workflows.protocols.rows import Request, Row, Scores, ours

LABELS = (900,)
VALIDATION = 100
DEVICES = ("titan_rtx_256", "gold_6226", "pixel2", "pixel3", "raspi4", "eyeriss", "fpga")
BANDS = (1, 5, 10, 20)
"""The percentages of which there is a score, relative to the prediction as in BRP-NAS."""

OURS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "flops": ("flops", {}),
    "params": ("params", {}),
    "ridge": ("ridge", {}),
    "gbdt": ("gbdt", {}),
    "gbdt, tolerance 0.1": ("gbdt", {"tolerance": 0.1}),
}
"""Row -> kind of the predictor and its hyperparameters."""

CEILINGS = {
    "ceiling, isomorphic cells alike": False,
    "ceiling, cells alike that are isomorphic once pruned": True,
}
"""Row -> whether what has no effect is pruned first; see :mod:`cell_classes`."""

_CEILING = (
    "the best score of one prediction a class, each score for itself, knowing every latency of the "
    "table; {alone:.0f} % of the cells are alone in their class and count as known exactly. Who "
    "tells more cells apart may pass it"
)


def rows(request: Request) -> list[Row]:
    """Return BRP-NAS as HELP's authors ran it, then our rows and what bounds them.

    Raises:
        UsageError: more labels than leave a cell to score, or the data is not there or not what it
            should be.
    """
    read = public_tables.load(HELP_NB201, request.data, DEVICES, HELP_NB201.networks)
    cells = connected(read.space, read.X)
    labels = request.labels or LABELS
    most = len(cells) - VALIDATION - 1
    for count in labels:
        if not 3 <= count <= most:
            raise UsageError(f"{count} labels: this protocol takes 3 to {most}")
    runs = [(method, count) for method in OURS for count in labels]
    found = [_published()]
    for done, (method, count) in enumerate(runs, start=1):
        draws = [draw(method, read, cells, count, seed) for seed in request.draws]
        found += ours(method, count, None, draws)
        request.report(done, len(runs))
    for method, pruned in CEILINGS.items():
        classes = cell_classes.classes(read.X[cells], pruned)
        best = {device: ceilings(read.y[device][cells], classes) for device in DEVICES}
        alone = 100 * float(np.mean(np.bincount(classes)[classes] == 1))
        found += ours(method, None, None, [best], _CEILING.format(alone=alone))
    return found


def connected(space: SearchSpace, X: IntArray) -> IntArray:
    """Return the rows of ``X`` (n, choices) whose output the input reaches."""
    alive = space.graph.live(X)[1]
    return np.flatnonzero(alive[space.graph.output])


def scores(y: FloatArray, predicted: FloatArray) -> Scores:
    """Return how good predictions (n,) of latencies (n,) are, by name."""
    found = metrics.summary(y, predicted)
    bands = {_band(band): metrics.within_predicted(y, predicted, band) for band in BANDS}
    return {**bands, **found}


def ceilings(y: FloatArray, classes: IntArray) -> Scores:
    """Return the best that predictions could score that know only the class of a cell (n,).

    For RMSE and Kendall's correlation it is not computed.
    """
    return {
        **{_band(band): ceiling.within(y, classes, band) for band in BANDS},
        **{f"within_{band}": ceiling.within(y, classes, band) for band in metrics.BANDS},
        "spearman": ceiling.spearman(y, classes),
        "mape": ceiling.mape(y, classes),
    }


def _band(percent: int) -> str:
    return f"within_predicted_{percent}"


def draw(
    method: str, read: Latencies, cells: IntArray, labels: int, seed: int
) -> dict[str, Scores]:
    """Return the scores by device for one draw of the labels."""
    kind, params = OURS[method]
    found = {}
    for place, device in enumerate(DEVICES):
        shuffled = np.random.default_rng([seed, place]).permutation(cells)
        drawn, scored = shuffled[:labels], shuffled[labels + VALIDATION :]
        predictor = latbench.predictor(kind).for_table(read.space, None, **params)
        predictor.fit(read.X[drawn], read.y[device][drawn], calibrate=False)
        found[device] = scores(read.y[device][scored], predictor.predict(read.X[scored]))
    return found


def _published() -> Row:
    """Return the row of HELP's Table 3 with as many labels, which the paper gives ranks of."""
    (row,) = (r for r in HELP_TABLE_3.published if (r.method, r.labels) == ("BRP-NAS", 900))
    told = dict(zip(HELP_TABLE_3.devices, row.scores, strict=True))
    return Row(
        method=row.method,
        labels=row.labels,
        trimmed=True,
        scores={device: told.get(device) for device in DEVICES},
        mean=row.mean,
        source=HELP_TABLE_3.source,
        note="on other cells than the rest, HELP's 800 without the extremes, which is harder",
    )
