"""The contract of a search space: its architectures, their blocks and networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from latbench.spaces.architectures import Architectures, Choice, FloatArray
from latbench.spaces.blocks import Block, BlockTable
from latbench.spaces.features import GraphFeatures
from latbench.spaces.graph import IntArray, Node, StaticGraph
from latbench.spaces.operation import Shape

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from latbench.spaces.exporting import Exporter
    from latbench.spaces.network import Supernet
    from latbench.spaces.workload import Workload

_ENUMERABLE = 50_000


class SearchSpace(Architectures):
    """A set of architectures over one static graph.

    A subclass builds ``choices`` and the nodes of the graph in its constructor and hands them to
    this one together with its options, resolved to plain JSON values; those options, given again,
    build an equal space.

    Attributes:
        graph: what may run where.
        has_networks: whether there is a graph, from which blocks and networks follow; the space of
            a table has none.
    """

    has_networks: ClassVar[bool] = True

    def __init__(
        self,
        options: Mapping[str, Any],
        choices: Sequence[Choice],
        nodes: Sequence[Node],
        input_shape: Shape,
    ) -> None:
        """Keep the parts; see the class.

        Raises:
            ValueError: the nodes make no graph, or one has other candidates than its choice has
                options.
        """
        super().__init__(options, choices)
        self._graph = StaticGraph(nodes, input_shape)
        for node in nodes:
            if node.choice is not None and len(node.candidates) != self.sizes[node.choice]:
                raise ValueError(
                    f"{node.name} has {len(node.candidates)} candidates for "
                    f"{self.choices[node.choice]}"
                )
        self._exporters: dict[int, Exporter] = {}

    @property
    def graph(self) -> StaticGraph:
        """What may run where."""
        return self._graph

    @property
    def input_shape(self) -> Shape:
        """``(channels, height, width)`` of the images that the latency is for."""
        return self.graph.input_shape

    @property
    def classes(self) -> int:
        """The number of logits."""
        return self.graph.shapes[self.graph.output][0]

    @property
    def edge_groups(self) -> Sequence[tuple[str, tuple[str, ...]]]:
        """Of cells that keep two edges a node: the choice of the pair, and those of all its edges.

        One entry a node. The options of the pair are such as ``0+2``, the places of two edges among
        the others. Empty where a space has no such cells.
        """
        return ()

    # Blocks

    @cached_property
    def _table(self) -> BlockTable:
        return BlockTable(self.graph)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Every distinct block, with stem, head and joins."""
        return self._table.blocks

    @property
    def additive(self) -> bool:
        """Whether an architecture's blocks are a sum over its choices (chains), or not (cells)."""
        return self._table.additive

    def path(self, X: npt.ArrayLike) -> Any:
        """Return how often each block runs after pruning: CSR matrix (n, blocks) of float64."""
        checked = self.check(X)
        if self.additive or self.size > _ENUMERABLE:
            return self._table.path(checked)
        return self._every_path[np.ravel_multi_index(tuple(checked.T), self.sizes)]

    @cached_property
    def _every_path(self) -> Any:
        """Pruning takes milliseconds an architecture; in a small space it is done once for all."""
        every = np.indices(self.sizes).reshape(len(self.sizes), -1).T
        return self._table.path(self._canonicalised(every))

    def placed(self, X: npt.ArrayLike) -> IntArray:
        """Return the number of the block that runs at each node of the graph, (n, nodes).

        Where nothing runs it is -1.
        """
        return self._table.placed(self.check(X))

    def option_counts(self) -> tuple[FloatArray, tuple[Any, ...]]:
        """Return the counts of the fixed blocks, and of each option of each choice.

        ``path(X)[i] = base + sum_c per_choice[c][X[i, c]]``, with ``base`` (blocks,) and
        ``per_choice[c]`` a CSR matrix (options of c, blocks).

        Raises:
            ValueError: the space is not additive.
        """
        return self._table.option_counts(self.sizes)

    def macs(self, X: npt.ArrayLike) -> FloatArray:
        """Return the multiply-accumulates of each architecture for one image, (n,)."""
        counts: FloatArray = self.path(X) @ self._block_costs[0]
        return counts

    def params(self, X: npt.ArrayLike) -> FloatArray:
        """Return the trainable parameters of each architecture, (n,)."""
        counts: FloatArray = self.path(X) @ self._block_costs[1]
        return counts

    @cached_property
    def features(self) -> GraphFeatures:
        """What the graphs of canonical architectures hold, as columns for a regression."""
        return GraphFeatures(self)

    @cached_property
    def _block_costs(self) -> FloatArray:
        """Multiply-accumulates and parameters of each block, (2, blocks)."""
        return np.array(
            [[block.macs for block in self.blocks], [b.params for b in self.blocks]], float
        )

    # Networks

    def network(self, x: npt.ArrayLike, seed: int = 0) -> nn.Module:
        """Return one architecture, pruned, as a torch module with weights drawn from ``seed``."""
        from latbench.spaces.network import ArchitectureNetwork

        return ArchitectureNetwork(self, self.one(x), seed)

    def supernet(self, classes: int | None = None, seed: int = 0) -> Supernet:
        """Return the network that holds every candidate.

        Args:
            classes: number of logits, if another than the space's.
            seed: of the weights.
        """
        from latbench.spaces.network import Supernet

        if classes is None or classes == self.classes:
            return Supernet(self, seed)
        return Supernet(type(self)(**{**self.options, "classes": classes}), seed)

    def block_workload(self, block: Block, batch: int = 1) -> Workload:
        """Return one block alone as something to compile and time."""
        return self._exporter(batch).block(block)

    def network_workload(self, x: npt.ArrayLike, batch: int = 1) -> Workload:
        """Return one whole architecture as something to compile and time."""
        return self._exporter(batch).network(self.one(x))

    def _exporter(self, batch: int) -> Exporter:
        from latbench.spaces.exporting import Exporter

        if batch not in self._exporters:
            self._exporters[batch] = Exporter(self, batch)
        return self._exporters[batch]

    def to_onnx(self, x: npt.ArrayLike, batch: int = 1) -> onnx.ModelProto:
        """Return one architecture as a complete ONNX model, its weights drawn from a fixed seed."""
        from latbench.spaces.weights import with_weights

        return with_weights(self.network_workload(x, batch).model)
