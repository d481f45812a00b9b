"""Expected latency by sampling, for predictors whose mean has no formula."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from latbench.errors import UnavailableError, UsageError
from latbench.hooks.expected import Expected, ExpectedLatency
from latbench.prediction.expectation import check_probabilities
from latbench.predictor import Predictor

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor

    from latbench.hooks.relaxed import CorrelatedSample
    from latbench.prediction.inputs import IntArray

_TEMPERATURE = 0.4
"""Of the relaxed draws, as UNAS has it."""


class SampledLatency:
    """An unbiased estimate of the mean latency under independent choices, with its gradient.

    Each call draws ``samples`` architectures and predicts them. Their mean estimates the expected
    latency. The gradient is that of ``mean((t_i - b_i) log p(x_i))``, with ``b_i`` the mean of the
    other predictions (:func:`~latbench.hooks.relaxed.leave_one_out`), which is unbiased too. With a
    ``control``, a differentiable function of relaxed choices, it is the control variate of UNAS
    (:func:`~latbench.hooks.relaxed.unbiased`): the score function has only to say what the control
    does not. A bad control does not bias it, and a good one may let it vary less.

    Value and gradient are noisy: their variance falls as ``1 / samples``. A bent function of the
    value, such as a hinge, is not unbiased. Off the simplex the gradient differs from the exact one
    by a constant for each choice, which no softmax can see.

    It asks nothing of the predictor but predictions of architectures, so it is right where a
    relaxed network is off its training distribution.

    Attributes:
        method: ``"sampling"``, as :attr:`ExpectedLatency.method` says how that is exact.
    """

    method: Literal["sampling"] = "sampling"

    def __init__(
        self,
        predictor: Predictor,
        samples: int = 256,
        seed: int = 0,
        control: Expected | None = None,
    ) -> None:
        """Bind a fitted predictor.

        Args:
            predictor: makes the predictions.
            samples: architectures drawn at each call, for each leading index.
            seed: of the draws; each call draws anew.
            control: latency in ms (...) of relaxed choices, choice -> (..., options), with a
                gradient: :func:`relaxed_latency` of a predictor that has one, say.

        Raises:
            UsageError: fewer than two samples, or a control that draws itself.
        """
        if samples < 2:
            raise UsageError(f"{samples} samples have no mean of the others; give at least 2")
        if isinstance(control, SampledLatency):
            raise UsageError("a sampled latency is no control variate; give a function of choices")
        self._predictor = predictor
        self._samples = samples
        self._rng = np.random.default_rng(seed)
        self._control = control

    def drawing_from(self, rng: np.random.Generator) -> Self:
        """Return the same estimate with draws from ``rng``, whose state its owner can keep."""
        found = copy.copy(self)
        found._rng = rng
        return found

    def __call__(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        """Return the estimate (...) in ms.

        Args:
            probabilities: choice -> tensor (..., options), rows that sum to one.

        Raises:
            UsageError: a choice is missing or unknown, a shape is wrong, or rows do not sum to one.
        """
        import torch

        from latbench.hooks.relaxed import leave_one_out

        sizes = {choice.name: len(choice.options) for choice in self._predictor.space.choices}
        ordered = check_probabilities(probabilities, sizes)
        leading = ordered[0].shape[:-1]
        flat = [given.reshape(-1, given.shape[-1]) for given in ordered]
        if self._control is None:
            X = np.stack([self._drawn(given) for given in flat], axis=-1)
            chosen = [
                given.gather(1, torch.as_tensor(X[..., column], device=given.device))
                for column, given in enumerate(flat)
            ]
            log_chance = torch.stack([_log(given) for given in chosen]).sum(dim=0)
            relaxed_ms = torch.zeros_like(log_chance)
        else:
            drawn = [self._correlated(given) for given in flat]
            X = np.stack([one.hard.argmax(-1).cpu().numpy() for one in drawn], axis=-1)
            log_chance = torch.stack([one.log_chance for one in drawn]).sum(dim=0)
            relaxed = (one.relaxed for one in drawn)
            relaxed_ms = self._control(dict(zip(sizes, relaxed, strict=True)))
        predicted = self._predictor.predict(X.reshape(-1, len(flat))).reshape(X.shape[:-1])
        latency_ms = torch.as_tensor(predicted, dtype=flat[0].dtype, device=flat[0].device)
        # What the control is off by on the whole needs no draws: the others' mean takes it away.
        score = (leave_one_out(log_chance, latency_ms - relaxed_ms) + relaxed_ms).mean(dim=1)
        # Its value is the mean alone; its gradient is the score's.
        return (latency_ms.mean(dim=1) + score - score.detach()).reshape(leading)

    def _drawn(self, given: Tensor) -> IntArray:
        """Return options drawn from distributions (rows, options), (rows, samples)."""
        chances = np.maximum(given.detach().double().cpu().numpy(), 0.0)
        steps = np.cumsum(chances / chances.sum(axis=1, keepdims=True), axis=1)
        draws = self._rng.random((len(chances), self._samples))
        passed: IntArray = (draws[:, :, None] >= steps[:, None, :-1]).sum(axis=2)
        return passed

    def _correlated(self, given: Tensor) -> CorrelatedSample:
        """Return samples of distributions (rows, options), (rows, samples, options)."""
        import torch

        from latbench.hooks.relaxed import correlated_sample

        # In half precision a draw next to 1 would be 1.
        given = given.to(torch.promote_types(given.dtype, torch.float32))
        rows, options = given.shape
        drawn = self._rng.random((rows, self._samples, options))
        # Neither end: the noise of Gumbel is finite, and hardly cut.
        inside = np.clip(drawn, np.finfo(np.float32).tiny, 1 - np.finfo(np.float32).epsneg)
        uniform = torch.from_numpy(inside).to(given.device, given.dtype)
        return correlated_sample(_log(given)[:, None], uniform, _TEMPERATURE)


def relaxed_latency(predictor: Predictor) -> Expected | None:
    """Return what ``predictor`` tells of relaxed choices, with a gradient: a control variate.

    That is its ``relaxed_ms`` where it has one, else its exact mean; None where it has neither.
    """
    relaxed_ms: Expected | None = getattr(predictor, "relaxed_ms", None)
    if relaxed_ms is not None:
        return relaxed_ms
    try:
        return ExpectedLatency(predictor)
    except UnavailableError:
        return None


def _log(chances: Tensor) -> Tensor:
    import torch

    # Rounding may draw what has no chance.
    return chances.clamp(min=torch.finfo(chances.dtype).tiny).log()
