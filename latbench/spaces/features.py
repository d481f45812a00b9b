"""What the graph of an architecture holds, as columns of numbers for a regression.

Counts, costs and paths are those of the pruned network, as compilers that drop what has no effect
see it. Some compilers drop only a part of it, operations whose value nobody reads for example, and
keep those that nothing feeds. So where a space prunes, further columns tell of each option what
feeds it and what reads it. And compilers compute some things once that stand in a network more than
once (:mod:`latbench.spaces.sharing`), and several in one kernel (:mod:`latbench.spaces.fusion`).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from latbench.spaces.blocks import NOTHING
from latbench.spaces.fusion import KERNELS, kernels
from latbench.spaces.graph import INPUT
from latbench.spaces.sharing import shared
from latbench.spaces.values import named

if TYPE_CHECKING:
    from latbench.spaces.architectures import FloatArray
    from latbench.spaces.graph import BoolArray, IntArray
    from latbench.spaces.space import SearchSpace

_ENUMERABLE = 50_000
REACH = ("fed", "read", "live", "end")
"""Kinds of columns that tell of each option what feeds it and what reads it."""

_COSTS = ("blocks", "macs", "params", "values moved")


class GraphFeatures:
    """Features of the architectures of one space; call it with canonical ones (n, choices).

    =====================  =======================================================================
    columns                of the pruned network
    =====================  =======================================================================
    one a block            how often it runs (:meth:`SearchSpace.path`)
    ``total ...``          blocks, multiply-accumulates, parameters and values moved
    ``longest ...``        the same along the heaviest path from input to output, each cost for
                           itself; left out for chains, where it is the total
    ``again`` ``beside``   one a block: how often it computes what others do, and how often it
                           begins as others do (:func:`latbench.spaces.sharing.shared`); left out
                           for chains, where none does
    ``kernels ...``        what a compiler makes of it (:data:`latbench.spaces.fusion.KERNELS`);
                           left out for chains
    ``fed`` ``read``       one an option: the share of its places where it was chosen and a value
    ``live`` ``end``       reaches it, the output would read it, both, or it is a dead end;
                           then their sums over the choices with an option of that name. Left out
                           where nothing is pruned
    =====================  =======================================================================

    Attributes:
        names: of the columns.
        counts: the columns of blocks.
        costs: the columns ``total`` and ``longest``, whose sizes differ by orders of magnitude.
        shared: the columns ``again`` and ``beside``; empty for chains.
        kernels: the columns of kernels; empty for chains.
        reach: the columns ``fed``, ``read``, ``live`` and ``end``; empty where nothing is pruned.
    """

    names: tuple[str, ...]
    counts: slice
    costs: slice
    shared: slice
    kernels: slice
    reach: slice

    def __init__(self, space: SearchSpace) -> None:
        """Lay out the columns for ``space``."""
        self._space = space
        self._graph = space.graph
        blocks = space.blocks
        self._costs = np.array(
            [[1.0, block.macs, block.params, block.moved] for block in blocks]
        ).reshape(len(blocks), len(_COSTS))
        names = [block.key for block in blocks] + [f"total {cost}" for cost in _COSTS]
        if not self._is_chain:
            names += [f"longest {cost}" for cost in _COSTS]
        self.counts = slice(0, len(blocks))
        self.costs = slice(len(blocks), len(names))
        if not self._is_chain:
            names += [f"{kind} {block.key}" for kind in ("again", "beside") for block in blocks]
        self.shared = slice(self.costs.stop, len(names))
        if not self._is_chain:
            names += [f"kernels {kernel}" for kernel in KERNELS]
        self.kernels = slice(self.shared.stop, len(names))
        self.reach = slice(len(names), None)
        if self._graph.prunes:
            options = [
                f"{choice.name}={option}" for choice in space.choices for option in choice.options
            ]
            for reach in REACH:
                names += [f"{reach} {option}" for option in (*options, *self._options)]
        self.names = tuple(names)

    def __call__(self, X: IntArray) -> FloatArray:
        """Return the features (n, len(names)) of canonical architectures ``X`` (n, choices)."""
        if self._space.additive and self._is_chain:
            fixed, options = self._addends
            return fixed + self._space.one_hot(X) @ options
        if self._space.size > _ENUMERABLE:
            return self._computed(X)
        found: FloatArray = self._every[np.ravel_multi_index(tuple(X.T), self._space.sizes)]
        return found

    @cached_property
    def _is_chain(self) -> bool:
        before = (INPUT, *(node.name for node in self._graph.nodes))
        return all(
            candidate.inputs == (previous,)
            for previous, node in zip(before, self._graph.nodes, strict=False)
            for candidate in node.candidates
        )

    @cached_property
    def _options(self) -> tuple[str, ...]:
        """The names of options, each once."""
        return tuple(
            dict.fromkeys(option for choice in self._space.choices for option in choice.options)
        )

    @cached_property
    def _addends(self) -> tuple[FloatArray, FloatArray]:
        """What every architecture has (columns,), and each option adds (options, columns)."""
        base, options = self._space.option_counts()
        counts = np.vstack([base, *(part.toarray() for part in options)])
        table = np.hstack([counts, counts @ self._costs])
        return table[0], table[1:]

    @cached_property
    def _every(self) -> FloatArray:
        """Walking the graph takes long for one architecture; a small space is walked once."""
        sizes = self._space.sizes
        every = np.indices(sizes).reshape(len(sizes), -1).T
        return self._computed(self._space.check(every))

    def _computed(self, X: IntArray) -> FloatArray:
        placed = self._space.placed(X)
        counts = self._by_block(placed, (placed != NOTHING).astype(np.float64))
        parts = [counts, counts @ self._costs]
        live, alive = self._graph.live(X)
        if not self._is_chain:
            parts.append(self._longest(X, placed, live))
            values = named(self._graph, X, placed, alive)
            saved = shared(self._graph, X, placed, alive, values)
            parts += [self._by_block(placed, one) for one in saved]
            parts.append(kernels(self._graph, X, live, alive, values))
        if self._graph.prunes:
            fed = np.stack([alive[node.name] for node in self._graph.nodes], axis=1)
            kinds = (fed, self._graph.read(X), live, self._graph.dead_ends(X))
            parts += [self._reach(X, kind) for kind in kinds]
        return np.hstack(parts)

    def _by_block(self, placed: IntArray, parts: FloatArray) -> FloatArray:
        """Return the sum of ``parts`` (n, nodes) over where each block stands, (n, blocks)."""
        sums = np.zeros((len(placed), len(self._costs)))
        for blocks, part in zip(placed.T, parts.T, strict=True):
            counted = part > 0
            sums[counted, blocks[counted]] += part[counted]
        return sums

    def _longest(self, X: IntArray, placed: IntArray, live: BoolArray) -> FloatArray:
        """Return the most of each cost along one path to the output, (n, costs)."""
        nothing = np.zeros((len(X), len(_COSTS)))
        so_far = {INPUT: nothing}
        # The last row is what NOTHING, which is -1, finds.
        costs = np.vstack([self._costs, np.zeros(len(_COSTS))])
        for position, node in enumerate(self._graph.nodes):
            most = nothing
            for chosen, candidate in self._graph.chosen(node, X):
                for name in candidate.inputs:
                    most = np.where(chosen[:, None], np.maximum(most, so_far[name]), most)
            so_far[node.name] = (most + costs[placed[:, position]]) * live[:, position, None]
        return so_far[self._graph.output]

    def _reach(self, X: IntArray, holds: BoolArray) -> FloatArray:
        """Return one-hots by the share of a choice's places where ``holds`` (n, nodes), and sums.

        Shape (n, sum of options + different names of options).
        """
        space = self._space
        share = np.zeros((len(X), len(space.choices)))
        for choice in range(len(space.choices)):
            places = [p for p, node in enumerate(self._graph.nodes) if node.choice == choice]
            share[:, choice] = holds[:, places].mean(axis=1)
        one_hot = space.one_hot(X) * np.repeat(share, space.sizes, axis=1)
        same = [
            [option == name for name in self._options]
            for choice in space.choices
            for option in choice.options
        ]
        return np.hstack([one_hot, one_hot @ np.array(same, dtype=np.float64)])
