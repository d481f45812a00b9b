"""The mixed forward: paths, sums, and what neither runs nor learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import latbench
from latbench.spaces.graph import IntArray
from latbench.spaces.mixing import slot
from latbench.spaces.network import Supernet
from latbench.spaces.space import SearchSpace

SPACES: dict[str, dict[str, Any]] = {
    "digits-mobilenet": {"settings": [[8, 2, 1], [12, 2, 2]], "stem_width": 8, "head_width": 16},
    "nasbench201": {"width": 4, "cells": 1},
}
CONV = 3


@pytest.fixture(params=sorted(SPACES))
def space(request: pytest.FixtureRequest) -> SearchSpace:
    """A chain, and a cell whose choices stand at several places and may be ``none``."""
    return latbench.space(request.param, image_size=8, **SPACES[request.param])


@pytest.fixture
def cell() -> SearchSpace:
    """The cell alone."""
    return latbench.space("nasbench201", image_size=8, **SPACES["nasbench201"])


@pytest.fixture
def net(space: SearchSpace) -> Supernet:
    """Its supernet, with batch norm that has learned and does not depend on the batch."""
    return learned(space).eval()


def learned(space: SearchSpace) -> Supernet:
    """Return a supernet whose batch norm makes something of nothing, as training has it do."""
    net = space.supernet(seed=3)
    generator = torch.Generator().manual_seed(7)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_var is not None
            assert layer.running_mean is not None
            with torch.no_grad():
                layer.weight.uniform_(0.7, 1.4, generator=generator)
                layer.bias.normal_(0, 0.3, generator=generator)
            layer.running_var.uniform_(0.7, 1.4, generator=generator)
            layer.running_mean.normal_(0, 0.1, generator=generator)
    return net


def architectures(space: SearchSpace, n: int) -> IntArray:
    """Return some architectures; in cells, one with edges that nothing feeds, and one of none."""
    X = space.sample(np.random.default_rng(0), n)
    if space.name == "nasbench201":
        X[:2] = [[0, 0, 0, 3, 3, 3], [0] * 6]
    return X


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
    """Whatever the other candidates give, and those that nothing feeds."""
    given = images(space)
    for x in architectures(space, 6):
        torch.testing.assert_close(net.mixed(given, gates(space, x)), net(given, x))


def test_one_hot_weights_train_as_the_path_does(space: SearchSpace) -> None:
    """Logits, gradients and batch-norm statistics along it are those of the path in training."""
    given = images(space)
    for x in architectures(space, 4):
        found, wanted = learned(space).train(), learned(space).train()
        outputs = found.mixed(given, gates(space, x)), wanted(given, x)
        torch.testing.assert_close(*outputs)
        for logits in outputs:
            logits.square().sum().backward()
        mine = dict(found.named_parameters())
        for name, parameter in wanted.named_parameters():
            slope = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            seen = mine[name].grad
            # Sums in another order differ by rounding, here of slopes of up to some hundreds.
            torch.testing.assert_close(
                torch.zeros_like(parameter) if seen is None else seen, slope, rtol=1e-3, atol=1e-3
            )
        path = set(wanted.state_of(x))
        buffers = dict(found.named_buffers())
        for name, buffer in wanted.named_buffers():
            if name in path:
                torch.testing.assert_close(buffers[name], buffer)


def test_what_nothing_feeds_does_not_run(cell: SearchSpace) -> None:
    """Its batch-norm statistics stay as they are, though it is on no path and learns."""
    net = learned(cell).train()
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    net.mixed(images(cell), gates(cell, np.array([0, 0, 0, 3, 3, 3])))
    places = {
        slot(number, option): node.name.split(".")[-1]
        for number, node in enumerate(cell.graph.nodes)
        for option in range(len(node.candidates))
    }
    changed = {
        places[name.split(".")[1]]
        for name, buffer in net.named_buffers()
        if not torch.equal(buffer, before[name])
    }
    edges = {place for place in changed if place.startswith("edge")}
    assert edges == {"edge0to1", "edge0to2", "edge0to3"}


def test_gates_tell_what_would_come_of_nothing(cell: SearchSpace) -> None:
    """Where only an identity or a pooling follows, the slope is the change along the gate."""
    net = learned(cell).double().eval()
    given = images(cell).double()
    x = np.array([0, 1, 0, 3, 4, 1])  # node 1 is nothing, and pooled into node 3
    weights = [gate.double().requires_grad_() for gate in gates(cell, x)]
    value = net.mixed(given, weights).square().sum()
    slope = torch.autograd.grad(value, weights)[0][1:]
    step = 1e-6
    for option, found in enumerate(slope, start=1):
        moved = [gate.detach().clone() for gate in weights]
        moved[0][option] += step
        change = net.mixed(given, moved).square().sum() - value
        torch.testing.assert_close(change / step, found, rtol=1e-3, atol=1e-4)
        assert abs(float(found.detach())) > 1e-3


def test_options_that_do_not_run_add_nothing(space: SearchSpace, net: Supernet) -> None:
    """With one option of each choice running, its weight of one gives the path."""
    given = images(space)
    (x,) = space.sample(np.random.default_rng(1), 1)
    weights = [torch.ones(size) for size in space.sizes]
    running = [{int(one)} for one in x]
    torch.testing.assert_close(net.mixed(given, weights, running=running), net(given, x))


def test_each_image_can_have_weights_of_its_own(space: SearchSpace, net: Supernet) -> None:
    """Rows of one-hot weights give every image its own path, and its own dead ends."""
    given = images(space, 5)
    X = architectures(space, 5)
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


def test_zero_everywhere_gives_the_logits_of_nothing(cell: SearchSpace) -> None:
    """Where nothing reaches the output it runs on zeros, as in a single path."""
    net = learned(cell).eval()
    x = np.zeros(6, dtype=np.int64)
    running = [{0}] * 6
    given = images(cell)
    weights = [torch.ones(5)] * 6
    torch.testing.assert_close(net.mixed(given, weights, running=running), net(given, x))
