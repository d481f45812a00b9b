"""How many candidates evolution proposes, filters and deduplicates a second with a LUT."""

from __future__ import annotations

import time

import numpy as np
from table import Row

import latbench
from latbench.hooks import LatencyFilter
from latbench.training.task import SearchTask

_GENERATIONS, _ASKED = 20, 1000


def rows() -> list[Row]:
    """Return the rate of candidates that come out, and of those that were looked at."""
    space = latbench.space("mobilenet", image_size=96)
    rng = np.random.default_rng(0)
    block_ms = {block.key: 0.02 + block.macs / 2e8 for block in space.blocks}
    train = space.sample(rng, 100)
    lut = latbench.predictor("lut").for_table(space, block_ms)
    lut.fit(train, space.path(train) @ np.array(list(block_ms.values())))
    limit_ms = float(np.quantile(lut.predict(space.sample(rng, 1000)), 0.3))
    within = LatencyFilter(lut, limit_ms)
    task = SearchTask(
        space=space,
        predictor=lut,
        target_ms=limit_ms,
        score=lambda X: X.sum(axis=1) / 200.0,
        feasible=within,
        evaluations=_GENERATIONS * _ASKED,
    )
    evolution = latbench.searcher("evolution")()
    assert hasattr(evolution, "ask") and hasattr(evolution, "tell")  # noqa: PT018
    evolution.start(task)
    start = time.perf_counter()
    for _ in range(_GENERATIONS):
        X = evolution.ask(_ASKED)
        evolution.tell(X, task.score(X))
    seconds = time.perf_counter() - start
    proposed = _GENERATIONS * _ASKED / seconds
    looked_at = (within.accepted + within.rejected) / seconds
    return [
        Row(
            "evolution with a filter, candidates a second",
            "5,000",
            f"{proposed:,.0f}",
            f"looked at {looked_at:,.0f}/s; NNI 3.0 in a trial: 199/s",
            proposed >= 5000,
        )
    ]
