"""DARTS: Liu, Simonyan and Yang, arXiv 1806.09055, in first and second order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from latbench.errors import UsageError
from latbench.one_shot_searcher import OneShotSearcher
from latbench.spaces.mixing import MixedNetwork, untracked
from latbench.training.alpha import Alpha
from latbench.training.task import SearchTask
from latbench_search.edge_alpha import alpha_of

# Of the finite difference: the length of its step in all weights together.
_LENGTH = 0.01
_ALPHA_DEVIATION = 1e-3


class DARTS(OneShotSearcher):
    """Descends by the gradient of the validation loss of a softmax mixture of all candidates.

    Before each step of the weights the architecture takes one, at the weights as they are (first
    order), or as they would be after their next step (second order, equations 6 to 8). Scales and
    shifts of batch norm are held while searching, so that what a candidate weighs in a sum is its
    chance alone.

    In the space ``darts`` every edge has one softmax over its operations and ``none``, and the
    chances are those under the export rule; see :mod:`latbench_search.edge_alpha`.
    """

    kind = "darts"

    def __init__(
        self,
        order: int = 1,
        rate: float = 0.01,
        weight_decay: float = 1e-3,
        every: int = 1,
        warmup: float = 0.1,
        momentum: float = 0.5,
        clip_norm: float = 0.0,
        rate_left: float = 1.0,
        finalists: int = 10,
    ) -> None:
        """Store the order, how the architecture learns, and how many networks are scored at last.

        The paper's rate is 3e-4, over some 20,000 steps and without a warm-up; the defaults suit
        some hundreds. It takes the most likely network, as ``finalists=1`` does; where a penalty
        holds the mean latency at a target, the chances may stay soft, and the most likely network
        may lie far from it.
        """
        self.order = order
        self.rate = rate
        self.weight_decay = weight_decay
        self.every = every
        self.warmup = warmup
        self.momentum = momentum
        self.clip_norm = clip_norm
        self.rate_left = rate_left
        self.finalists = finalists

    def _check(self, task: SearchTask) -> None:
        super()._check(task)
        if self.order not in (1, 2):
            raise UsageError(f"order is {self.order}; it must be 1 or 2")

    def _alpha(self, task: SearchTask) -> Alpha:
        return alpha_of(task.space, np.random.default_rng([task.seed, 2]), _ALPHA_DEVIATION)

    def _weights(self, supernet: MixedNetwork) -> Iterable[nn.Parameter]:
        norms = [module for module in supernet.modules() if isinstance(module, _BatchNorm)]
        held = {id(parameter) for norm in norms for parameter in norm.parameters()}
        return [parameter for parameter in supernet.parameters() if id(parameter) not in held]

    def _learn_weights(self, images: Tensor, labels: Tensor) -> None:
        with torch.no_grad():
            weights = self.state.alpha.mixing()
        logits = self.state.supernet.mixed(images, weights)
        self.state.step_weights(self.state.losses(logits, labels, smoothed=True).mean())

    def _learn_architecture(self, images: Tensor, labels: Tensor) -> None:
        state = self.state
        validation = state.validation.draw()
        alphas = list(state.alpha.parameters())
        if self.order == 1:
            with untracked(state.supernet):
                loss = self._loss(*validation)
            state.follow(loss, torch.autograd.grad(loss, alphas, materialize_grads=True))
            return
        with untracked(state.supernet):
            with self._stepped(images, labels):
                loss = self._loss(*validation)
                found = torch.autograd.grad(loss, [*alphas, *state.weights], materialize_grads=True)
            along = found[len(alphas) :]
            length = _LENGTH / torch.stack([g.norm() for g in along]).norm().clamp(min=1e-12)
            ahead, behind = (
                self._alpha_gradient_at(images, labels, along, sign * float(length))
                for sign in (1, -1)
            )
        gradients = [
            direct - state.lr * (plus - minus) / (2 * length)
            for direct, plus, minus in zip(found, ahead, behind, strict=False)
        ]
        state.follow(loss, gradients)

    def _loss(self, images: Tensor, labels: Tensor, smoothed: bool = False) -> Tensor:
        logits = self.state.supernet.mixed(images, self.state.alpha.mixing())
        return self.state.losses(logits, labels, smoothed).mean()

    @contextmanager
    def _stepped(self, images: Tensor, labels: Tensor) -> Iterator[None]:
        """Have the weights take their next step inside, as far as momentum and decay tell it."""
        state = self.state
        loss = self._loss(images, labels, smoothed=True)
        gradients = torch.autograd.grad(loss, state.weights, materialize_grads=True)
        step = [
            -state.lr
            * (gradient + decay * w + (0 if past is None else state.training.momentum * past))
            for w, gradient, decay, past in zip(
                state.weights, gradients, state.decays, state.momenta, strict=True
            )
        ]
        with _moved(state.weights, step):
            yield

    def _alpha_gradient_at(
        self, images: Tensor, labels: Tensor, along: Sequence[Tensor], length: float
    ) -> Sequence[Tensor]:
        """Return the training loss's gradient in alpha with the weights moved ``along``."""
        alphas = list(self.state.alpha.parameters())
        with _moved(self.state.weights, [length * g for g in along]):
            loss = self._loss(images, labels, smoothed=True)
            return torch.autograd.grad(loss, alphas, materialize_grads=True)


@contextmanager
def _moved(weights: Sequence[Tensor], by: Sequence[Tensor]) -> Iterator[None]:
    """Add ``by`` to ``weights`` inside, and bring back the very values they had."""
    before = [w.detach().clone() for w in weights]
    try:
        with torch.no_grad():
            for w, step in zip(weights, by, strict=True):
                w.add_(step)
        yield
    finally:
        with torch.no_grad():
            for w, was in zip(weights, before, strict=True):
                w.copy_(was)
