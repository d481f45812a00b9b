"""What the layers compute, by the definitions of the papers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from latbench.spaces.convolution import ConvBlock, InvertedResidual
from latbench.spaces.layers import (
    AddAll,
    ChannelShuffle,
    DownsamplingResidual,
    Residual,
    Zeros,
)
from latbench.spaces.nasbench201 import AveragePool, ReductionResidual


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
    """Zeros, sums and residuals."""
    x = torch.randn(2, 3, 4, 4)
    assert not Zeros()(x).any()
    torch.testing.assert_close(AddAll()(x, x, x), 3 * x)
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
        AveragePool(),
    ):
        made = operation.module().eval()(images)
        assert tuple(made.shape[1:]) == operation.output_shape(((4, side, side),))


def test_means_at_the_border_leave_the_padding_out() -> None:
    """The benchmark averages over pixels that exist: a constant map stays constant."""
    images = torch.full((1, 2, 5, 5), 3.0)
    torch.testing.assert_close(AveragePool().module()(images), images)


def test_the_pooled_shortcut_has_no_normalisation() -> None:
    """As in the benchmark's code: two normalised convolutions, one bare 1×1 convolution."""
    layers = list(DownsamplingResidual(4, 8).modules())
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in layers) == 2
    kernels = [layer.kernel_size for layer in layers if isinstance(layer, nn.Conv2d)]
    assert kernels == [(3, 3), (3, 3), (1, 1)]
