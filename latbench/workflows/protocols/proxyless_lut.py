"""ProxylessNAS' table of a Pixel phone: whether sums over its blocks come out as told.

In each of three networks, every block has the same expansion and kernel. The lookup table takes
them as architectures of the space ``mobilenet``, whose first block always has kernel 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

import latbench
from latbench.errors import UsageError
from latbench.spaces import FloatArray, Operation
from latbench.spaces.convolution import Chain, Classifier, ConvBlock, InvertedResidual
from latbench.spaces.mobilenet import PROXYLESS_SETTINGS
from latbench.workflows import proxyless_table
from latbench.workflows.protocols import public_tables
from latbench.workflows.protocols.rows import Request, Row

FILE, FOLDER = "pixel_trim.yaml", "proxyless-lut"
SHOWN = ("sum_ms", "deviation_ms")
NETWORKS = {"E 3, K 3": (3, 3), "E 6, K 3": (6, 3), "E 6, K 7": (6, 7)}
"""Name -> expansion and kernel of every block."""
TOLD = {"E 3, K 3": 72.462, "E 6, K 3": 126.766, "E 6, K 7": 188.156}
"""Name -> sum in ms."""

_IMAGE = (3, 224, 224)
_STEM, _FIRST, _HEAD, _CLASSES = 32, 16, 1280, 1000


@runtime_checkable
class Accumulates(Protocol):
    """A predictor that sums blocks."""

    def accumulated(self, X: npt.ArrayLike) -> FloatArray:
        """Return the sums (n,) of the blocks of architectures (n, choices) in ms."""


def rows(request: Request) -> list[Row]:
    """Return the sums as told, then ours: of the keys, and of architectures.

    Raises:
        UsageError: labels, of which it takes none, or the data is not there or not what it should
            be.
        MissingMeasurementsError: the table lacks a block.
    """
    if request.labels:
        raise UsageError("this protocol sums a table and fits nothing; leave --labels out")
    table = proxyless_table.read(public_tables.find(FILE, FOLDER, request.data))
    totals = {name: table.total(keys(*blocks)) for name, blocks in NETWORKS.items()}
    space = latbench.space("mobilenet")
    lut = latbench.predictor("lut").for_table(space, table.blocks(space))
    assert isinstance(lut, Accumulates)
    X = np.array(
        [
            [choice.options.index(f"mb{expansion}k{kernel}") for choice in space.choices]
            for expansion, kernel in NETWORKS.values()
        ]
    )
    accumulated = dict(zip(NETWORKS, lut.accumulated(X).tolist(), strict=True))
    request.report(1, 1)
    return [
        _row("sums as told", TOLD, "sum_ms", source="summed from the table of this file before"),
        _row("latbench, keys", {n: one.latency_ms for n, one in totals.items()}, "sum_ms"),
        _row("latbench lut, first block with kernel 3", accumulated, "sum_ms"),
        _row("latbench, keys", {n: one.deviation_ms for n, one in totals.items()}, "deviation_ms"),
    ]


def keys(expansion: int, kernel: int) -> list[str]:
    """Return the keys of the network whose every block has that expansion and kernel.

    The first block, before the stages, has the kernel, and always expansion 1.
    """
    layers: list[Operation] = [
        ConvBlock(_IMAGE[0], _STEM, 3, 2),
        InvertedResidual(_STEM, _FIRST, kernel, 1, 1),
    ]
    width = _FIRST
    for out, depth, stride in PROXYLESS_SETTINGS:
        for place in range(depth):
            layers.append(InvertedResidual(width, out, kernel, 1 if place else stride, expansion))
            width = out
    layers += [ConvBlock(width, _HEAD, 1), Classifier(_HEAD, _CLASSES)]
    found = proxyless_table.keys_of(Chain(tuple(layers)), _IMAGE)
    assert found is not None
    return found


def _row(method: str, scores: Mapping[str, float], score: str, source: str = "") -> Row:
    return Row(method, None, None, scores, None, source=source, score=score)
