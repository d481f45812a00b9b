"""The blocks of a space, and how often each stands in an architecture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latbench.spaces.graph import Candidate, IntArray, Node, StaticGraph
from latbench.spaces.operation import Operation, Shape


@dataclass(frozen=True)
class Block:
    """One operation on inputs of given shapes (without the batch): what is compiled and timed."""

    operation: Operation
    input_shapes: tuple[Shape, ...]

    @property
    def key(self) -> str:
        """The readable name by which tables know the block, unique in its space."""
        shapes = ",".join("x".join(map(str, shape)) for shape in self.input_shapes)
        return f"{self.operation.key}@{shapes}"

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return self.operation.macs(self.input_shapes)

    @property
    def params(self) -> int:
        """Trainable parameters."""
        return self.operation.params()

    @property
    def moved(self) -> int:
        """Values read and written for one image."""
        return self.operation.moved(self.input_shapes)


NOTHING = -1
"""Stands in a table of block numbers where an option needs no block."""


class BlockTable:
    """Every distinct block of a graph, numbered in order of first appearance."""

    def __init__(self, graph: StaticGraph) -> None:
        """Collect the blocks of all candidates of all nodes of ``graph``."""
        self._graph = graph
        numbers: dict[str, int] = {}
        blocks: list[Block] = []

        def number(operation: Operation, shapes: tuple[Shape, ...]) -> int:
            block = Block(operation, shapes)
            if block.key not in numbers:
                numbers[block.key] = len(blocks)
                blocks.append(block)
            return numbers[block.key]

        def options(candidate: Candidate) -> list[int]:
            operation, shapes = candidate.operation, graph.input_shapes(candidate)
            if operation.is_zero or operation.passes_through:
                return [NOTHING]
            if not operation.joins:
                return [number(operation, shapes)]
            # By the count of live inputs: none and one need no block.
            counts = range(2, len(shapes) + 1)
            return [NOTHING, NOTHING, *(number(operation, shapes[:count]) for count in counts)]

        self._numbers = [
            [options(candidate) for candidate in node.candidates] for node in graph.nodes
        ]
        self.blocks = tuple(blocks)

    @property
    def additive(self) -> bool:
        """Whether every option costs the same wherever the other choices lead."""
        return not self._graph.prunes

    def placed(self, X: IntArray) -> IntArray:
        """Return the number of the block that runs at each node, (n, nodes), or NOTHING."""
        return self._columns_of_a_chain(X) if self.additive else self._columns_after_pruning(X)

    def path(self, X: IntArray) -> Any:
        """Return how often each block runs: a CSR matrix of float64, (n, blocks)."""
        columns = self.placed(X)
        present = columns != NOTHING
        starts = np.concatenate([[0], np.cumsum(present.sum(axis=1))])
        indices = columns[present]
        # A worker process, which pays for every import, builds no table.
        from scipy import sparse

        matrix = sparse.csr_matrix(
            (np.ones(len(indices)), indices, starts), shape=(len(X), len(self.blocks))
        )
        matrix.sum_duplicates()
        return matrix

    def _columns_of_a_chain(self, X: IntArray) -> IntArray:
        columns = np.empty((len(X), len(self._graph.nodes)), dtype=np.int64)
        for position, node in enumerate(self._graph.nodes):
            numbers = self._numbers_when_all_live(position, node)
            columns[:, position] = numbers[0] if node.choice is None else numbers[X[:, node.choice]]
        return columns

    def _numbers_when_all_live(self, position: int, node: Node) -> IntArray:
        return np.array(
            [
                numbers[len(candidate.inputs) if candidate.operation.joins else 0]
                for numbers, candidate in zip(self._numbers[position], node.candidates, strict=True)
            ]
        )

    def _columns_after_pruning(self, X: IntArray) -> IntArray:
        live, alive = self._graph.live(X)
        columns = np.full((len(X), len(self._graph.nodes)), NOTHING, dtype=np.int64)
        for position, node in enumerate(self._graph.nodes):
            for option, candidate in enumerate(node.candidates):
                runs = live[:, position]
                if node.choice is not None:
                    runs = runs & (X[:, node.choice] == option)
                numbers = np.array(self._numbers[position][option])
                if candidate.operation.joins:
                    count = np.sum([alive[name] for name in candidate.inputs], axis=0)
                    columns[runs, position] = numbers[count[runs]]
                else:
                    columns[runs, position] = numbers[0]
        return columns

    def option_counts(self, sizes: tuple[int, ...]) -> tuple[Any, tuple[Any, ...]]:
        """Return what every architecture runs, and what each option of each choice adds.

        Args:
            sizes: number of options of each choice.

        Returns:
            ``base`` (blocks,) and for each choice a CSR matrix (options, blocks) of counts, such
            that ``path(X)[i] = base + sum_c per_choice[c][X[i, c]]``.

        Raises:
            ValueError: the graph prunes, so no such parts exist.
        """
        if not self.additive:
            raise ValueError("what an option costs here depends on other choices; use path(X)")
        base = np.zeros(len(self.blocks))
        parts = [np.zeros((size, len(self.blocks))) for size in sizes]
        for position, node in enumerate(self._graph.nodes):
            numbers = self._numbers_when_all_live(position, node)
            for option, block in enumerate(numbers):
                if block == NOTHING:
                    continue
                if node.choice is None:
                    base[block] += 1
                else:
                    parts[node.choice][option, block] += 1
        from scipy import sparse

        return base, tuple(sparse.csr_matrix(part) for part in parts)
