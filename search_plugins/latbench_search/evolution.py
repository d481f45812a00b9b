"""Regularised evolution (Real et al., arXiv 1802.01548, algorithm 1) within a latency limit."""

from __future__ import annotations

import numpy as np

from latbench.discrete_searcher import DiscreteSearcher, Trial
from latbench.errors import UsageError
from latbench.spaces.graph import IntArray
from latbench.spaces.options import whole
from latbench.training.neighbours import mutate
from latbench.training.task import SearchTask


class Evolution(DiscreteSearcher):
    """Mutates the best of a random few, and lets the oldest die, however good it is.

    The population is the last ``population`` scored architectures. It begins with random ones;
    then each child comes from the best of ``tournament`` members, drawn without replacement, by
    exactly one mutation that changes the network. Children over the limit or known are drawn
    anew. :meth:`run` scores one child at a time; ``ask(n)`` breeds ``n`` from one population.
    """

    kind = "evolution"

    def __init__(self, population: int = 50, tournament: int = 12) -> None:
        """Store the sizes of the population and of a tournament.

        The paper has 100 and 25 for 20,000 evaluations; the defaults suit some hundreds.
        """
        self.population = population
        self.tournament = tournament

    def _check(self, task: SearchTask) -> None:
        whole("population", self.population, 2, 10**6)
        whole("tournament", self.tournament, 1, 10**6)
        if self.tournament > self.population:
            raise UsageError(
                f"tournament is {self.tournament}; it must be from 1 to the population, "
                f"{self.population}"
            )
        if task.evaluations <= self.population:
            raise UsageError(
                f"{task.evaluations} evaluations do not go beyond the first population of "
                f"{self.population}, which is random; allow more evaluations, or set a smaller "
                "population"
            )

    @property
    def members(self) -> list[Trial]:
        """The population, the oldest first."""
        return self.trials[-self.population :]

    def wanted(self) -> int:
        """See :class:`~latbench.discrete_searcher.DiscreteSearcher`."""
        return max(1, self.population - len(self.trials))

    def _propose(self, n: int) -> IntArray:
        if len(self.candidates.given) < self.population or not self.trials:
            return self.task.space.sample(self.rng, n)
        return mutate(self.task.space, self._parents(n), self.rng)

    def _parents(self, n: int) -> IntArray:
        """Return the winners of ``n`` tournaments, (n, choices)."""
        members = self.members
        scores = np.array([member.score for member in members])
        keys = self.rng.random((n, len(members)))
        size = min(self.tournament, len(members))
        last_in = np.partition(keys, size - 1, axis=1)[:, size - 1 : size]
        playing = np.where(keys <= last_in, scores, -np.inf)
        best = playing == playing.max(axis=1, keepdims=True)
        # Of equal scores one at random, or the oldest would always win.
        winners = np.where(best, keys, -1.0).argmax(axis=1)
        return np.array([members[winner].x for winner in winners])
