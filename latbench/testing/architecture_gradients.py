"""What the architecture of a one-shot search follows, beside the gradient by enumeration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from latbench.one_shot_searcher import OneShotSearcher
from latbench.spaces.graph import IntArray
from latbench.spaces.space import SearchSpace
from latbench.training.data import Split

__all__ = [
    "Comparison",
    "enumerated_gradient",
    "every_architecture",
    "followed_gradients",
    "losses_of_every",
    "reinforce_variance",
    "unsettle",
]

_ROUNDING = 1e-5
"""Of the largest exact entry: what single precision may be off by."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Gradients that were followed at one and the same alpha, and the exact one.

    Attributes:
        followed: one row a step, (steps, parameters).
        exact: of the mean over all architectures, (parameters,).
    """

    followed: Tensor
    exact: Tensor

    @property
    def errors(self) -> Tensor:
        """Standard errors of the mean of the steps, (parameters,)."""
        return self.followed.std(0) / math.sqrt(len(self.followed))

    @property
    def deviation(self) -> float:
        """The largest distance of the mean from the exact one, in standard errors.

        Below four where they agree: rounding is allowed for where nothing varies.
        """
        rounding = _ROUNDING * self.exact.abs().max() / 4
        return float((self._off.abs() / (self.errors + rounding)).max())

    @property
    def bias_percent(self) -> float:
        """The length of that distance, in percent of the exact gradient's length."""
        return 100 * float(self._off.norm() / self.exact.norm())

    @property
    def error_percent(self) -> float:
        """What :attr:`bias_percent` would be of an unbiased gradient, from its variance."""
        return 100 * float(self.errors.norm() / self.exact.norm())

    @property
    def variance(self) -> float:
        """Of one step, the mean square of its distance from their mean."""
        return float(self.followed.var(0).sum())

    @property
    def cosine(self) -> float:
        """Of the angle between the mean and the exact one: above zero it leads downhill."""
        return float(torch.cosine_similarity(self.followed.mean(0), self.exact, dim=0))

    @property
    def _off(self) -> Tensor:
        return self.followed.mean(0) - self.exact


def unsettle(searcher: OneShotSearcher, seed: int = 0) -> None:
    """Give the architecture of a search that has begun unequal chances."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in searcher.state.alpha.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))


def followed_gradients(searcher: OneShotSearcher, steps: int) -> Tensor:
    """Return what the architecture follows in ``steps`` steps, (steps, parameters), in float64.

    The search has begun. Its architecture, its weights and the number of its step stay as they are;
    only draws, and what it remembers of rewards, go on.
    """
    state = searcher.state
    found: list[Tensor] = []

    def keep(gradients: Sequence[Tensor]) -> None:
        found.append(torch.cat([given.detach().flatten() for given in gradients]).double())
        state.alpha.zero_grad(set_to_none=True)  # as a step does

    at = state.step
    before = {name: value.clone() for name, value in state.supernet.state_dict().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "step_alpha", keep)
        for _ in range(steps):
            searcher.step()
            state.supernet.load_state_dict(before)
            state.step = at
    assert len(found) == steps, "the architecture is not due in every step: begin with every=1"
    return torch.stack(found)


def every_architecture(space: SearchSpace) -> IntArray:
    """Return all architectures (n, choices) of a small space in which every choice matters."""
    every: IntArray = np.indices(space.sizes).reshape(len(space.sizes), -1).T
    assert space.active(every).all()
    return every


def losses_of_every(searcher: OneShotSearcher, split: Split | None = None) -> Tensor:
    """Return the mean loss of each architecture, (n,), on the training images or those given."""
    state = searcher.state
    split = split or state.train.split
    with torch.no_grad():
        losses = [
            state.losses(state.supernet(split.images, x), split.labels).mean()
            for x in every_architecture(searcher.task.space)
        ]
    return torch.stack(losses).double()


def enumerated_gradient(searcher: OneShotSearcher, values: Tensor) -> Tensor:
    """Return the gradient in alpha of the mean of ``values`` under the chances, (parameters,).

    Args:
        searcher: has begun.
        values: of :func:`every_architecture`, (n,).
    """
    alpha = searcher.state.alpha
    columns = torch.from_numpy(every_architecture(searcher.task.space)).T
    chances = torch.stack(
        [
            given.double()[column]
            for given, column in zip(alpha.probabilities(), columns, strict=True)
        ]
    ).prod(0)
    found = torch.autograd.grad(chances @ values.double(), list(alpha.parameters()))
    return torch.cat([given.flatten() for given in found]).double()


def reinforce_variance(searcher: OneShotSearcher, values: Tensor) -> float:
    """Return the variance of a step of plain REINFORCE, by enumeration.

    It is the mean square of the distance of ``(value - mean value) * d log p / d alpha``, for one
    architecture that is drawn, from its mean (Williams, Machine Learning 8, 1992).

    Args:
        searcher: has begun.
        values: of :func:`every_architecture`, (n,).
    """
    alpha = searcher.state.alpha
    log_chance = alpha.log_chance(every_architecture(searcher.task.space))
    scores = [
        torch.cat([slope.flatten() for slope in slopes]).double()
        for slopes in (
            torch.autograd.grad(one, list(alpha.parameters()), retain_graph=True)
            for one in log_chance
        )
    ]
    chances = log_chance.detach().double().exp()
    steps = (values.double() - chances @ values.double())[:, None] * torch.stack(scores)
    return float(chances @ (steps - chances @ steps).square().sum(1))
