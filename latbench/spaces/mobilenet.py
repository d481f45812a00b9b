"""MobileNet spaces: chains of inverted residuals that differ in expansion and kernel size.

Definition: ProxylessNAS (Cai et al., arXiv 1812.00332), MB3 and MB6 with kernels 3, 5 and 7, and
``skip`` where a block keeps stride and width; the original widths by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from latbench.spaces.architectures import Choice
from latbench.spaces.convolution import Chain, Classifier, ConvBlock, InvertedResidual
from latbench.spaces.graph import INPUT, Candidate, Node
from latbench.spaces.operation import Identity, Operation
from latbench.spaces.options import stages, whole
from latbench.spaces.space import SearchSpace

_EPS = 1e-3  # the batch-norm epsilon of ProxylessNAS

PROXYLESS_SETTINGS = ((24, 4, 2), (40, 4, 2), (80, 4, 2), (96, 4, 1), (192, 4, 2), (320, 1, 1))
"""Width, depth and first stride of each stage."""


class MobileNetSpace(SearchSpace):
    """The ProxylessNAS space: 21 places in 6 stages, 7^15 · 6^6 architectures by default."""

    name: ClassVar[str] = "mobilenet"
    expansions: ClassVar[tuple[int, ...]] = (3, 6)
    kernels: ClassVar[tuple[int, ...]] = (3, 5, 7)

    def __init__(
        self,
        *,
        settings: Sequence[Sequence[int]] = PROXYLESS_SETTINGS,
        image_size: int = 224,
        classes: int = 1000,
        channels: int = 3,
        stem_width: int = 32,
        first_width: int = 16,
        head_width: int = 1280,
        stem_stride: int = 2,
    ) -> None:
        """Lay out the chain.

        Args:
            settings: ``[width, depth, stride]`` of each stage; the stride is its first block's.
            image_size: side of the square images that the latency is for.
            classes: number of logits.
            channels: of the images.
            stem_width: width of the first convolution.
            first_width: width of the fixed first block; 0 leaves that block out.
            head_width: width of the last 1×1 convolution.
            stem_stride: stride of the first convolution.
        """
        layout = stages("settings", settings)
        options = {
            "settings": layout,
            "image_size": whole("image_size", image_size, 1, 4096),
            "classes": whole("classes", classes, 1, 10**6),
            "channels": whole("channels", channels, 1, 1024),
            "stem_width": whole("stem_width", stem_width, 1, 4096),
            "first_width": whole("first_width", first_width, 0, 4096),
            "head_width": whole("head_width", head_width, 1, 16384),
            "stem_stride": whole("stem_stride", stem_stride, 1, 4),
        }
        stem: list[Operation] = [ConvBlock(channels, stem_width, 3, stem_stride, eps=_EPS)]
        width = stem_width
        if first_width:
            stem.append(InvertedResidual(stem_width, first_width, 3, 1, 1, eps=_EPS))
            width = first_width
        nodes = [Node("stem", (Candidate(Chain(tuple(stem)), (INPUT,)),))]
        choices: list[Choice] = []
        for number, (out, depth, stage_stride) in enumerate(layout, start=1):
            for position in range(1, depth + 1):
                stride = stage_stride if position == 1 else 1
                name = f"stage{number}.{position}"
                named = self._candidates(width, out, stride)
                previous = (nodes[-1].name,)
                candidates = tuple(Candidate(operation, previous) for operation in named.values())
                nodes.append(Node(name, candidates, choice=len(choices)))
                choices.append(Choice(name, tuple(named)))
                width = out
        head = Chain((ConvBlock(width, head_width, 1, eps=_EPS), Classifier(head_width, classes)))
        nodes.append(Node("head", (Candidate(head, (nodes[-1].name,)),)))
        super().__init__(options, choices, nodes, (channels, image_size, image_size))

    def _candidates(self, channels: int, width: int, stride: int) -> dict[str, Operation]:
        named: dict[str, Operation] = {
            f"mb{expansion}k{kernel}": InvertedResidual(
                channels, width, kernel, stride, expansion, eps=_EPS
            )
            for expansion in self.expansions
            for kernel in self.kernels
        }
        if stride == 1 and channels == width:
            named["skip"] = Identity()
        return named


class DigitsMobileNetSpace(MobileNetSpace):
    """A small MobileNet space for grey images of 8×8 to 32×32: 8 places, quick to measure."""

    name: ClassVar[str] = "digits-mobilenet"
    kernels: ClassVar[tuple[int, ...]] = (3, 5)

    def __init__(
        self,
        *,
        settings: Sequence[Sequence[int]] = ((16, 2, 1), (32, 3, 2), (64, 3, 2)),
        image_size: int = 32,
        classes: int = 10,
        channels: int = 1,
        stem_width: int = 16,
        first_width: int = 0,
        head_width: int = 128,
        stem_stride: int = 1,
    ) -> None:
        """See :class:`MobileNetSpace`; only the defaults differ."""
        super().__init__(
            settings=settings,
            image_size=image_size,
            classes=classes,
            channels=channels,
            stem_width=stem_width,
            first_width=first_width,
            head_width=head_width,
            stem_stride=stem_stride,
        )
