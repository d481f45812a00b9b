"""What the ridge and the trees of :mod:`latbench_predictors.gbdt` know of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np

from latbench.prediction.inputs import FloatArray, IntArray, Space
from latbench.spaces import SearchSpace, features
from latbench.spaces.graph import BoolArray
from latbench_predictors import one_hot
from latbench_predictors.lut import LUT

# How little a ridge shrinks a column, beside the 1 of an option at its place. The name of an option
# and the costs of a network tell most of the latency. Where a space prunes, its costs are those of
# a pruned network, while many runtimes run all of it: what is pruned is a finer point there.
# Chosen by Spearman's correlation with 10 to 100 labels on HELP's columns gold_6240, titanx_1,
# titanx_256 (64 for FBNet), titan_rtx_1, 2080ti_1 and titanxp_1.
NAMES, REACH, COSTS, PRUNED_COSTS = 5.0, 0.3, 5.0, 0.5
# Chosen on this project's own tables of NAS-Bench-201, of 0, 1, 5 and 20, on three targets of one
# processor: more networks within 5 and within 10 % than with 0, a smaller mean error than above 1.
COUNTS = 1.0

_PATH = "longest macs"


@dataclass(frozen=True)
class Described:
    """Networks as columns.

    Attributes:
        options: which options are chosen where (:func:`one_hot.own`), and what they share
            (:func:`one_hot.shared`); where the space prunes, also which of them are fed and read.
            Of the order of 1, (n, options).
        costs: blocks, work, parameters and values moved, in all and along the longest path, and
            the accumulated latency, where they are known; of any size, (n, costs).
        counts: how often each block runs, (n, blocks).
        shared: how often each block computes what another does, or begins as it does; of the order
            of 1, (n, 2 blocks), or no column where none does.
        kernels: what a compiler makes of them (:mod:`latbench.spaces.fusion`), and the most work
            along one path; of any size, (n, kernels), or no column where it can fuse nothing.
        idle: of which networks nothing runs but the output, on zeros (n,).
        prunes: whether what runs depends on more than single options. Where it does not, counts are
            sums of ``options``, and of use to trees alone.
    """

    options: FloatArray
    costs: FloatArray
    counts: FloatArray
    shared: FloatArray
    kernels: FloatArray
    idle: BoolArray
    prunes: bool

    @property
    def linear(self) -> FloatArray:
        """What a linear model needs: all but counts where they are sums of options."""
        parts = [self.options, self.costs, self.shared]
        return np.hstack([*parts, self.counts] if self.prunes else parts)

    @property
    def every(self) -> FloatArray:
        """What trees take: all columns but kernels, of which isomorphic cells may differ in one."""
        return np.hstack([self.options, self.costs, self.counts, self.shared])


class WholeNetwork:
    """Describes the architectures of one space; from their graphs, where it has networks.

    Attributes:
        names: of all columns, by which a change of theirs is told.
    """

    names: tuple[str, ...]

    def __init__(self, space: Space, blocks: Mapping[str, float] | None) -> None:
        """Bind the space, and the latency of all its blocks in ms where they are known."""
        self._space = space
        self._lut = LUT(space, blocks) if blocks else None
        self._own, self._shared = one_hot.own(space), one_hot.shared(space)
        networks = isinstance(space, SearchSpace) and space.has_networks
        self._graph = cast(SearchSpace, space).features if networks else None
        names = [f"own {number}" for number in range(self._own.shape[1])]
        names += [f"shared {number}" for number in range(self._shared.shape[1])]
        self._prunes = self._graph is not None and self._graph.reach.start < len(self._graph.names)
        if self._graph is not None:
            counted = self._graph.names[self._graph.counts]
            # Another name where they have a part in the linear model, which they had not always.
            names += [f"count of {block}" if self._prunes else block for block in counted]
            names += self._graph.names[self._graph.costs] + self._graph.names[self._graph.shared]
            told = np.empty((0, len(self._graph.names[self._graph.reach])))
            names += [f"reach {number}" for number in range(self._shared_reach(told).shape[1])]
            kernels = [self._graph.names[column] for column in self._kernels]
            names += [f"{name} beside kernels" if name == _PATH else name for name in kernels]
        if self._lut is not None:
            names.append("accumulated")
        self.names = tuple(names)

    def __call__(self, X: IntArray) -> Described:
        """Return canonical architectures ``X`` (n, choices) as columns."""
        encoded = self._space.one_hot(X)
        options = [encoded @ self._own, encoded @ self._shared]
        costs = counts = shared = kernels = np.empty((len(X), 0))
        idle = np.zeros(len(X), dtype=np.bool_)
        if self._graph is not None:
            found = self._graph(X)
            options.append(self._shared_reach(found[:, self._graph.reach]))
            costs, counts = found[:, self._graph.costs], found[:, self._graph.counts]
            shared, kernels = found[:, self._graph.shared], found[:, self._kernels]
            idle = counts.sum(axis=1) <= 1
        if self._lut is not None:
            costs = np.column_stack([costs, self._lut.accumulated(X)])
        return Described(np.hstack(options), costs, counts, shared, kernels, idle, self._prunes)

    @cached_property
    def _kernels(self) -> IntArray:
        """The columns of features that are told of kernels."""
        assert self._graph is not None
        names = self._graph.names
        own = np.arange(len(names))[self._graph.kernels]
        # A kernel that reads what the last one wrote finds it in a cache, or has to wait for it.
        return np.append(own, names.index(_PATH)) if len(own) else own

    def _shared_reach(self, reach: FloatArray) -> FloatArray:
        """Return the columns of :data:`features.REACH` with those of like choices summed."""
        if not reach.shape[1]:
            return reach
        options = len(self._own)
        parts = np.split(reach, len(features.REACH), axis=1)
        return np.hstack(
            [part for one in parts for part in (one[:, :options] @ self._own, one[:, options:])]
        )

    def weights(self, found: Described) -> FloatArray:
        """Return what to multiply the columns of ``found.linear`` by for a ridge, (columns,)."""
        options, names = self._own.shape[1], self._shared.shape[1]
        reach = found.options.shape[1] - options - names
        costs = np.full(found.costs.shape[1], PRUNED_COSTS if reach else COSTS)
        if self._lut is not None:
            costs[-1] = COSTS
        weights = [np.ones(options), np.full(names, NAMES), np.full(reach, REACH)]
        weights.append(_of_one_size(costs, found.costs))
        weights.append(_of_one_size(np.full(found.shared.shape[1], COUNTS), found.shared))
        if found.prunes:
            weights.append(_of_one_size(np.full(found.counts.shape[1], COUNTS), found.counts))
        return np.concatenate(weights)


def _of_one_size(weights: FloatArray, columns: FloatArray) -> FloatArray:
    """Return ``weights`` over the spreads of ``columns``; what all networks share tells nothing."""
    spreads = columns.std(axis=0)
    sized: FloatArray = np.divide(weights, spreads, out=np.zeros_like(weights), where=spreads > 0)
    return sized
