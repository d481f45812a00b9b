"""Architecture parameters: what a one-shot search learns beside the weights of its supernet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray

if TYPE_CHECKING:
    from latbench.spaces.space import SearchSpace


class Alpha(nn.Module):
    """Logits of independent distributions, one a choice.

    Attributes:
        space: whose choices they are.
        logits: one parameter a choice, (options,).
    """

    def __init__(
        self, space: SearchSpace, rng: np.random.Generator | None = None, deviation: float = 0.0
    ) -> None:
        """Begin with equal chances, or with normal logits of this standard deviation."""
        super().__init__()
        self.space = space
        self.logits = nn.ParameterList(
            torch.zeros(size)
            if rng is None
            else torch.from_numpy(rng.normal(0.0, deviation, size)).float()
            for size in space.sizes
        )

    def probabilities(self) -> list[Tensor]:
        """Return the chances of the options of each choice, (options,), with a gradient.

        They are those of the architecture that would be exported.
        """
        return [logits.softmax(-1) for logits in self.logits]

    def log_chances(self) -> list[Tensor]:
        """Return the logarithms of the chances, exact where a chance is too small for a float."""
        return [logits.log_softmax(-1) for logits in self.logits]

    def log_chance(self, X: IntArray) -> Tensor:
        """Return the logarithm of the chance of each canonical architecture ``X``, with a gradient.

        Of shape (n,). Choices that do not matter in an architecture have no part in it.
        """
        device = self.logits[0].device
        drawn, active = torch.from_numpy(X).to(device), torch.from_numpy(self.space.active(X))
        each = [row[drawn[:, column]] for column, row in enumerate(self.log_chances())]
        # Not multiplied by 0: the logarithm of a chance of 0 is minus infinity.
        zero = torch.zeros((), device=device)
        return torch.where(active.to(device), torch.stack(each, 1), zero).sum(1)

    def mixing(self) -> list[Tensor]:
        """Return the weights of the options of each choice in a mixed forward, (options,)."""
        return self.probabilities()

    def chances(self) -> list[FloatArray]:
        """Return :meth:`probabilities` as arrays."""
        return [given.detach().double().cpu().numpy() for given in self.probabilities()]


def log_chance(space: SearchSpace, chances: Sequence[FloatArray], X: IntArray) -> FloatArray:
    """Return the logarithm of the chance of each architecture of ``X`` (n, choices), (n,).

    Choices that do not matter in an architecture have no part in it.
    """
    with np.errstate(divide="ignore"):
        logs = [np.log(given) for given in chances]
    each = np.stack([row[X[:, column]] for column, row in enumerate(logs)], axis=1)
    total: FloatArray = np.where(space.active(X), each, 0.0).sum(axis=1)
    return total


def most_likely(space: SearchSpace, chances: Sequence[FloatArray]) -> IntArray:
    """Return the architecture (choices,) of the largest chance of each choice, canonical."""
    return space.one(np.array([int(given.argmax()) for given in chances]))


def draw(
    space: SearchSpace, chances: Sequence[FloatArray], rng: np.random.Generator, n: int
) -> IntArray:
    """Return ``n`` architectures (n, choices) drawn choice by choice, canonical."""
    columns = [
        # Rounding may leave the last step short of 1.
        np.minimum(np.searchsorted(np.cumsum(given), rng.random(n), side="right"), len(given) - 1)
        for given in chances
    ]
    return space.check(np.stack(columns, axis=1))


def entropy(chances: Sequence[FloatArray]) -> float:
    """Return the mean entropy of the choices as a share of the largest possible, in [0, 1]."""
    shares = []
    for given in chances:
        positive = given[given > 0]
        # A choice of one option is settled.
        most = np.log(len(given)) if len(given) > 1 else 1.0
        shares.append(float(-(positive * np.log(positive)).sum() / most))
    return float(np.mean(shares))
