"""FBNet spaces: 22 layers of 9 blocks each (Wu et al., arXiv 1812.03443), and a 20-layer version.

Blocks ``k3_e1 k3_e1_g2 k3_e3 k3_e6 k5_e1 k5_e1_g2 k5_e3 k5_e6 skip``; in the block names of the
public implementations ``s2`` means two groups, here written ``g2``. ``skip`` is the identity where
shapes agree, and else a 1×1 convolution with the stride of the place.
"""

from __future__ import annotations

from typing import ClassVar

from latbench.spaces.architectures import Choice
from latbench.spaces.convolution import Chain, Classifier, ConvBlock, InvertedResidual
from latbench.spaces.graph import INPUT, Candidate, Node
from latbench.spaces.operation import Identity, Operation
from latbench.spaces.options import whole
from latbench.spaces.space import SearchSpace

_STAGES = (
    (16, 1, 1),
    (24, 4, 2),
    (32, 4, 2),
    (64, 4, 2),
    (112, 4, 1),
    (184, 4, 2),
    (352, 1, 1),
)
_STEM_WIDTH, _HEAD_WIDTH = 16, 1504


class FBNetSpace(SearchSpace):
    """The FBNet space: 22 places, 9^22 architectures."""

    name: ClassVar[str] = "fbnet"
    fixed_single_layers: ClassVar[bool] = False

    def __init__(self, *, image_size: int = 224, classes: int = 1000, channels: int = 3) -> None:
        """Lay out the chain for square images of ``image_size`` with ``channels`` channels."""
        options = {
            "image_size": whole("image_size", image_size, 1, 4096),
            "classes": whole("classes", classes, 1, 10**6),
            "channels": whole("channels", channels, 1, 1024),
        }
        stem = ConvBlock(channels, _STEM_WIDTH, 3, 2, "relu")
        nodes = [Node("stem", (Candidate(stem, (INPUT,)),))]
        choices: list[Choice] = []
        width = _STEM_WIDTH
        for number, (out, depth, stage_stride) in enumerate(_STAGES, start=1):
            for position in range(1, depth + 1):
                stride = stage_stride if position == 1 else 1
                name = f"stage{number}.{position}"
                named = _blocks(width, out, stride)
                previous = (nodes[-1].name,)
                if depth == 1 and self.fixed_single_layers:
                    expansion = "k3_e1" if number == 1 else "k3_e6"
                    nodes.append(Node(name, (Candidate(named[expansion], previous),)))
                else:
                    candidates = tuple(Candidate(block, previous) for block in named.values())
                    nodes.append(Node(name, candidates, choice=len(choices)))
                    choices.append(Choice(name, tuple(named)))
                width = out
        head = Chain(
            (ConvBlock(width, _HEAD_WIDTH, 1, 1, "relu"), Classifier(_HEAD_WIDTH, classes))
        )
        nodes.append(Node("head", (Candidate(head, (nodes[-1].name,)),)))
        super().__init__(options, choices, nodes, (channels, image_size, image_size))


class FBNetLectureSpace(FBNetSpace):
    """The 20 × 9 version of lectures: the two single-layer stages are fixed (k3_e1 and k3_e6)."""

    name: ClassVar[str] = "fbnet-lecture"
    fixed_single_layers: ClassVar[bool] = True


def _blocks(channels: int, width: int, stride: int) -> dict[str, Operation]:
    def block(kernel: int, expansion: int, groups: int = 1) -> Operation:
        return InvertedResidual(
            channels,
            width,
            kernel,
            stride,
            expansion,
            groups,
            activation="relu",
            eps=1e-5,
            always_expand=True,
        )

    same = stride == 1 and channels == width
    skip: Operation = Identity() if same else ConvBlock(channels, width, 1, stride, "relu")
    named = {
        f"k{kernel}_{form}": block(kernel, expansion, groups)
        for kernel in (3, 5)
        for form, expansion, groups in (("e1", 1, 1), ("e1_g2", 1, 2), ("e3", 3, 1), ("e6", 6, 1))
    }
    return {**named, "skip": skip}
