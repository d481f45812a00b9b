"""A searcher: change one choice of the best network so far, again and again."""

from __future__ import annotations

import numpy as np
from latbench.discrete_searcher import DiscreteSearcher
from latbench.errors import UsageError
from latbench.spaces import IntArray
from latbench.training.neighbours import mutate
from latbench.training.task import SearchTask


class HillClimbing(DiscreteSearcher):
    """Scores ``first`` random networks, then neighbours of whichever is the best by then."""

    kind = "hill-climbing"

    def __init__(self, first: int = 10) -> None:
        """Store how many random networks to begin with."""
        self.first = first

    def _check(self, task: SearchTask) -> None:
        if not 1 <= self.first <= task.evaluations:
            raise UsageError(
                f"first is {self.first}; it must be from 1 to the {task.evaluations} evaluations"
            )

    def wanted(self) -> int:
        """Ask for the random networks together, then for one neighbour at a time."""
        return max(1, self.first - len(self.trials))

    def _propose(self, n: int) -> IntArray:
        if len(self.trials) < self.first:
            return self.task.space.sample(self.rng, n)
        best = max(self.trials, key=lambda trial: trial.score)
        return mutate(self.task.space, np.tile(best.x, (n, 1)), self.rng)
