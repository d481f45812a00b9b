"""The torch modules behind the operations. This file alone defines what a block computes."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn


class Zeros(nn.Module):
    """Zeros of the input's shape."""

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros like ``x``, without a gradient to it."""
        return torch.zeros_like(x)


class AddAll(nn.Module):
    """The sum of all arguments."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the sum of ``inputs``, tensors of one shape."""
        return reduce(torch.add, inputs)


class Residual(nn.Module):
    """``x + body(x)``."""

    def __init__(self, body: nn.Module) -> None:
        """Wrap ``body``, which must keep the shape."""
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x + body(x)``."""
        out: Tensor = x + self.body(x)
        return out


class ChannelShuffle(nn.Module):
    """Interleave the channels of ``groups`` groups (ShuffleNet, arXiv 1707.01083)."""

    def __init__(self, groups: int) -> None:
        """Shuffle ``groups`` groups; the channels must divide by it."""
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (n, c, h, w) with channel ``g·(c/groups) + k`` moved to ``k·groups + g``."""
        n, c, h, w = x.shape
        grouped = x.view(n, self.groups, c // self.groups, h, w)
        return grouped.transpose(1, 2).reshape(n, c, h, w)


def conv_bn(
    channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1, eps: float = 1e-5
) -> list[nn.Module]:
    """Return a convolution with "same" padding and no bias, and its batch normalisation."""
    return [
        nn.Conv2d(channels, width, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(width, eps=eps),
    ]


class DownsamplingResidual(nn.Module):
    """The block between the stages of NAS-Bench-201: stride 2, twice the width."""

    def __init__(self, channels: int, width: int) -> None:
        """Map ``channels`` to ``width`` channels at half the size."""
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(),
            *conv_bn(channels, width, 3, 2),
            nn.ReLU(),
            *conv_bn(width, width, 3),
        )
        # As in the benchmark's code, the pooled shortcut carries no normalisation. Ceil mode keeps
        # odd maps as large as the strided convolution leaves them.
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(channels, width, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both branches."""
        out: Tensor = self.body(x) + self.shortcut(x)
        return out
