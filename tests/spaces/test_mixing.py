"""The mixed forward: paths, sums, and what neither runs nor learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import latbench
from latbench.spaces.graph import IntArray
from latbench.spaces.network import Supernet
from latbench.spaces.space import SearchSpace

SPACES: dict[str, dict[str, Any]] = {
    "digits-mobilenet": {"settings": [[8, 2, 1], [12, 2, 2]], "stem_width": 8, "head_width": 16},
    "nasbench201": {"width": 4, "cells": 1},
}
CONV = 3


@pytest.fixture(params=sorted(SPACES))
def space(request: pytest.FixtureRequest) -> SearchSpace:
    """A chain, and a cell whose choices stand at several places."""
    return latbench.space(request.param, image_size=8, **SPACES[request.param])


@pytest.fixture
def net(space: SearchSpace) -> Supernet:
    """Its supernet, with batch norm that does not depend on the batch."""
    return space.supernet(seed=3).eval()


def images(space: SearchSpace, n: int = 4) -> Tensor:
    """Return some images."""
    return torch.randn(n, *space.input_shape, generator=torch.Generator().manual_seed(1))


def gates(space: SearchSpace, x: IntArray) -> list[Tensor]:
    """Return the one-hot weights of an architecture."""
    return [
        F.one_hot(torch.tensor(int(one)), size).float()
        for one, size in zip(x, space.sizes, strict=True)
    ]


def test_one_hot_weights_are_the_path(space: SearchSpace, net: Supernet) -> None:
    """Whatever the other candidates give, it is multiplied by zero."""
    given = images(space)
    for x in space.sample(np.random.default_rng(0), 6):
        torch.testing.assert_close(net.mixed(given, gates(space, x)), net(given, x))


def test_options_that_do_not_run_add_nothing(space: SearchSpace, net: Supernet) -> None:
    """With one option of each choice running, its weight of one gives the path."""
    given = images(space)
    (x,) = space.sample(np.random.default_rng(1), 1)
    weights = [torch.ones(size) for size in space.sizes]
    running = [{int(one)} for one in x]
    torch.testing.assert_close(net.mixed(given, weights, running=running), net(given, x))


def test_each_image_can_have_weights_of_its_own(space: SearchSpace, net: Supernet) -> None:
    """Rows of one-hot weights give every image its own path."""
    given = images(space, 3)
    X = space.sample(np.random.default_rng(2), 3)
    rows = [gates(space, x) for x in X]
    weights = [torch.stack([row[c] for row in rows]) for c in range(len(space.sizes))]
    together = net.mixed(given, weights)
    for number, x in enumerate(X):
        alone = net(given[number : number + 1], x)
        torch.testing.assert_close(together[number : number + 1], alone)


def test_the_slope_of_a_gate_is_the_same_without_learning(
    space: SearchSpace, net: Supernet
) -> None:
    """Gates of candidates that run without gradients have the gradient they would have with."""
    given = images(space)
    (x,) = space.sample(np.random.default_rng(4), 1)
    x = np.where(x == 0, 1, x)  # nothing is cut off, or the gates before a cut had no gradient
    slopes = []
    for learning in (None, [{int(one)} for one in x]):
        weights = [gate.requires_grad_() for gate in gates(space, x)]
        logits = net.mixed(given, weights, learning=learning)
        loss = F.cross_entropy(logits, torch.arange(len(given)))
        slopes.append(torch.autograd.grad(loss, weights, materialize_grads=True))
    # What stands behind an inactive candidate passes on no gradient, but it has weight zero anyway.
    for with_, without in zip(*slopes, strict=True):
        torch.testing.assert_close(with_, without)


def test_what_does_not_learn_is_left_as_it_is(space: SearchSpace) -> None:
    """No gradient reaches its weights, and its batch-norm statistics stay bit for bit."""
    net = space.supernet(seed=3).train()
    (x,) = space.sample(np.random.default_rng(5), 1)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    path = set(net.state_of(x))
    weights = [gate.requires_grad_() for gate in gates(space, x)]
    net.mixed(images(space), weights, learning=[{int(one)} for one in x]).sum().backward()  # type: ignore[no-untyped-call]
    changed = {
        name for name, value in net.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed <= path
    assert any("running_mean" in name for name in changed)


def test_zero_everywhere_gives_the_logits_of_nothing() -> None:
    """Where nothing reaches the output it runs on zeros, as in a single path."""
    space = latbench.space("nasbench201", image_size=8, width=4, cells=1)
    net = space.supernet(seed=3).eval()
    x = np.zeros(6, dtype=np.int64)
    running = [{0}] * 6
    given = images(space)
    weights = [torch.ones(5)] * 6
    torch.testing.assert_close(net.mixed(given, weights, running=running), net(given, x))
