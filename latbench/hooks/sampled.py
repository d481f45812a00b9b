"""Expected latency by sampling, for predictors whose mean has no formula."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from latbench.errors import UsageError
from latbench.prediction.expectation import check_probabilities
from latbench.predictor import Predictor

if TYPE_CHECKING:
    from torch import Tensor

    from latbench.prediction.inputs import IntArray


class SampledLatency:
    """An unbiased estimate of the mean latency under independent choices, with its gradient.

    Each call draws ``samples`` architectures and predicts them. Their mean estimates the expected
    latency. The gradient is that of ``mean((t_i - b_i) log p(x_i))``, with ``b_i`` the mean of the
    other predictions (the score function of Williams, 1992, with the leave-one-out baseline of
    Kool et al., *Buy 4 REINFORCE samples, get a baseline for free*, 2019), which is unbiased too.
    Both are noisy: their variance falls as ``1 / samples``. Off the simplex the gradient differs
    from the exact one by a constant for each choice, which no softmax can see.

    It asks nothing of the predictor but predictions of architectures, so it is right where a
    relaxed network is off its training distribution.
    """

    def __init__(self, predictor: Predictor, samples: int = 256, seed: int = 0) -> None:
        """Bind a fitted predictor.

        Args:
            predictor: makes the predictions.
            samples: architectures drawn at each call, for each leading index.
            seed: of the draws; each call draws anew.

        Raises:
            UsageError: fewer than two samples.
        """
        if samples < 2:
            raise UsageError(f"{samples} samples have no mean of the others; give at least 2")
        self._predictor = predictor
        self._samples = samples
        self._rng = np.random.default_rng(seed)

    def __call__(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        """Return the estimate (...) in ms.

        Args:
            probabilities: choice -> tensor (..., options), rows that sum to one.

        Raises:
            UsageError: a choice is missing or unknown, a shape is wrong, or rows do not sum to one.
        """
        import torch

        sizes = {choice.name: len(choice.options) for choice in self._predictor.space.choices}
        ordered = check_probabilities(probabilities, sizes)
        leading = ordered[0].shape[:-1]
        flat = [given.reshape(-1, given.shape[-1]) for given in ordered]
        X = np.stack([self._drawn(given) for given in flat], axis=-1)
        predicted = self._predictor.predict(X.reshape(-1, len(flat))).reshape(X.shape[:-1])
        latency_ms = torch.as_tensor(predicted, dtype=flat[0].dtype, device=flat[0].device)
        chosen = [
            given.gather(1, torch.as_tensor(X[..., column], device=given.device))
            for column, given in enumerate(flat)
        ]
        # Rounding may draw what has no chance.
        possible = torch.stack(chosen).clamp(min=torch.finfo(flat[0].dtype).tiny)
        log_chance = possible.log().sum(dim=0)
        mean = latency_ms.mean(dim=1, keepdim=True)
        above = (latency_ms - mean) * self._samples / (self._samples - 1)
        score = (above * log_chance).mean(dim=1)
        # Its value is the mean alone; its gradient is the score function's.
        return (mean[:, 0] + score - score.detach()).reshape(leading)

    def _drawn(self, given: Tensor) -> IntArray:
        """Return options drawn from distributions (rows, options), (rows, samples)."""
        chances = np.maximum(given.detach().double().cpu().numpy(), 0.0)
        steps = np.cumsum(chances / chances.sum(axis=1, keepdims=True), axis=1)
        draws = self._rng.random((len(chances), self._samples))
        passed: IntArray = (draws[:, :, None] >= steps[:, None, :-1]).sum(axis=2)
        return passed
