"""What the layers compute, by the definitions of the papers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from latbench.spaces.cell_operations import FactorizedReduction, Pool, SeparableConv
from latbench.spaces.convolution import ConvBlock, InvertedResidual
from latbench.spaces.layers import (
    AddAll,
    ChannelShuffle,
    ConcatAll,
    DownsamplingResidual,
    FactorizedReduce,
    Residual,
    Zeros,
)
from latbench.spaces.nasbench201 import ReductionResidual


def test_a_shuffle_interleaves_the_groups() -> None:
    """Channel k of group g of six channels in two groups becomes channel 2k + g."""
    images = torch.arange(6.0).reshape(1, 6, 1, 1)
    shuffled = ChannelShuffle(2)(images)
    assert shuffled.flatten().tolist() == [0, 3, 1, 4, 2, 5]


def test_a_shuffle_lets_groups_mix() -> None:
    """Without it a grouped block would be two networks side by side."""
    block = InvertedResidual(4, 4, 3, 1, 1, groups=2, always_expand=True).module().eval()
    images = torch.randn(1, 4, 5, 5, requires_grad=True)
    block(images)[0, 0].sum().backward()
    assert images.grad is not None
    assert (images.grad.abs().sum(dim=(0, 2, 3)) > 0).all()


def test_small_layers_do_what_their_names_say() -> None:
    """Zeros, sums, concatenations and residuals."""
    x = torch.randn(2, 3, 4, 4)
    assert not Zeros()(x).any()
    torch.testing.assert_close(AddAll()(x, x, x), 3 * x)
    torch.testing.assert_close(ConcatAll()(x, 2 * x).split(3, dim=1), (x, 2 * x))
    torch.testing.assert_close(Residual(nn.Identity())(x), 2 * x)


@pytest.mark.parametrize(
    ("channels", "width", "stride", "residual"),
    [(8, 8, 1, True), (8, 8, 2, False), (8, 16, 1, False)],
)
def test_shortcuts_are_where_the_shape_is_kept(
    channels: int, width: int, stride: int, residual: bool
) -> None:
    """An inverted residual adds its input exactly at stride 1 and equal width."""
    block = InvertedResidual(channels, width, 3, stride, 3)
    assert isinstance(block.module(), Residual) == residual


def test_an_expansion_of_one_has_two_convolutions() -> None:
    """As in MobileNetV2 nothing is expanded; FBNet expands all the same."""

    def convolutions(block: InvertedResidual) -> int:
        return sum(isinstance(layer, nn.Conv2d) for layer in block.module().modules())

    assert convolutions(InvertedResidual(8, 16, 3, 1, 1)) == 2
    assert convolutions(InvertedResidual(8, 16, 3, 1, 1, always_expand=True)) == 3


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_shapes_are_those_of_torch(side: int, stride: int, kernel: int) -> None:
    """Odd and even maps shrink as the operation says, at every kernel and stride."""
    images = torch.randn(1, 4, side, side)
    for operation in (
        ConvBlock(4, 6, kernel, stride),
        InvertedResidual(4, 6, kernel, stride, 3),
        ReductionResidual(4, 8),
        SeparableConv(4, kernel, stride),
        SeparableConv(4, kernel, stride, dilation=2),
        Pool("avg", stride),
        Pool("max", stride),
        FactorizedReduction(4, 6),
        FactorizedReduction(4, 7),
    ):
        made = operation.module().eval()(images)
        assert tuple(made.shape[1:]) == operation.output_shape(((4, side, side),))


def test_a_factorized_reduction_takes_pixels_of_its_own() -> None:
    """Half the channels see even pixels and half odd ones, also where the last pixel is even."""
    layer = FactorizedReduce(1, 2).eval()
    for convolution in (layer.even, layer.odd):
        nn.init.ones_(convolution.weight)
    layer.norm.eps = 0.0
    for size, odd in ((4, [5, 7, 13, 15]), (3, [0, 0, 0, 4])):
        images = torch.arange(float(size**2)).reshape(1, 1, size, size)
        evens, odds = layer(images)[0]
        torch.testing.assert_close(evens, images[0, 0, ::2, ::2])
        assert odds.flatten().tolist() == odd


def test_convolutions_of_cells_rectify_first_and_normalise_last() -> None:
    """ReLU, depthwise, pointwise and normalisation; a dilated one looks twice as far."""
    for dilation in (1, 2):
        layers = list(SeparableConv(4, 3, dilation=dilation).module().children())
        assert [type(one) for one in layers] == [nn.ReLU, nn.Conv2d, nn.Conv2d, nn.BatchNorm2d]
    images = torch.ones(1, 1, 9, 9, requires_grad=True)
    SeparableConv(1, 5, dilation=2).module().eval()(images)[0, 0, 4, 4].backward()
    assert images.grad is not None
    assert images.grad[0, 0].any(dim=0).nonzero().flatten().tolist() == [0, 2, 4, 6, 8]


def test_means_at_the_border_leave_the_padding_out() -> None:
    """The benchmark averages over pixels that exist: a constant map stays constant."""
    images = torch.full((1, 2, 5, 5), 3.0)
    torch.testing.assert_close(Pool("avg").module()(images), images)


def test_the_pooled_shortcut_has_no_normalisation() -> None:
    """As in the benchmark's code: two normalised convolutions, one bare 1×1 convolution."""
    layers = list(DownsamplingResidual(4, 8).modules())
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in layers) == 2
    kernels = [layer.kernel_size for layer in layers if isinstance(layer, nn.Conv2d)]
    assert kernels == [(3, 3), (3, 3), (1, 1)]
