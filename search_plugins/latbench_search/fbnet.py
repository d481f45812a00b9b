"""FBNet's search: Wu et al., arXiv 1812.03443, section 3."""

from __future__ import annotations

import torch
from torch import Tensor

from latbench.spaces.mixing import untracked
from latbench_search.annealed import Annealed


class FBNet(Annealed):
    """Trains weights and chances in turn on Gumbel-softmax mixtures that grow harder.

    The temperature falls exponentially from ``hot`` at the first step to ``cold`` at the last. The
    latency is the exact mean under the chances. The paper's is that of the mixture, whose mean is
    another one as long as the mixture is soft.
    """

    kind = "fbnet"

    def __init__(
        self,
        rate: float = 0.02,
        weight_decay: float = 5e-4,
        every: int = 3,
        warmup: float = 0.1,
        momentum: float = 0.0,
        clip_norm: float = 0.0,
        rate_left: float = 1.0,
        hot: float = 5.0,
        cold: float = 0.1,
        finalists: int = 10,
    ) -> None:
        """Store how the architecture learns, the temperatures, and the networks scored at last.

        The paper alternates whole epochs, 80 % of the images for the weights and 20 % for the
        architecture; ``every`` is the like. Its rate is 0.01 over 80 epochs of ImageNet.
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
        return float(self.hot * (self.cold / self.hot) ** past)

    def _learn_weights(self, images: Tensor, labels: Tensor) -> None:
        with torch.no_grad():
            weights = self._sample()
        logits = self.state.supernet.mixed(images, weights)
        self.state.step_weights(self.state.losses(logits, labels, smoothed=True).mean())

    def _learn_architecture(self, images: Tensor, labels: Tensor) -> None:
        state = self.state
        images, labels = state.validation.draw()
        with untracked(state.supernet):
            logits = state.supernet.mixed(images, self._sample())
        loss = state.losses(logits, labels).mean()
        alphas = list(state.alpha.parameters())
        state.follow(loss, torch.autograd.grad(loss, alphas, materialize_grads=True))
