"""UNAS: Vahdat et al., arXiv 1912.07651: an unbiased gradient with a relaxed control variate."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from latbench.errors import UsageError
from latbench.hooks import relaxed_latency
from latbench.hooks.relaxed import (
    CorrelatedSample,
    correlated_sample,
    gumbel_softmax,
    leave_one_out,
    unbiased,
)
from latbench.one_shot_searcher import OneShotSearcher
from latbench.spaces.mixing import untracked
from latbench.training.task import Drawing, Expected, SearchTask

_DRAWS = ("images", "batch")


class UNAS(OneShotSearcher):
    """Follows the gradient of the mean loss of drawn networks, of loss and latency alike.

    A one-hot draw gives the loss, a relaxed draw from the same noise a control variate for it, and
    the redraw of the relaxed one given the one-hot one makes the estimate unbiased (section 3.1).

    The loss of the architecture is ``train + gap * |validation - train|``, image by image
    (section 3.2). The latency joins by ``c * max(0, latency / target - 1)`` of a draw of its own:
    measured, or else predicted, for the one-hot draw; and for the relaxed one by a differentiable
    surrogate, whose errors change how much the estimate varies and nothing else: what the task's
    surrogate tells of relaxed choices, as the multilayer perceptron does, or else the expected
    latency. Where that is itself estimated from draws, it is no function of the relaxed sample and
    would bias the estimate; then the mean of the other draws is the baseline. ``c`` rises from 0 to
    ``latency_weight`` over the first ``ramp`` of the steps. As each single draw has its hinge, it
    goes on pushing somewhat below the target.

    What the control variates are worth is noted: ``loss_variance_left`` and
    ``latency_variance_left`` are ``var(hard - relaxed) / var(hard)``, below 1 where they help.
    """

    kind = "unas"
    measures = True

    def __init__(
        self,
        rate: float = 0.02,
        weight_decay: float = 1e-6,
        every: int = 1,
        warmup: float = 0.1,
        momentum: float = 0.5,
        clip_norm: float = 0.0,
        rate_left: float = 0.3,
        temperature: float = 0.4,
        floor: float = 0.0,
        gap: float = 0.5,
        draws: str = "images",
        latency_weight: float = 1.0,
        ramp: float = 0.3,
        latency_draws: int = 10,
        finalists: int = 10,
    ) -> None:
        """Store how the architecture learns and is drawn, and the networks scored at last.

        The paper's rate is 1e-3 over 100 epochs after 15 of warm-up, and falls to 3e-4; its latency
        weight is 0.1 a millisecond at a target of 10, which is 1 here.

        Args:
            rate: of Adam for the architecture.
            weight_decay: of the architecture.
            every: steps of the weights for one of the architecture.
            warmup: share of the training before the architecture's first step.
            momentum: Adam's first coefficient.
            clip_norm: largest norm of the architecture's gradient; 0 for any.
            rate_left: share of the rate that is left at the last step.
            temperature: of the relaxed draws.
            floor: added to each chance when drawing; the paper has 0.08 in the ProxylessNAS space.
            gap: weight of the difference between training and validation loss.
            draws: ``images``: one architecture an image, and the gap is that of pairs of images;
                ``batch``: one for all, and the gap is that of means, which is much cheaper and
                varies more.
            latency_weight: the penalty at twice the target.
            ramp: share of the steps over which it rises to that.
            latency_draws: architectures drawn for the latency a step.
            finalists: networks scored at last.
        """
        self.rate = rate
        self.weight_decay = weight_decay
        self.every = every
        self.warmup = warmup
        self.momentum = momentum
        self.clip_norm = clip_norm
        self.rate_left = rate_left
        self.temperature = temperature
        self.floor = floor
        self.gap = gap
        self.draws = draws
        self.latency_weight = latency_weight
        self.ramp = ramp
        self.latency_draws = latency_draws
        self.finalists = finalists

    @property
    def follows_penalty(self) -> bool:
        """See :class:`~latbench.one_shot_searcher.OneShotSearcher`."""
        return False

    @property
    def unbiased(self) -> bool:
        """See :class:`~latbench.one_shot_searcher.OneShotSearcher`."""
        return True

    def _check(self, task: SearchTask) -> None:
        super()._check(task)
        least = {"floor": self.floor, "gap": self.gap, "latency_weight": self.latency_weight}
        for name, value in least.items():
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{name} is {value}; it must be at least zero")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise UsageError(f"temperature is {self.temperature}; it must be above zero")
        if not 0 <= self.ramp <= 1:
            raise UsageError(f"ramp is {self.ramp}; it must be from 0 to 1")
        if self.latency_draws < 1:
            raise UsageError(f"latency_draws is {self.latency_draws}; it must be at least 1")
        if self.draws not in _DRAWS:
            raise UsageError(f"draws is {self.draws!r}; there are {' and '.join(_DRAWS)}")

    def start(self, task: SearchTask) -> None:
        """See :class:`~latbench.one_shot_searcher.OneShotSearcher`."""
        self._control = _control(task)
        if self._control is None and self.latency_draws < 2:
            raise UsageError(
                "latency_draws is 1, and nothing tells the latency of relaxed choices; give a "
                "surrogate that does, such as an mlp, or at least 2 draws"
            )
        super().start(task)

    # Drawing

    def _log_chances(self) -> list[Tensor]:
        """Return the logarithms of the chances that options are drawn with."""
        logs = self.state.alpha.log_chances()
        if not self.floor:
            return logs
        return [
            ((given.exp() + self.floor) / (1 + len(given) * self.floor)).log() for given in logs
        ]

    def _sample(self, *shape: int) -> list[CorrelatedSample]:
        return [
            correlated_sample(given, self.state.uniform(*shape, len(given)), self.temperature)
            for given in self._log_chances()
        ]

    def _learn_weights(self, images: Tensor, labels: Tensor) -> None:
        state = self.state
        shape = (len(images),) if self.draws == "images" else ()
        with torch.no_grad():
            weights = [
                gumbel_softmax(given, state.uniform(*shape, len(given)), self.temperature)
                for given in self._log_chances()
            ]
        logits = state.supernet.mixed(images, weights)
        state.step_weights(state.losses(logits, labels, smoothed=True).mean())

    # The architecture

    def _learn_architecture(self, images: Tensor, labels: Tensor) -> None:
        state = self.state
        surrogate = self._task_term(images, labels) + self._latency_term()
        alphas = list(state.alpha.parameters())
        state.step_alpha(torch.autograd.grad(surrogate, alphas, materialize_grads=True))

    def _task_term(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return what has the gradient of the mean loss of a drawn network as its gradient."""
        others, other_labels = self.state.validation.draw()
        count = min(len(images), len(others))
        batches = (images[:count], labels[:count], others[:count], other_labels[:count])
        samples = self._sample(*((count,) if self.draws == "images" else ()))
        with untracked(self.state.supernet):
            with torch.no_grad():
                hard = self._loss([one.hard for one in samples], *batches)
            relaxed = self._loss([one.relaxed for one in samples], *batches)
        log_chance = torch.stack([one.log_chance for one in samples]).sum(0)
        self.state.note("architecture_loss", hard.mean())
        self._note_variance("loss_variance_left", hard, relaxed)
        return unbiased(log_chance, hard, relaxed).mean()

    def _loss(
        self, weights: list[Tensor], images: Tensor, labels: Tensor, others: Tensor, more: Tensor
    ) -> Tensor:
        """Return the loss of the architecture, (n,), or () where one is drawn for all."""
        state = self.state
        losses = state.losses(state.supernet.mixed(images, weights), labels)
        unseen = state.losses(state.supernet.mixed(others, weights), more)
        if self.draws == "batch":
            losses, unseen = losses.mean(), unseen.mean()
        return losses + self.gap * (unseen - losses).abs()

    def _latency_term(self) -> Tensor:
        """Return the same of the mean latency penalty of a drawn network."""
        state, task = self.state, self.task
        samples = self._sample(self.latency_draws)
        X = np.stack([one.hard.argmax(-1).cpu().numpy() for one in samples], axis=1)
        X = task.space.check(X)
        told = task.latency_ms(X) if task.measure is None else task.measure(X)
        latency_ms = torch.as_tensor(told, dtype=torch.float32, device=task.device)
        log_chance = torch.stack([one.log_chance for one in samples]).sum(0)
        state.note("expected_ms", latency_ms.mean())
        hard = self._over(latency_ms)
        if self._control is None:
            return self._weight() * leave_one_out(log_chance, hard).mean()
        relaxed = self._over(self._control(task.space.by_choice(one.relaxed for one in samples)))
        self._note_variance("latency_variance_left", hard, relaxed)
        return self._weight() * unbiased(log_chance, hard, relaxed).mean()

    def _over(self, latency_ms: Tensor) -> Tensor:
        """Return by which share of the target latencies are above it."""
        return (latency_ms / self.task.target_ms - 1).clamp(min=0)

    def _note_variance(self, name: str, hard: Tensor, relaxed: Tensor) -> None:
        """Note which share of the variance of ``hard`` (n,) is left; 1 where there is none."""
        if hard.numel() > 1:
            left, whole = (hard - relaxed.detach()).var(), hard.var()
            self.state.note(name, torch.where(whole > 0, left / whole, torch.ones_like(whole)))

    def _weight(self) -> float:
        """Return ``c`` at this step."""
        rising = self.ramp * self.state.total
        past = self.state.step / rising if rising else 1.0
        return self.latency_weight * min(past, 1.0)


def _control(task: SearchTask) -> Expected | None:
    """Return what tells the latency of a relaxed sample; None where there are only draws."""
    told = None if task.surrogate is None else relaxed_latency(task.surrogate)
    if told is not None:
        return told
    return None if isinstance(task.expected, Drawing) else task.expected
