"""DARTS's architecture parameters of a cell: one softmax an edge, over its operations and none."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from latbench.spaces.space import SearchSpace
from latbench.training.alpha import Alpha


class EdgeAlpha(Alpha):
    """Logits over ``none`` and the operations of each edge, of which two a node are exported.

    A mixed forward runs all edges, each with the weights of its operations (Liu et al., arXiv
    1806.09055, eq. 2). The chances are those under the export rule, which keeps the two edges of a
    node with the strongest operation other than ``none``, and that operation: an operation's is its
    weight among those other than ``none``, and a pair of edges has the product of its two largest
    weights, over the sum of all pairs'. Where each edge has settled on an operation or on ``none``,
    and two a node are left, both are certain: the expected latency is that of the exported cell,
    not of all its edges.
    """

    def __init__(self, space: SearchSpace, rng: np.random.Generator, deviation: float) -> None:
        """Begin with normal logits of this standard deviation."""
        nn.Module.__init__(self)
        self.space = space
        choices = {choice.name: choice for choice in space.choices}
        self._pairs = {
            pair: [tuple(map(int, option.split("+"))) for option in choices[pair].options]
            for pair, _ in space.edge_groups
        }
        self.logits = nn.ParameterList(
            torch.from_numpy(
                rng.normal(0.0, deviation, (len(edges), 1 + len(choices[edges[0]].options)))
            ).float()
            for _, edges in space.edge_groups
        )

    def log_chances(self) -> list[Tensor]:
        """See :class:`~latbench.training.alpha.Alpha`."""
        found: dict[str, Tensor] = {}
        for (pair, edges), logits in zip(self.space.edge_groups, self.logits, strict=True):
            strengths = logits.log_softmax(-1)[:, 1:].max(-1).values
            products = torch.stack([strengths[a] + strengths[b] for a, b in self._pairs[pair]])
            found[pair] = products.log_softmax(-1)
            found.update(zip(edges, logits[:, 1:].log_softmax(-1), strict=True))
        return [found[choice.name] for choice in self.space.choices]

    def probabilities(self) -> list[Tensor]:
        """See :class:`~latbench.training.alpha.Alpha`."""
        return [given.exp() for given in self.log_chances()]

    def mixing(self) -> list[Tensor]:
        """See :class:`~latbench.training.alpha.Alpha`; no distributions: every edge runs."""
        found: dict[str, Tensor] = {}
        for (pair, edges), logits in zip(self.space.edge_groups, self.logits, strict=True):
            # Each edge stands in as many pairs as there are other edges.
            found[pair] = logits.new_full((len(self._pairs[pair]),), 1 / (len(edges) - 1))
            found.update(zip(edges, logits.softmax(-1)[:, 1:], strict=True))
        return [found[choice.name] for choice in self.space.choices]


def alpha_of(space: SearchSpace, rng: np.random.Generator, deviation: float) -> Alpha:
    """Return the parameters of edges where ``space`` has them, and else those of choices."""
    if space.edge_groups:
        return EdgeAlpha(space, rng, deviation)
    return Alpha(space, rng, deviation)
