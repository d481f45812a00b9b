"""The operations with weights that cells are made of: ReLU first, normalisation last.

Definitions: NAS-Bench-201 (arXiv 2001.00326) and DARTS (arXiv 1806.09055, section 3.1), in the form
of the networks that are trained in the end: normalisations have a scale and a shift, poolings none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from latbench.spaces.convolution import ConvBlock, strided
from latbench.spaces.operation import Operation, Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ReluConvBN(Operation):
    """ReLU, convolution, batch normalisation."""

    channels: int
    width: int
    kernel: int
    stride: int = 1

    @property
    def rectifies(self) -> bool:
        """See :class:`Operation`."""
        return True

    @property
    def key(self) -> str:
        """See :class:`Operation`."""
        return f"relu-conv-k{self.kernel}-s{self.stride}-c{self.channels}-{self.width}"

    @property
    def _conv(self) -> ConvBlock:
        return ConvBlock(self.channels, self.width, self.kernel, self.stride, "none")

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return ``(width, h/stride, w/stride)``."""
        return self._conv.output_shape(inputs)

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return the multiply-accumulates of the convolution."""
        return self._conv.macs(inputs)

    def params(self) -> int:
        """Return the weights of the convolution and its normalisation."""
        return self._conv.params()

    def module(self) -> nn.Module:
        """See :class:`Operation`."""
        from torch import nn

        return nn.Sequential(nn.ReLU(), self._conv.module())


@dataclass(frozen=True)
class SeparableConv(Operation):
    """ReLU, depthwise k×k convolution, 1×1 convolution, batch normalisation; the width is kept."""

    width: int
    kernel: int
    stride: int = 1
    dilation: int = 1

    @property
    def rectifies(self) -> bool:
        """See :class:`Operation`."""
        return True

    @property
    def key(self) -> str:
        """See :class:`Operation`."""
        dilation = f"-d{self.dilation}" if self.dilation > 1 else ""
        return f"relu-sep-k{self.kernel}{dilation}-s{self.stride}-c{self.width}"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return ``(width, h/stride, w/stride)``."""
        ((_, height, width),) = inputs
        return self.width, strided(height, self.stride), strided(width, self.stride)

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return the sum over both convolutions."""
        _, height, width = self.output_shape(inputs)
        return height * width * self.width * (self.kernel**2 + self.width)

    def params(self) -> int:
        """Return the weights of both convolutions and of the normalisation."""
        return self.width * (self.kernel**2 + self.width + 2)

    def moved(self, inputs: tuple[Shape, ...]) -> int:
        """Return what both convolutions read and write, and their weights."""
        ((_, height, width),) = inputs
        _, out_height, out_width = self.output_shape(inputs)
        pixels = height * width + 3 * out_height * out_width
        return pixels * self.width + self.params()

    def module(self) -> nn.Module:
        """See :class:`Operation`."""
        from torch import nn

        from latbench.spaces.layers import conv_bn

        padding = self.dilation * (self.kernel // 2)
        depthwise = nn.Conv2d(
            self.width,
            self.width,
            self.kernel,
            self.stride,
            padding,
            self.dilation,
            groups=self.width,
            bias=False,
        )
        return nn.Sequential(nn.ReLU(), depthwise, *conv_bn(self.width, self.width, 1))


@dataclass(frozen=True)
class Pool(Operation):
    """3×3 pooling, the mean or the largest; padding counts in neither."""

    kind: Literal["avg", "max"]
    stride: int = 1

    @property
    def key(self) -> str:
        """See :class:`Operation`."""
        return f"{self.kind}pool-k3-s{self.stride}"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return ``(channels, h/stride, w/stride)``."""
        ((channels, height, width),) = inputs
        return channels, strided(height, self.stride), strided(width, self.stride)

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return 0: sums and comparisons are not multiply-accumulates."""
        return 0

    def params(self) -> int:
        """Return 0: nothing is learned."""
        return 0

    def module(self) -> nn.Module:
        """See :class:`Operation`."""
        from torch import nn

        if self.kind == "max":
            return nn.MaxPool2d(3, self.stride, padding=1)
        return nn.AvgPool2d(3, self.stride, padding=1, count_include_pad=False)


@dataclass(frozen=True)
class FactorizedReduction(Operation):
    """ReLU, and two 1×1 convolutions of stride 2 on pixels of their own, joined and normalised."""

    channels: int
    width: int

    @property
    def rectifies(self) -> bool:
        """See :class:`Operation`."""
        return True

    @property
    def key(self) -> str:
        """See :class:`Operation`."""
        return f"factorized-reduction-c{self.channels}-{self.width}"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return ``(width, h/2, w/2)``."""
        ((_, height, width),) = inputs
        return self.width, strided(height, 2), strided(width, 2)

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return the sum over both convolutions."""
        _, height, width = self.output_shape(inputs)
        return height * width * self.channels * self.width

    def params(self) -> int:
        """Return the weights of both convolutions and of the normalisation."""
        return (self.channels + 2) * self.width

    def module(self) -> nn.Module:
        """See :class:`Operation`."""
        from latbench.spaces.layers import FactorizedReduce

        return FactorizedReduce(self.channels, self.width)
