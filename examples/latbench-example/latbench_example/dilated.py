"""A search space: a chain of convolutions that differ in how far apart their taps lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from latbench.spaces import INPUT, Candidate, Choice, Identity, Node, Operation, SearchSpace, Shape
from latbench.spaces.convolution import Classifier, ConvBlock
from latbench.spaces.options import whole

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class DilatedConv(Operation):
    """A 3×3 convolution with taps ``dilation`` pixels apart, batch normalisation and ReLU."""

    channels: int
    dilation: int

    @property
    def key(self) -> str:
        """Equal for equal operations alone: tables know the block by it."""
        return f"dilated-k3-d{self.dilation}-c{self.channels}"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return the shape of the only input; shapes are without the batch."""
        (shape,) = inputs
        return shape

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return the multiply-accumulates for one image, the same for every dilation."""
        ((channels, height, width),) = inputs
        return height * width * 9 * channels * channels

    def params(self) -> int:
        """Return the weights of the convolution and its normalisation."""
        return 9 * self.channels**2 + 2 * self.channels

    def module(self) -> nn.Module:
        """Return the torch module; torch is imported here, so that listing spaces stays quick."""
        from torch import nn

        return nn.Sequential(
            nn.Conv2d(
                self.channels,
                self.channels,
                3,
                padding=self.dilation,
                dilation=self.dilation,
                bias=False,
            ),
            nn.BatchNorm2d(self.channels),
            nn.ReLU(),
        )


class DilatedSpace(SearchSpace):
    """Four places of four options: 256 networks, of which many have equal MACs."""

    name: ClassVar[str] = "dilated"

    def __init__(
        self,
        *,
        image_size: int = 32,
        classes: int = 10,
        channels: int = 1,
        width: int = 16,
        places: int = 4,
    ) -> None:
        """Lay out the chain: a stem that halves the image, the places, a classifier.

        Args:
            image_size: side of the square images that the latency is for.
            classes: number of logits.
            channels: of the images.
            width: channels of every place.
            places: how many there are.
        """
        options = {
            "image_size": whole("image_size", image_size, 2, 4096),
            "classes": whole("classes", classes, 1, 10**6),
            "channels": whole("channels", channels, 1, 1024),
            "width": whole("width", width, 1, 4096),
            "places": whole("places", places, 1, 64),
        }
        named: dict[str, Operation] = {
            "near": DilatedConv(width, 1),
            "far": DilatedConv(width, 2),
            "farther": DilatedConv(width, 4),
            "skip": Identity(),
        }
        nodes = [Node("stem", (Candidate(ConvBlock(channels, width, 3, stride=2), (INPUT,)),))]
        choices = []
        for number in range(places):
            name, previous = f"place{number + 1}", (nodes[-1].name,)
            candidates = tuple(Candidate(operation, previous) for operation in named.values())
            nodes.append(Node(name, candidates, choice=number))
            choices.append(Choice(name, tuple(named)))
        head = Candidate(Classifier(width, classes), (nodes[-1].name,))
        nodes.append(Node("head", (head,)))
        super().__init__(options, choices, nodes, (channels, image_size, image_size))
