"""SNAS: Xie et al., arXiv 1812.09926."""

from __future__ import annotations

from torch import Tensor

from latbench.one_shot_searcher import OneShotSearcher
from latbench.training.task import SearchTask
from latbench_search.relaxed import check_temperatures, gumbel_softmax


class SNAS(OneShotSearcher):
    """Trains weights and chances together on the training images, through concrete samples.

    One loss, one pass back: there is no second level, so no validation images are used. The weights
    feel the task's loss alone. The temperature falls linearly from ``hot`` to ``cold``.
    """

    kind = "snas"

    def __init__(
        self,
        rate: float = 0.02,
        weight_decay: float = 1e-3,
        every: int = 1,
        warmup: float = 0.0,
        hot: float = 1.0,
        cold: float = 0.1,
        finalists: int = 10,
    ) -> None:
        """Store how the architecture learns, the temperatures, and the networks scored at last.

        The paper's rate is 3e-4 over 150 epochs; the defaults suit some hundred steps.
        """
        self.rate = rate
        self.weight_decay = weight_decay
        self.every = every
        self.warmup = warmup
        self.hot = hot
        self.cold = cold
        self.finalists = finalists

    def _check(self, task: SearchTask) -> None:
        super()._check(task)
        check_temperatures(self.hot, self.cold)

    @property
    def temperature(self) -> float:
        """The temperature of this step."""
        past = self.state.step / max(1, self.state.total - 1)
        return self.hot + (self.cold - self.hot) * past

    def _learn_weights(self, images: Tensor, labels: Tensor) -> None:
        state = self.state
        weights = [
            gumbel_softmax(given, state.uniform(len(given)), self.temperature)
            for given in state.alpha.log_chances()
        ]
        due = state.architecture_is_due
        logits = state.supernet.mixed(images, weights if due else [w.detach() for w in weights])
        loss = state.losses(logits, labels, smoothed=True).mean()
        gradients = state.step_weights(loss)
        if due and gradients is not None:
            state.follow(loss, gradients)

    def _learn_architecture(self, images: Tensor, labels: Tensor) -> None:
        """Wait for the weights' step, whose pass back gives both gradients."""
