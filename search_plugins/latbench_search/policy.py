"""A factorised policy over architectures: one softmax a choice, learned from rewards."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import BoolArray, IntArray

# Of Adam (Kingma and Ba, arXiv 1412.6980); without momentum, because an option that was not drawn
# must not go on moving.
_DECAY, _TINY = 0.99, 1e-8


class Policy:
    """Independent distributions over the options of each choice.

    Attributes:
        sizes: options of each choice.
        logits: (choices, most options); what exceeds a choice's own is minus infinity.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        """Begin with equal chances."""
        self.sizes = tuple(sizes)
        self._there = np.arange(max(sizes)) < np.array(sizes)[:, np.newaxis]
        self.logits: FloatArray = np.where(self._there, 0.0, -np.inf)
        self._squares: FloatArray = np.zeros(self._there.shape)
        self._steps = 0

    @property
    def probabilities(self) -> FloatArray:
        """The chances of the options, (choices, most options)."""
        risen = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        chances: FloatArray = risen / risen.sum(axis=1, keepdims=True)
        return chances

    def draw(self, rng: np.random.Generator, n: int) -> IntArray:
        """Return ``n`` architectures (n, choices)."""
        steps = np.cumsum(self.probabilities, axis=1)
        at_most = np.array(self.sizes) - 1
        passed = (rng.random((n, len(steps), 1)) >= steps[np.newaxis]).sum(axis=2)
        # Rounding may leave the last step short of 1.
        X: IntArray = np.minimum(passed, at_most)
        return X

    def gradient(self, X: IntArray, active: BoolArray, advantages: FloatArray) -> FloatArray:
        """Return the mean of ``advantage * d log p(x) / d logits``, (choices, most options).

        Its mean over architectures drawn from this policy is the gradient of the mean reward,
        whatever constant was taken off the rewards (Williams, Machine Learning 8, 1992).

        Args:
            X: architectures (n, choices).
            active: which choices matter in each, (n, choices); of the others it has not told.
            advantages: reward of each less a baseline, (n,).
        """
        drawn = X[:, :, np.newaxis] == np.arange(self._there.shape[1])
        slopes = (drawn - self.probabilities) * active[:, :, np.newaxis]
        along: FloatArray = np.tensordot(advantages, slopes, axes=1) / len(X)
        return np.where(self._there, along, 0.0)

    def step(self, gradient: FloatArray, rate: float) -> None:
        """Follow ``gradient`` upwards, each logit scaled by the size that its own has had."""
        self._steps += 1
        self._squares = _DECAY * self._squares + (1 - _DECAY) * gradient**2
        size = np.sqrt(self._squares / (1 - _DECAY**self._steps))
        self.logits = np.where(self._there, self.logits + rate * gradient / (size + _TINY), -np.inf)
