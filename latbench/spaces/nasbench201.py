"""The NAS-Bench-201 space: one cell of six edges, repeated (Dong and Yang, arXiv 2001.00326).

Reads and writes the benchmark's strings, such as
``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|skip_connect~2|``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy.typing as npt

from latbench.errors import UsageError
from latbench.spaces.architectures import Choice
from latbench.spaces.cell_operations import Pool, ReluConvBN
from latbench.spaces.convolution import Classifier, ConvBlock, strided
from latbench.spaces.graph import INPUT, Candidate, IntArray, Node
from latbench.spaces.operation import Identity, Operation, Shape, Sum, Zero
from latbench.spaces.options import whole
from latbench.spaces.space import SearchSpace

if TYPE_CHECKING:
    from torch import nn

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(from, to) of the six edges, in the order of the benchmark's strings."""

_STRING = re.compile(
    r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|",
)


@dataclass(frozen=True)
class ReductionResidual(Operation):
    """The fixed block between stages: two 3×3 convolutions and a pooled 1×1 shortcut."""

    channels: int
    width: int

    @property
    def key(self) -> str:
        """See :class:`Operation`."""
        return f"reduction-c{self.channels}-{self.width}"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return ``(width, h/2, w/2)``."""
        ((_, height, width),) = inputs
        return self.width, strided(height, 2), strided(width, 2)

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return the sum over the three convolutions."""
        _, height, width = self.output_shape(inputs)
        per_pixel = 9 * self.channels * self.width + 9 * self.width**2 + self.channels * self.width
        return height * width * per_pixel

    def params(self) -> int:
        """Return the weights of the three convolutions and the two normalisations."""
        convolutions = 9 * self.channels * self.width + 9 * self.width**2
        return convolutions + self.channels * self.width + 4 * self.width

    def module(self) -> nn.Module:
        """See :class:`Operation`."""
        from latbench.spaces.layers import DownsamplingResidual

        return DownsamplingResidual(self.channels, self.width)


@dataclass(frozen=True)
class NormalisedClassifier(Operation):
    """Batch normalisation, ReLU, global average pooling and a fully connected layer."""

    channels: int
    classes: int

    @property
    def key(self) -> str:
        """See :class:`Operation`."""
        return f"bn-relu-classifier-c{self.channels}-{self.classes}"

    @property
    def _classifier(self) -> Classifier:
        return Classifier(self.channels, self.classes)

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return ``(classes,)``."""
        return (self.classes,)

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return channels × classes."""
        return self._classifier.macs(inputs)

    def params(self) -> int:
        """Return the weights of the normalisation and the fully connected layer."""
        return 2 * self.channels + self._classifier.params()

    def module(self) -> nn.Module:
        """See :class:`Operation`."""
        from torch import nn

        return nn.Sequential(
            nn.BatchNorm2d(self.channels), nn.ReLU(inplace=False), self._classifier.module()
        )


class NASBench201Space(SearchSpace):
    """Six choices of five operations, 15,625 architectures; the same cell stands 15 times."""

    name: ClassVar[str] = "nasbench201"

    def __init__(
        self,
        *,
        image_size: int = 32,
        classes: int = 10,
        channels: int = 3,
        width: int = 16,
        cells: int = 5,
    ) -> None:
        """Lay out the three stages of ``cells`` cells at ``width``, 2·``width``, 4·``width``."""
        options = {
            "image_size": whole("image_size", image_size, 1, 4096),
            "classes": whole("classes", classes, 1, 10**6),
            "channels": whole("channels", channels, 1, 1024),
            "width": whole("width", width, 1, 1024),
            "cells": whole("cells", cells, 1, 64),
        }
        stem = ConvBlock(channels, width, 3, activation="none")
        nodes = [Node("stem", (Candidate(stem, (INPUT,)),))]
        shape: Shape = (width, image_size, image_size)
        for stage in range(1, 4):
            if stage > 1:
                reduction = ReductionResidual(shape[0], 2 * shape[0])
                nodes.append(Node(f"reduction{stage}", (Candidate(reduction, (nodes[-1].name,)),)))
                shape = reduction.output_shape((shape,))
            for cell in range(1, cells + 1):
                nodes += _cell(f"stage{stage}.cell{cell}", nodes[-1].name, shape)
        head = NormalisedClassifier(shape[0], classes)
        nodes.append(Node("head", (Candidate(head, (nodes[-1].name,)),)))
        choices = [Choice(f"edge{source}to{to}", OPERATIONS) for source, to in EDGES]
        super().__init__(options, choices, nodes, (channels, image_size, image_size))

    def decode(self, x: npt.ArrayLike) -> str:
        """Return the benchmark's string of one architecture."""
        names = [OPERATIONS[value] for value in self.one(x)]
        parts = [f"{name}~{source}" for name, (source, _) in zip(names, EDGES, strict=True)]
        groups = (parts[:1], parts[1:3], parts[3:])
        return "+".join("|" + "|".join(group) + "|" for group in groups)

    def encode(self, text: str) -> IntArray:
        """Return the architecture (choices,) of a string of the benchmark.

        Raises:
            UsageError: another form, or an unknown operation.
        """
        match = _STRING.fullmatch(text.strip())
        if match is None:
            raise UsageError(
                f"{text!r} is no NAS-Bench-201 string; the form is |op~0|+|op~0|op~1|+"
                f"|op~0|op~1|op~2| with op one of {', '.join(OPERATIONS)}"
            )
        names = (choice.name for choice in self.choices)
        return self._from_options(dict(zip(names, match.groups(), strict=True)))


def _cell(name: str, source: str, shape: Shape) -> list[Node]:
    width = shape[0]
    operations: dict[str, Operation] = {
        "none": Zero(shape),
        "skip_connect": Identity(),
        "nor_conv_1x1": ReluConvBN(width, width, 1),
        "nor_conv_3x3": ReluConvBN(width, width, 3),
        "avg_pool_3x3": Pool("avg"),
    }
    positions = [source, *(f"{name}.node{number}" for number in range(1, 4))]
    nodes = []
    for to in range(1, 4):
        incoming = []
        for choice, (start, end) in enumerate(EDGES):
            if end != to:
                continue
            candidates = tuple(
                Candidate(operation, () if operation.is_zero else (positions[start],))
                for operation in operations.values()
            )
            incoming.append(f"{name}.edge{start}to{end}")
            nodes.append(Node(incoming[-1], candidates, choice))
        nodes.append(Node(positions[to], (Candidate(Sum(), tuple(incoming)),)))
    return nodes
