"""What searches through Gumbel-softmax samples share: their temperatures, and the samples."""

from __future__ import annotations

import math
from abc import abstractmethod

from torch import Tensor

from latbench.errors import UsageError
from latbench.hooks.relaxed import gumbel_softmax
from latbench.one_shot_searcher import OneShotSearcher
from latbench.training.task import SearchTask


class Annealed(OneShotSearcher):
    """A searcher whose samples go from ``hot`` at the first step to ``cold`` at the last."""

    def __init__(
        self,
        rate: float,
        weight_decay: float,
        every: int,
        warmup: float,
        momentum: float,
        clip_norm: float,
        rate_left: float,
        hot: float,
        cold: float,
        finalists: int,
    ) -> None:
        """Store how the architecture learns, the temperatures, and the networks scored at last."""
        self.rate = rate
        self.weight_decay = weight_decay
        self.every = every
        self.warmup = warmup
        self.momentum = momentum
        self.clip_norm = clip_norm
        self.rate_left = rate_left
        self.hot = hot
        self.cold = cold
        self.finalists = finalists

    def _check(self, task: SearchTask) -> None:
        super()._check(task)
        if not (math.isfinite(self.hot) and 0 < self.cold <= self.hot):
            raise UsageError(
                f"the temperatures are hot={self.hot} and cold={self.cold}; they must be above "
                "zero, and cold at most hot"
            )

    @abstractmethod
    def _cooled(self, past: float) -> float:
        """Return the temperature when the share ``past`` of the steps is done, from 0 to 1."""

    @property
    def temperature(self) -> float:
        """The temperature of this step."""
        return self._cooled(self.state.step / max(1, self.state.total - 1))

    def _sample(self) -> list[Tensor]:
        """Return a relaxed one-hot sample of each choice, (options,), with gradient."""
        return [
            gumbel_softmax(given, self.state.uniform(len(given)), self.temperature)
            for given in self.state.alpha.log_chances()
        ]
