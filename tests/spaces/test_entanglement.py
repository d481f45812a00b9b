"""Candidates of one family share weights in a supernet."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import latbench
from latbench.spaces.convolution import ConvBlock, InvertedResidual
from latbench.spaces.entanglement import SlicedConv2d, entangle, own_state
from latbench.spaces.network import Supernet


def convolutions(supernet: Supernet, slot: str) -> list[SlicedConv2d]:
    """Return the sliced convolutions of a candidate, in their order."""
    return [part for part in supernet.blocks[slot].modules() if isinstance(part, SlicedConv2d)]


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    """A supernet whose places have MB3 and MB6 with kernels 3, 5 and 7."""
    space = latbench.space("mobilenet", image_size=32, settings=[[8, 2, 1], [12, 2, 2]], classes=5)
    return space.supernet(seed=3)


def test_candidates_of_a_place_are_slices_of_one_weight(supernet: Supernet) -> None:
    """The first channels and the centre of the kernel; MB6 with kernel 7 is the whole."""
    small, large = (convolutions(supernet, f"node1-option{option}") for option in (0, 5))
    for one, other in zip(small, large, strict=True):
        assert one.weight is other.weight
        assert torch.equal(other.slice, other.weight)
    expand, depthwise, project = small
    hidden = expand.slice.shape[0]
    assert hidden == expand.weight.shape[0] // 2
    assert torch.equal(expand.slice, expand.weight[:hidden])
    assert torch.equal(depthwise.slice, depthwise.weight[:hidden, :, 2:5, 2:5])
    assert torch.equal(project.slice, project.weight[:, :hidden])


def test_places_share_nothing(supernet: Supernet) -> None:
    """Neither do two places of the same shape, nor stem and head."""
    first, second = (convolutions(supernet, f"node{node}-option0") for node in (1, 2))
    for one in first:
        assert all(one.weight is not other.weight for other in second)
    assert convolutions(supernet, "node0-option0") == []


def test_batch_norm_is_each_candidates_own(supernet: Supernet) -> None:
    """Weights, biases and statistics alike."""
    holders: dict[int, set[str]] = {}
    for name, value in supernet.state_dict().items():
        if "running_mean" in name:
            holders.setdefault(value.data_ptr(), set()).add(name)
    assert holders
    assert all(len(names) == 1 for names in holders.values())


def test_a_step_trains_the_slice_and_nothing_else(supernet: Supernet) -> None:
    """The gradient of a shared weight is zero outside what the path took of it."""
    x = np.zeros(len(supernet.space.choices), dtype=np.int64)
    supernet.zero_grad(set_to_none=True)
    supernet(torch.randn(4, 3, 32, 32), x).square().sum().backward()
    for one in convolutions(supernet, "node1-option0"):
        gradient = one.weight.grad
        assert gradient is not None
        inside = torch.zeros_like(gradient)
        inside[: one.slice.shape[0], : one.slice.shape[1]] = 1
        if one.weight.shape[-1] == 7:
            inside[..., :2, :] = inside[..., 5:, :] = inside[..., :2] = inside[..., 5:] = 0
        assert torch.equal(gradient * inside, gradient)
        assert bool((gradient != 0).any())


def test_groups_stay_apart() -> None:
    """Channels of a grouped convolution mean something else when there are fewer of them."""
    block = InvertedResidual(8, 8, 3, 1, 3)
    assert block.family == InvertedResidual(8, 8, 5, 1, 6).family
    assert block.family != InvertedResidual(8, 8, 3, 1, 1).family  # it has no first convolution
    assert block.family != InvertedResidual(8, 12, 3, 1, 3).family
    assert InvertedResidual(8, 8, 3, 1, 3, groups=2).family is None
    assert ConvBlock(8, 8, 1).family is None


def test_the_own_state_is_that_of_a_module_alone() -> None:
    """What was entangled loads into a module that was not, and computes the same."""
    operations = [InvertedResidual(4, 4, 3, 1, 3), InvertedResidual(4, 4, 5, 1, 6)]
    modules = [operation.module().eval() for operation in operations]
    entangle(modules)
    images = torch.randn(2, 4, 6, 6)
    for operation, module in zip(operations, modules, strict=True):
        alone = operation.module().eval()
        alone.load_state_dict(own_state(module))
        expected: Tensor = module(images)
        torch.testing.assert_close(alone(images), expected)


def test_the_weights_are_drawn_from_the_seed(supernet: Supernet) -> None:
    """Equal seeds give equal weights, another seed others."""
    first, again, other = (
        convolutions(supernet.space.supernet(seed=seed), "node1-option0") for seed in (3, 3, 4)
    )
    for one, same, another in zip(first, again, other, strict=True):
        assert torch.equal(one.weight, same.weight)
        assert not torch.equal(one.weight, another.weight)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 3), (4, 3), (7, 9)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("kernel", "groups"), [(1, 1), (3, 1), (3, 4), (5, 4), (7, 4)])
def test_it_is_a_convolution(size: tuple[int, int], stride: int, kernel: int, groups: int) -> None:
    """On maps of any size, however much of the kernel only meets padding, with its gradients."""
    like = nn.Conv2d(4, 8, kernel, stride, kernel // 2, groups=groups, bias=False)
    shared = nn.Parameter(torch.randn(12, 4 // groups + 1, 9, 9))
    ours = SlicedConv2d(like, shared)
    whole = ours.slice.detach().clone().requires_grad_()
    images = torch.randn(3, 4, *size, requires_grad=True)
    found = ours(images)
    expected = F.conv2d(images, whole, None, stride, kernel // 2, groups=groups)
    torch.testing.assert_close(found, expected)
    slope = torch.randn_like(expected)
    mine = torch.autograd.grad(found, (images, shared), slope)
    theirs = torch.autograd.grad(expected, (images, whole), slope)
    torch.testing.assert_close(mine[0], theirs[0])
    middle = slice(4 - kernel // 2, 5 + kernel // 2)
    torch.testing.assert_close(mine[1][:8, : 4 // groups, middle, middle], theirs[1])
