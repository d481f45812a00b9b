"""The gradient that the architecture follows in each one-shot searcher, against enumeration.

On a toy supernet of 125 networks, at unequal chances that stay as they are: how far the mean of the
gradients of many steps is from the exact one, in percent of its length. That is the bias; an
unbiased gradient is off by its standard error alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

import latbench
from benchmarks.table import Row
from latbench.hooks import ExpectedLatency
from latbench.one_shot_searcher import OneShotSearcher
from latbench.testing.architecture_gradients import (
    Comparison,
    enumerated_gradient,
    followed_gradients,
    losses_of_every,
    unsettle,
)
from latbench.testing.searcher_fixtures import Toy
from latbench.testing.toy_supernet import ToySupernet, toy_data
from latbench.training.config import TrainConfig
from latbench.training.task import SearchTask

_STEPS = 1000
_SEARCHERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "`darts`": ("darts", {}),
    "`proxylessnas`, `mode=full`": ("proxylessnas", {}),
    "`proxylessnas`, `mode=two`": ("proxylessnas", {"mode": "two"}),
    "`fbnet` at its hottest, 5": ("fbnet", {}),
    "`fbnet` at its coldest, 0.1": ("fbnet", {"hot": 0.1}),
    "`snas` at its hottest, 1": ("snas", {}),
    "`unas`": ("unas", {}),
}


def rows() -> Iterator[Row]:
    """Yield a row a searcher."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # all that is computed is small
    try:
        for name, (kind, params) in _SEARCHERS.items():
            yield _searcher(name, kind, params)
    finally:
        torch.set_num_threads(threads)


def _searcher(name: str, kind: str, params: Mapping[str, Any]) -> Row:
    """Return the row of a searcher without a latency, whose gradient is another matter."""
    toy = Toy(latbench.space("digits-mobilenet", settings=[[16, 3, 1]]))
    searcher = latbench.searcher(kind)().set_params(**params, every=1, warmup=0.0)
    assert isinstance(searcher, OneShotSearcher)
    task = SearchTask(
        toy.space,
        toy.predictor,
        target_ms=1e3 * toy.fastest_ms,
        score=toy.score,
        supernet=ToySupernet(toy),
        data=toy_data(),
        train=TrainConfig(batch=16, label_smoothing=0.0),
        expected=ExpectedLatency(toy.predictor),
    )
    searcher.start(task)
    unsettle(searcher)
    found = Comparison(
        followed_gradients(searcher, _STEPS),
        enumerated_gradient(searcher, losses_of_every(searcher)),
    )
    return Row(
        f"gradient that the architecture follows in {name}",
        "4 standard errors" if searcher.unbiased else "none: it is biased, and says so",
        f"off by {found.bias_percent:.1f} % of its length",
        f"a standard error is {found.error_percent:.1f} %; cosine {found.cosine:.3f}",
        found.deviation < 4 if searcher.unbiased else found.cosine > 0,
    )
