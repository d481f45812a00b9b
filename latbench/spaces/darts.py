"""The space of DARTS: a normal and a reduction cell, repeated (Liu et al., arXiv 1806.09055).

Reads and writes the genotypes that the paper's code prints; see :mod:`latbench.spaces.genotype`.

========================  =====================================================================
choice                    options, for each cell ``normal`` and ``reduce``
========================  =====================================================================
``normal.node3.inputs``   the two inputs that node 3 takes, of those before it: ``0+1``, ``0+2``,
                          ``1+2``; inputs 0 and 1 are the cells before, the older one first, and
                          2 to 5 the nodes
``normal.edge0to3``       the operation on the edge from input 0 to node 3, ``none`` excepted;
                          it matters only where node 3 takes input 0
========================  =====================================================================

An edge that the paper's code would set to ``none`` is here one that its node does not take.

====================  =========================================================================
place of the graph    what it holds
====================  =========================================================================
``stem``              3×3 convolution to three times the width
``cell1.input0``      the output of the cell before the last one, brought to the width of the cell,
                      and to its size where the last cell has halved it
``cell1.input1``      the output of the last cell, brought to the width of the cell
``cell1.edge0to3``    the operation of ``normal.edge0to3``, or ``reduce.edge0to3``
``cell1.node3``       the sum of the two edges of ``normal.node3.inputs``
``cell1.output``      the four nodes, joined along the channels
``head``              global average pooling and the classifier
====================  =========================================================================

Every node takes two inputs that exist, so all of these run but the edges that nobody takes.
"""

from __future__ import annotations

from itertools import combinations
from typing import ClassVar, NamedTuple

import numpy.typing as npt

from latbench.spaces.architectures import Choice
from latbench.spaces.cell_operations import FactorizedReduction, Pool, ReluConvBN, SeparableConv
from latbench.spaces.convolution import Chain, Classifier, ConvBlock
from latbench.spaces.genotype import KEPT, NODES, Genotype
from latbench.spaces.graph import INPUT, Candidate, IntArray, Node
from latbench.spaces.operation import Concat, Identity, Operation, Sum
from latbench.spaces.options import whole
from latbench.spaces.space import SearchSpace

_KINDS = ("normal", "reduce")
_STEM_MULTIPLIER = 3


class EdgeGroup(NamedTuple):
    """The choices of one node: which inputs it takes, and what is on the edge from each input."""

    inputs: str
    edges: tuple[str, ...]


