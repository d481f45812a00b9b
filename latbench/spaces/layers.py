"""The torch modules behind the operations. This file alone defines what a block computes."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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


class ConcatAll(nn.Module):
    """All arguments, one after the other along the channels."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return ``inputs``, maps (n, channels, h, w) of one size, as one."""
        return torch.cat(inputs, dim=1)


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


class FactorizedReduce(nn.Module):
    """DARTS's shortcut of stride 2: half the channels from even pixels, half from odd ones."""

    def __init__(self, channels: int, width: int) -> None:
        """Map ``channels`` to ``width`` channels at half the size."""
        super().__init__()
        self.even = nn.Conv2d(channels, width // 2, 1, 2, bias=False)
        self.odd = nn.Conv2d(channels, width - width // 2, 1, 2, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (n, c, h, w) at half the size, rounded up as a strided convolution does."""
        x = F.relu(x)
        # Maps of even length begin at pixel 1. Those of odd length, which the paper has not, have
        # one odd pixel too few: they end at the last one and are padded in front.
        odd = [int(side) % 2 for side in x.shape[2:]]
        rows, columns = (slice(None, -1) if side else slice(1, None) for side in odd)
        shifted = F.conv2d(x[:, :, rows, columns], self.odd.weight, None, 2, odd)
        out: Tensor = self.norm(torch.cat([self.even(x), shifted], dim=1))
        return out
