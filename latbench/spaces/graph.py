"""The static graph of a space: which operation may stand where, and what a choice leaves alive.

Pruning happens here and only here. A node is *alive* if a value reaches it, and *live* if, besides,
the output needs that value; compiling, timing, summing and predicting all look at live nodes.
This is the Zero/Join rule of NNablaNAS: what only feeds a Zero, or an input that a join did not
select, is neither built nor charged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latbench.spaces.operation import Operation, Shape

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

INPUT = "input"
"""The name of the graph's only input, an image."""


@dataclass(frozen=True)
class Candidate:
    """One operation and the names of the nodes that feed it."""

    operation: Operation
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Node:
    """A place: its candidates, and the choice (a column of X) that picks one; None if fixed."""

    name: str
    candidates: tuple[Candidate, ...]
    choice: int | None = None


@dataclass(frozen=True)
class Step:
    """One operation that must run: what it is, and the steps (or the input) whose values it takes.

    ``inputs`` holds names of earlier steps or :data:`INPUT`; ``None`` stands for zeros of
    the shape in ``input_shapes``, where nothing alive reaches the output.
    """

    node: int
    option: int
    name: str
    operation: Operation
    inputs: tuple[str | None, ...]
    input_shapes: tuple[Shape, ...]


class StaticGraph:
    """Nodes in an order in which every node follows its inputs; the last one is the output."""

    def __init__(self, nodes: Sequence[Node], input_shape: Shape) -> None:
        """Lay out ``nodes`` and infer the shape of each.

        Raises:
            ValueError: an input is not defined before it is used, the candidates of a node differ
                in shape, a fixed node has several candidates, or the output computes nothing.
        """
        self.nodes = tuple(nodes)
        self.input_shape = input_shape
        self.shapes: dict[str, Shape] = {INPUT: input_shape}
        for node in self.nodes:
            self.shapes[node.name] = self._shape(node)
        self.output = self.nodes[-1].name
        for candidate in self.nodes[-1].candidates:
            operation = candidate.operation
            if operation.is_zero or operation.passes_through or operation.joins:
                raise ValueError(
                    f"the output {self.output!r} has the candidate {operation.key!r}, which may "
                    "compute nothing; put an operation such as a classifier behind it"
                )
        self.prunes = self._leaves_some_unread() or any(map(self._may_prune, self.nodes))

    def _shape(self, node: Node) -> Shape:
        if node.name in self.shapes:
            raise ValueError(f"two nodes are called {node.name!r}")
        if node.choice is None and len(node.candidates) != 1:
            raise ValueError(f"{node.name} has no choice but {len(node.candidates)} candidates")
        shapes = set()
        for candidate in node.candidates:
            missing = [name for name in candidate.inputs if name not in self.shapes]
            if missing:
                raise ValueError(f"{node.name} takes {missing[0]!r}, which does not come before it")
            shapes.add(candidate.operation.output_shape(self.input_shapes(candidate)))
        if len(shapes) != 1:
            raise ValueError(f"the candidates of {node.name} differ in shape: {sorted(shapes)}")
        return shapes.pop()

    def _leaves_some_unread(self) -> bool:
        read = {
            name
            for node in self.nodes
            for candidate in node.candidates
            for name in candidate.inputs
        }
        return any(node.name not in read for node in self.nodes[:-1])

    @staticmethod
    def _may_prune(node: Node) -> bool:
        zero = any(candidate.operation.is_zero for candidate in node.candidates)
        return zero or len({candidate.inputs for candidate in node.candidates}) > 1

    def input_shapes(self, candidate: Candidate) -> tuple[Shape, ...]:
        """Return the shapes of what feeds ``candidate``."""
        return tuple(self.shapes[name] for name in candidate.inputs)

    def live(self, X: IntArray) -> tuple[BoolArray, dict[str, BoolArray]]:
        """Return which nodes must run, (n, nodes), and by name where a value exists, (n,) each.

        Args:
            X: architectures, (n, choices).
        """
        n = len(X)
        alive: dict[str, BoolArray] = {INPUT: np.ones(n, dtype=np.bool_)}
        for node in self.nodes:
            reached = np.zeros(n, dtype=np.bool_)
            for chosen, candidate in self.chosen(node, X):
                reached |= chosen & self._reached(candidate, alive, n)
            alive[node.name] = reached
        live = np.zeros((n, len(self.nodes)), dtype=np.bool_)
        needed = {name: np.zeros(n, dtype=np.bool_) for name in alive}
        needed[self.output] = np.ones(n, dtype=np.bool_)
        for position in range(len(self.nodes) - 1, -1, -1):
            node = self.nodes[position]
            runs = needed[node.name].copy()
            if node.name != self.output:  # the output runs in any case, on zeros if it must
                runs &= alive[node.name]
            live[:, position] = runs
            for chosen, candidate in self.chosen(node, X):
                for name in candidate.inputs:
                    needed[name] |= chosen & runs
        return live, alive

    def chosen(self, node: Node, X: IntArray) -> list[tuple[BoolArray, Candidate]]:
        """Return each candidate of ``node`` that ``X`` (n, choices) chooses, with where, (n,)."""
        if node.choice is None:
            return [(np.ones(len(X), dtype=np.bool_), node.candidates[0])]
        column = X[:, node.choice]
        # What none chooses costs most of the time where there are few architectures.
        return [
            (column == option, node.candidates[option])
            for option in np.flatnonzero(np.bincount(column)).tolist()
        ]

    def read(self, X: IntArray) -> BoolArray:
        """Return which nodes the output would read, fed by anything or not, (n, nodes).

        A node that holds no operation has nothing to be read.

        Args:
            X: architectures, (n, choices).
        """
        n = len(X)
        wanted = {name: np.zeros(n, dtype=np.bool_) for name in self.shapes}
        wanted[self.output] = np.ones(n, dtype=np.bool_)
        for node in reversed(self.nodes):
            for chosen, candidate in self.chosen(node, X):
                if candidate.operation.is_zero:
                    wanted[node.name] &= ~chosen
                for name in candidate.inputs:
                    wanted[name] |= chosen & wanted[node.name]
        return np.stack([wanted[node.name] for node in self.nodes], axis=1)

    def dead_ends(self, X: IntArray) -> BoolArray:
        """Return which nodes hold an operation whose value comes to nothing, unjoined, (n, nodes).

        What is joined with others is dropped together with the join that nobody reads. An operation
        that reaches no join, or is alone in it, and whose readers, if any, are dead ends as well,
        is a value at the end of a graph, which some compilers keep.

        Args:
            X: architectures, (n, choices).
        """
        n = len(X)
        holds: dict[str, BoolArray] = {INPUT: np.ones(n, dtype=np.bool_)}
        for node in self.nodes:
            found = np.zeros(n, dtype=np.bool_)
            for chosen, candidate in self.chosen(node, X):
                found |= chosen & self._holds(candidate, holds, n)
            holds[node.name] = found
        unjoined = {name: np.ones(n, dtype=np.bool_) for name in self.shapes}
        ends: BoolArray = np.stack([holds[node.name] for node in self.nodes], axis=1)
        ends &= ~self.read(X)
        for position in range(len(self.nodes) - 1, -1, -1):
            node = self.nodes[position]
            ends[:, position] &= unjoined[node.name]
            for chosen, candidate in self.chosen(node, X):
                alone = ends[:, position]
                if candidate.operation.joins:
                    alone = alone & (
                        np.sum([holds[name] for name in candidate.inputs], axis=0) == 1
                    )
                for name in candidate.inputs:
                    unjoined[name] &= ~(chosen & holds[node.name]) | alone
        return ends

    @staticmethod
    def _holds(candidate: Candidate, holds: dict[str, BoolArray], n: int) -> BoolArray:
        """Return where ``candidate`` is an operation, fed or not; a connection is what it takes."""
        operation = candidate.operation
        if operation.is_zero:
            return np.zeros(n, dtype=np.bool_)
        if not (operation.joins or operation.passes_through):
            return np.ones(n, dtype=np.bool_)
        found: BoolArray = np.logical_or.reduce([holds[name] for name in candidate.inputs], axis=0)
        return found

    @staticmethod
    def _reached(candidate: Candidate, alive: dict[str, BoolArray], n: int) -> BoolArray:
        if candidate.operation.is_zero:
            return np.zeros(n, dtype=np.bool_)
        inputs = [alive[name] for name in candidate.inputs]
        combine = np.logical_or if candidate.operation.joins else np.logical_and
        reached: BoolArray = combine.reduce(inputs, axis=0)
        return reached

    def plan(self, x: IntArray) -> list[Step]:
        """Return the steps that the architecture ``x`` (choices,) runs, in order.

        Identities, and sums of one live input, leave no step: their readers take their source.
        """
        live, alive = self.live(x[np.newaxis])
        source: dict[str, str] = {INPUT: INPUT}
        steps = []
        for position, node in enumerate(self.nodes):
            if not live[0, position]:
                continue
            option = 0 if node.choice is None else int(x[node.choice])
            candidate = node.candidates[option]
            present = [name for name in candidate.inputs if alive[name][0]]
            operation = candidate.operation
            if operation.passes_through or (operation.joins and len(present) == 1):
                source[node.name] = source[present[0]]
                continue
            source[node.name] = node.name
            fed = present if operation.joins else candidate.inputs
            names = tuple(source[name] if alive[name][0] else None for name in fed)
            shapes = tuple(self.shapes[name] for name in fed)
            steps.append(Step(position, option, node.name, operation, names, shapes))
        return steps
