"""How many candidates evolution proposes, filters and deduplicates a second with a LUT."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

import latbench
from benchmarks.table import Row
from latbench.discrete_searcher import DiscreteSearcher
from latbench.hooks import LatencyFilter
from latbench.training.task import SearchTask

_GENERATIONS, _ASKED, _STRICT = 20, 1000, 5000


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
    assert isinstance(evolution, DiscreteSearcher)
    evolution.start(task)
    start = time.perf_counter()
    for _ in range(_GENERATIONS):
        X = evolution.ask(_ASKED)
        evolution.tell(X, task.score(X))
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    result = latbench.searcher("evolution")().run(dataclasses.replace(task, evaluations=_STRICT))
    strict = result.proposals["proposed"] / (time.perf_counter() - start)
    proposed = _GENERATIONS * _ASKED / seconds
    return [
        Row(
            "evolution with a filter, candidates a second",
            "5,000",
            f"{proposed:,.0f}",
            f"strictly one child a time {strict:,.0f}/s; NNI 3.0 in a trial: 199/s",
            proposed >= 5000,
        )
    ]
