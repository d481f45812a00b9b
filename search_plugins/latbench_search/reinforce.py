"""REINFORCE (Williams, 1992) over the choices of a space: a policy gradient for any score."""

from __future__ import annotations

import math

import numpy as np

from latbench.discrete_searcher import DiscreteSearcher
from latbench.errors import UsageError
from latbench.spaces.graph import IntArray
from latbench.spaces.options import whole
from latbench.training.task import SearchTask
from latbench_search.policy import Policy


class Reinforce(DiscreteSearcher):
    """Learns a distribution over architectures from the scores of those it drew.

    One softmax a choice, as ProxylessNAS's REINFORCE has it (arXiv 1812.00332, section 3.3.2), and
    a moving baseline that is updated after its use. The reward is the score. What is over the limit
    is drawn anew, so the latency needs no weight in it. After every ``batch`` scores the policy
    takes a step; all of it follows from the scores told, so a search that is resumed has it again.

    The step takes all that was scored for plain draws of the policy, which it is not: what was
    asked for before, or is over the limit, is drawn anew, and where too little is new, neighbours
    of what was asked for are scored instead. So the step follows the policy gradient only as long
    as next to nothing is refused.
    """

    kind = "reinforce"

    _policy: Policy
    _learned: int

    def __init__(self, batch: int = 5, rate: float = 0.2, decay: float = 0.9) -> None:
        """Store the scores of a step, the rate of learning, and how slowly the baseline moves."""
        self.batch = batch
        self.rate = rate
        self.decay = decay

    def _check(self, task: SearchTask) -> None:
        whole("batch", self.batch, 1, 10**6)
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise UsageError(f"rate is {self.rate}; it must be above zero")
        if not 0 <= self.decay < 1:
            raise UsageError(f"decay is {self.decay}; it must be at least 0 and below 1")

    def wanted(self) -> int:
        """See :class:`~latbench.discrete_searcher.DiscreteSearcher`."""
        return self.batch - len(self.trials) % self.batch

    @property
    def policy(self) -> Policy:
        """What the scores so far have taught."""
        # Whatever forgets the scores begins another list of them.
        if self.__dict__.get("_source") is not self.trials:
            self._source = self.trials
            self._policy = Policy(self.task.space.sizes)
            self._baseline = math.nan
            self._learned = 0
        while len(self.trials) - self._learned >= self.batch:
            self._learn()
        return self._policy

    def _learn(self) -> None:
        told = self.trials[self._learned : self._learned + self.batch]
        rewards = np.array([trial.score for trial in told])
        if math.isnan(self._baseline):
            self._baseline = float(rewards.mean())
        X = np.array([trial.x for trial in told])
        active = self.task.space.active(X)
        self._policy.step(self._policy.gradient(X, active, rewards - self._baseline), self.rate)
        self._baseline = self.decay * self._baseline + (1 - self.decay) * float(rewards.mean())
        self._learned += self.batch

    def _propose(self, n: int) -> IntArray:
        return self.task.space.check(self.policy.draw(self.rng, n))