class DartsSpace(SearchSpace):
    """Two cells of 180 · 49^4 architectures each; the reduction cell stands twice.

    The defaults are those of the paper's search. Its networks for CIFAR-10 have ``width=36`` and
    ``cells=20``; their auxiliary head, which only helps training, is no part of the network.
    """

    name: ClassVar[str] = "darts"

    def __init__(
        self,
        *,
        image_size: int = 32,
        classes: int = 10,
        channels: int = 3,
        width: int = 16,
        cells: int = 8,
    ) -> None:
        """Lay out the cells.

        Args:
            image_size: side of the square images that the latency is for.
            classes: number of logits.
            channels: of the images.
            width: of the nodes of the first cell; each reduction cell doubles it.
            cells: how many, reduction cells counted; those stand at a third and at two thirds.
        """
        options = {
            "image_size": whole("image_size", image_size, 3, 4096),  # halved twice
            "classes": whole("classes", classes, 1, 10**6),
            "channels": whole("channels", channels, 1, 1024),
            "width": whole("width", width, 1, 1024),
            "cells": whole("cells", cells, 3, 64),  # with fewer there is no normal cell
        }
        choices = [choice for kind in _KINDS for choice in _choices(kind)]
        columns = {choice.name: column for column, choice in enumerate(choices)}
        stem = ConvBlock(channels, _STEM_MULTIPLIER * width, 3, activation="none")
        nodes = [Node("stem", (Candidate(stem, (INPUT,)),))]
        older, last = (_Source("stem", _STEM_MULTIPLIER * width),) * 2
        after_reduction = False
        for number in range(cells):
            reduces = number in (cells // 3, 2 * cells // 3)
            width *= 2 if reduces else 1
            name = f"cell{number + 1}"
            nodes += _inputs(name, older, last, width, after_reduction)
            nodes += _body(name, "reduce" if reduces else "normal", width, columns)
            older, last = last, _Source(nodes[-1].name, len(NODES) * width)
            after_reduction = reduces
        head = Classifier(last.channels, classes)
        nodes.append(Node("head", (Candidate(head, (last.name,)),)))
        super().__init__(options, choices, nodes, (channels, image_size, image_size))

    @property
    def edge_groups(self) -> tuple[EdgeGroup, ...]:
        """The choices node by node: of the normal cell, then of the reduction cell.

        ``edges[i]`` is the choice of the edge from input i. Of all edges of a group, those two are
        kept that the option of ``inputs`` names.
        """
        return tuple(_group(kind, node) for kind in _KINDS for node in NODES)

    def decode(self, x: npt.ArrayLike) -> str:
        """Return the genotype of one architecture, in the form of the paper's code."""
        row = self.one(x)
        chosen = {
            choice.name: choice.options[value]
            for choice, value in zip(self.choices, row, strict=True)
        }
        nodes = []
        for group in self.edge_groups:
            sources = map(int, chosen[group.inputs].split("+"))
            nodes.append(tuple((chosen[group.edges[source]], source) for source in sources))
        return str(Genotype(tuple(nodes[: len(NODES)]), tuple(nodes[len(NODES) :])))

    def encode(self, text: str) -> IntArray:
        """Return the architecture (choices,) of a genotype; the order of two edges is no matter.

        Raises:
            UsageError: see :meth:`latbench.spaces.genotype.Genotype.parse`.
        """
        genotype = Genotype.parse(text)
        options = {choice.name: choice.options[0] for choice in self.choices}
        nodes = (*genotype.normal, *genotype.reduce)
        for group, edges in zip(self.edge_groups, nodes, strict=True):
            options[group.inputs] = _pair(*(source for _, source in edges))
            options |= {group.edges[source]: operation for operation, source in edges}
        return self._from_options(options)


class _Source(NamedTuple):
    """What a cell takes: the name of a node, and its channels."""

    name: str
    channels: int


def _group(kind: str, node: int) -> EdgeGroup:
    edges = tuple(f"{kind}.edge{source}to{node}" for source in range(node))
    return EdgeGroup(f"{kind}.node{node}.inputs", edges)


def _pair(one: int, other: int) -> str:
    return f"{one}+{other}"


def _choices(kind: str) -> list[Choice]:
    choices = []
    for node in NODES:
        inputs, edges = _group(kind, node)
        pairs = list(combinations(range(node), 2))
        choices.append(Choice(inputs, tuple(_pair(*pair) for pair in pairs)))
        for source, edge in enumerate(edges):
            taken = tuple(_pair(*pair) for pair in pairs if source in pair)
            choices.append(Choice(edge, KEPT, active=(inputs, taken)))
    return choices


def _inputs(
    name: str, older: _Source, last: _Source, width: int, after_reduction: bool
) -> list[Node]:
    """Return the two places that bring what a cell takes to its width, and to one size."""
    first: Operation = ReluConvBN(older.channels, width, 1)
    if after_reduction:
        first = FactorizedReduction(older.channels, width)
    return [
        Node(f"{name}.input0", (Candidate(first, (older.name,)),)),
        Node(f"{name}.input1", (Candidate(ReluConvBN(last.channels, width, 1), (last.name,)),)),
    ]


def _body(name: str, kind: str, width: int, columns: dict[str, int]) -> list[Node]:
    """Return the edges and nodes of a cell, and its output."""
    nodes = []
    states = [f"{name}.input0", f"{name}.input1"]
    for node in NODES:
        inputs, choices = _group(kind, node)
        edges = [f"{name}.edge{source}to{node}" for source in range(node)]
        for source, (edge, choice) in enumerate(zip(edges, choices, strict=True)):
            # The nodes of a reduction cell have its small size already.
            operations = _operations(width, stride=2 if kind == "reduce" and source < 2 else 1)
            candidates = tuple(Candidate(operations[option], (states[source],)) for option in KEPT)
            nodes.append(Node(edge, candidates, columns[choice]))
        sums = tuple(Candidate(Sum(), pair) for pair in combinations(edges, 2))
        states.append(f"{name}.node{node}")
        nodes.append(Node(states[-1], sums, columns[inputs]))
    nodes.append(Node(f"{name}.output", (Candidate(Concat(), tuple(states[2:])),)))
    return nodes


def _operations(width: int, stride: int) -> dict[str, Operation]:
    def twice(kernel: int) -> Operation:
        return Chain((SeparableConv(width, kernel, stride), SeparableConv(width, kernel)))

    return {
        "max_pool_3x3": Pool("max", stride),
        "avg_pool_3x3": Pool("avg", stride),
        "skip_connect": Identity() if stride == 1 else FactorizedReduction(width, width),
        "sep_conv_3x3": twice(3),
        "sep_conv_5x5": twice(5),
        "dil_conv_3x3": SeparableConv(width, 3, stride, dilation=2),
        "dil_conv_5x5": SeparableConv(width, 5, stride, dilation=2),
    }
