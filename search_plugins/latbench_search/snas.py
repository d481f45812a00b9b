"""SNAS: Xie et al., arXiv 1812.09926."""

from __future__ import annotations

from torch import Tensor

from latbench_search.annealed import Annealed


class SNAS(Annealed):
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
        momentum: float = 0.0,
        clip_norm: float = 0.0,
        rate_left: float = 1.0,
        hot: float = 1.0,
        cold: float = 0.1,
        finalists: int = 10,
    ) -> None:
        """Store how the architecture learns, the temperatures, and the networks scored at last.

        The paper's rate is 3e-4 over 150 epochs; the defaults suit some hundred steps.
        """
        super().__init__(
            rate,
            weight_decay,
            every,
            warmup,
            momentum,
            clip_norm,
            rate_left,
            hot,
            cold,
            finalists,
        )

    def _cooled(self, past: float) -> float:
        return self.hot + (self.cold - self.hot) * past

    def _learn_weights(self, images: Tensor, labels: Tensor) -> None:
        state = self.state
        weights = self._sample()
        due = state.architecture_is_due
        logits = state.supernet.mixed(images, weights if due else [w.detach() for w in weights])
        loss = state.losses(logits, labels, smoothed=True).mean()
        gradients = state.step_weights(loss)
        if due and gradients is not None:
            state.follow(loss, gradients)

    def _learn_architecture(self, images: Tensor, labels: Tensor) -> None:
        """Wait for the weights' step, whose pass back gives both gradients."""
