"""Random search: the baseline that every other searcher has to beat."""

from __future__ import annotations

from latbench.discrete_searcher import DiscreteSearcher
from latbench.spaces.graph import IntArray
from latbench.spaces.options import whole
from latbench.training.task import SearchTask


class RandomSearch(DiscreteSearcher):
    """Scores architectures drawn uniformly among those within the limit, none twice.

    Where less than about one in fifty draws is within the limit, the missing ones are reached by
    single mutations from the fastest architecture, which is not uniform.
    """

    kind = "random"

    def __init__(self, batch: int = 64) -> None:
        """Store how many architectures are scored at a time, ``batch``."""
        self.batch = batch

    def _check(self, task: SearchTask) -> None:
        whole("batch", self.batch, 1, 10**6)

    def wanted(self) -> int:
        """See :class:`~latbench.discrete_searcher.DiscreteSearcher`."""
        return self.batch

    def _propose(self, n: int) -> IntArray:
        return self.task.space.sample(self.rng, n)
