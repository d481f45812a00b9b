"""The operations with weights that chains are made of: convolutions, inverted residuals, heads.

Definitions: MobileNetV2 (arXiv 1801.04381) for the inverted residual, ProxylessNAS (arXiv
1812.00332) for its batch-norm epsilon of 1e-3 and ReLU6, FBNet (arXiv 1812.03443) for grouped
1×1 convolutions with a channel shuffle and plain ReLU.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from latbench.spaces.operation import Operation, Shape

if TYPE_CHECKING:
    from torch import nn


def strided(size: int, stride: int) -> int:
    """Return the side of a feature map after a "same" convolution with ``stride``."""
    return (size - 1) // stride + 1


def _map(inputs: tuple[Shape, ...]) -> tuple[int, int, int]:
    ((channels, height, width),) = inputs
    return channels, height, width


@dataclass(frozen=True)
class ConvBlock(Operation):
    """Convolution, batch normalisation and an activation (``relu``, ``relu6`` or ``none``)."""

    channels: int
    width: int
    kernel: int
    stride: int = 1
    activation: str = "relu6"
    eps: float = 1e-5

    @property
    def key(self) -> str:
        """See :class:`Operation`."""
        act = "" if self.activation == "none" else f"-{self.activation}"
        return f"conv-k{self.kernel}-s{self.stride}-c{self.channels}-{self.width}{act}"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return ``(width, h/stride, w/stride)``."""
        _, height, width = _map(inputs)
        return self.width, strided(height, self.stride), strided(width, self.stride)

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return output pixels × kernel² × channels × width."""
        _, height, width = self.output_shape(inputs)
        return height * width * self.kernel**2 * self.channels * self.width

    def params(self) -> int:
        """Return the weights of the convolution and its normalisation."""
        return self.kernel**2 * self.channels * self.width + 2 * self.width

    def module(self) -> nn.Module:
        """See :class:`Operation`."""
        from torch import nn

        from latbench.spaces.layers import conv_bn

        layers = conv_bn(self.channels, self.width, self.kernel, self.stride, eps=self.eps)
        if self.activation != "none":
            layers.append(nn.ReLU6() if self.activation == "relu6" else nn.ReLU())
        return nn.Sequential(*layers)


@dataclass(frozen=True)
class InvertedResidual(Operation):
    """Expand 1×1, depthwise k×k, project 1×1, with the shortcut where shape allows it.

    ``groups`` > 1 groups the two 1×1 convolutions and shuffles the channels between them.
    An expansion of 1 leaves the first 1×1 convolution out, unless ``always_expand``.
    """

    channels: int
    width: int
    kernel: int
    stride: int
    expansion: int
    groups: int = 1
    activation: str = "relu6"
    eps: float = 1e-3
    always_expand: bool = False

    @property
    def key(self) -> str:
        """See :class:`Operation`."""
        groups = f"-g{self.groups}" if self.groups > 1 else ""
        return (
            f"mb-e{self.expansion}-k{self.kernel}-s{self.stride}{groups}-c{self.channels}"
            f"-{self.width}-{self.activation}{'-full' if self.always_expand else ''}"
        )

    @property
    def _hidden(self) -> int:
        return self.channels * self.expansion

    @property
    def _expands(self) -> bool:
        return self.expansion > 1 or self.always_expand

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return ``(width, h/stride, w/stride)``."""
        _, height, width = _map(inputs)
        return self.width, strided(height, self.stride), strided(width, self.stride)

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return the sum over the two or three convolutions."""
        _, height, width = _map(inputs)
        _, out_height, out_width = self.output_shape(inputs)
        before, after = height * width, out_height * out_width
        expand = before * self.channels * self._hidden // self.groups if self._expands else 0
        depthwise = after * self.kernel**2 * self._hidden
        return expand + depthwise + after * self._hidden * self.width // self.groups

    def params(self) -> int:
        """Return the weights of the convolutions and their normalisations."""
        hidden = self._hidden
        expand = self.channels * hidden // self.groups + 2 * hidden if self._expands else 0
        depthwise = self.kernel**2 * hidden + 2 * hidden
        return expand + depthwise + hidden * self.width // self.groups + 2 * self.width

    def moved(self, inputs: tuple[Shape, ...]) -> int:
        """Return what the two or three convolutions read and write, and their weights."""
        _, height, width = _map(inputs)
        _, out_height, out_width = self.output_shape(inputs)
        before, after = height * width, out_height * out_width
        expand = before * (self.channels + self._hidden) if self._expands else 0
        depthwise = (before + after) * self._hidden
        return expand + depthwise + after * (self._hidden + self.width) + self.params()

    def module(self) -> nn.Module:
        """See :class:`Operation`."""
        from torch import nn

        from latbench.spaces.layers import ChannelShuffle, Residual, conv_bn

        activation = nn.ReLU6 if self.activation == "relu6" else nn.ReLU
        hidden = self._hidden
        layers: list[nn.Module] = []
        if self._expands:
            layers += conv_bn(self.channels, hidden, 1, groups=self.groups, eps=self.eps)
            layers.append(activation())
            if self.groups > 1:
                layers.append(ChannelShuffle(self.groups))
        layers += conv_bn(hidden, hidden, self.kernel, self.stride, groups=hidden, eps=self.eps)
        layers.append(activation())
        layers += conv_bn(hidden, self.width, 1, groups=self.groups, eps=self.eps)
        body = nn.Sequential(*layers)
        return Residual(body) if self.stride == 1 and self.channels == self.width else body

    @property
    def family(self) -> Hashable | None:
        """All but expansion and kernel; None with groups, whose channels mean something else."""
        if self.groups > 1:
            return None
        return replace(self, expansion=2 if self._expands else 1, kernel=1)


@dataclass(frozen=True)
class Chain(Operation):
    """Operations one after the other, compiled and timed as one block (a stem, for example)."""

    steps: tuple[Operation, ...]

    @property
    def key(self) -> str:
        """See :class:`Operation`."""
        return "+".join(step.key for step in self.steps)

    @property
    def rectifies(self) -> bool:
        """Whether the first step does."""
        return self.steps[0].rectifies

    def _inputs(self, inputs: tuple[Shape, ...]) -> list[tuple[Shape, ...]]:
        shapes = [inputs]
        for step in self.steps:
            shapes.append((step.output_shape(shapes[-1]),))
        return shapes

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return the shape after the last step."""
        return self._inputs(inputs)[-1][0]

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return the sum over the steps."""
        shapes = self._inputs(inputs)
        return sum(step.macs(shape) for step, shape in zip(self.steps, shapes, strict=False))

    def params(self) -> int:
        """Return the sum over the steps."""
        return sum(step.params() for step in self.steps)

    def moved(self, inputs: tuple[Shape, ...]) -> int:
        """Return the sum over the steps."""
        shapes = self._inputs(inputs)
        return sum(step.moved(shape) for step, shape in zip(self.steps, shapes, strict=False))

    def module(self) -> nn.Module:
        """See :class:`Operation`."""
        from torch import nn

        return nn.Sequential(*(step.module() for step in self.steps))


@dataclass(frozen=True)
class Classifier(Operation):
    """Global average pooling and one fully connected layer: feature map to logits."""

    channels: int
    classes: int

    @property
    def key(self) -> str:
        """See :class:`Operation`."""
        return f"classifier-c{self.channels}-{self.classes}"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return ``(classes,)``."""
        return (self.classes,)

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return channels × classes."""
        return self.channels * self.classes

    def params(self) -> int:
        """Return the weights and biases of the fully connected layer."""
        return (self.channels + 1) * self.classes

    def module(self) -> nn.Module:
        """See :class:`Operation`."""
        from torch import nn

        return nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(self.channels, self.classes)
        )
