"""Every kind that trains a supernet: a step in cells, and what it leaves as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import latbench
from latbench.one_shot_searcher import OneShotSearcher
from latbench.spaces.space import SearchSpace
from latbench.training.config import TrainConfig
from latbench.training.data import load_data
from latbench.training.task import SearchTask
from latbench_search.darts import DARTS
from latbench_search.fbnet import FBNet
from latbench_search.proxylessnas import ProxylessNAS
from latbench_search.snas import SNAS
from latbench_search.unas import UNAS

SPACES: dict[str, dict[str, Any]] = {
    "darts": {"image_size": 8, "width": 2, "cells": 3},
    "nasbench201": {"image_size": 8, "width": 4, "cells": 1},
}
LEARN_APART: dict[str, Callable[[], OneShotSearcher]] = {
    "darts": lambda: DARTS(warmup=0.0),
    "darts, second order": lambda: DARTS(order=2, warmup=0.0),
    "fbnet": lambda: FBNet(warmup=0.0),
    "unas": lambda: UNAS(warmup=0.0),
    "proxylessnas": lambda: ProxylessNAS(warmup=0.0),
    "proxylessnas, two paths": lambda: ProxylessNAS(mode="two", warmup=0.0),
    "proxylessnas, rewards": lambda: ProxylessNAS(mode="reinforce", warmup=0.0),
}
KINDS: dict[str, Callable[[], OneShotSearcher]] = {**LEARN_APART, "snas": SNAS}


def begun(searcher: OneShotSearcher, space: SearchSpace) -> OneShotSearcher:
    """Return the searcher when it has begun a task on the digits."""
    task = SearchTask(
        space,
        None,
        target_ms=10.0,
        score=lambda X: np.zeros(len(X)),
        predict_ms=lambda X: 1.0 + X.sum(axis=1),
        supernet=space.supernet(seed=1),
        data=load_data("digits", image_size=space.input_shape[1], channels=space.input_shape[0]),
        train=TrainConfig(steps=10, batch=16),
        expected=lambda chances: torch.stack(
            [given @ torch.arange(given.shape[-1], dtype=given.dtype) for given in chances.values()]
        ).sum(0),
    )
    searcher.start(task)
    return searcher


@pytest.mark.parametrize("name", sorted(SPACES))
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_step_teaches_weights_and_architecture(kind: str, name: str) -> None:
    """Both move in spaces of cells, and stay finite."""
    searcher = begun(KINDS[kind](), latbench.space(name, **SPACES[name]))
    chances = searcher.chances
    before = [weight.detach().clone() for weight in searcher.state.supernet.parameters()]
    searcher.step()
    after = list(searcher.state.supernet.parameters())
    assert not all(map(np.array_equal, chances, searcher.chances))
    assert not all(map(torch.equal, before, after))
    assert all(np.isfinite(given).all() for given in searcher.chances)
    assert all(bool(weight.isfinite().all()) for weight in after)


@pytest.mark.parametrize("kind", sorted(LEARN_APART))
def test_what_the_architecture_learns_from_leaves_no_statistics(
    kind: str, small: SearchSpace
) -> None:
    """Those of batch norm are of training images alone, and of the passes that train weights."""
    searcher = begun(LEARN_APART[kind](), small)
    supernet = searcher.state.supernet
    before = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    searcher._learn_architecture(*searcher.state.train.draw())
    assert any("running_mean" in name for name in before)
    for name, buffer in supernet.named_buffers():
        assert torch.equal(buffer, before[name])
