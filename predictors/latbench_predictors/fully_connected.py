"""Five fully connected layers: trained by torch, repeatably; evaluated by NumPy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from latbench.prediction import conformal
from latbench.prediction.inputs import FloatArray, IntArray
from latbench_predictors import robust_ridge

if TYPE_CHECKING:
    import torch
    from torch import Tensor

DEPTH = 5

_HELD_OUT = 7  # every seventh network tells when to stop
_RATE, _DECAY = 3e-3, 1e-2
_ROWS = 1024  # evaluated at a time: what fits into a core's cache

Layers = Sequence[tuple[FloatArray, FloatArray]]
"""Weights (inputs, outputs) and biases (outputs,) of each layer."""


@dataclass(frozen=True)
class Training:
    """How long and how to train.

    Attributes:
        width: of the hidden layers.
        epochs: passes over the networks, at most; with none the last layer stays at zero.
        patience: epochs without a better one after which it stops.
        batch: networks a step.
        seed: of the weights, of the networks held out, and of the order.
    """

    width: int
    epochs: int
    patience: int
    batch: int
    seed: int


def evaluate(layers: Layers, encoded: FloatArray) -> FloatArray:
    """Return the outputs (n,) for encoded architectures (n, inputs)."""
    found = np.empty(len(encoded))
    for first in range(0, len(encoded), _ROWS):
        rows = slice(first, first + _ROWS)
        hidden = encoded[rows]
        for weights, biases in layers[:-1]:
            hidden = hidden @ weights
            hidden += biases
            np.maximum(hidden, 0.0, out=hidden)
        weights, biases = layers[-1]
        found[rows] = hidden @ weights[:, 0] + biases[0]
    return found


def forward(layers: Sequence[tuple[Tensor, Tensor]], encoded: Tensor) -> Tensor:
    """Return the outputs (...) for encoded architectures (..., inputs), with a gradient."""
    hidden = encoded
    for weights, biases in layers[:-1]:
        hidden = (hidden @ weights + biases).relu()
    weights, biases = layers[-1]
    return (hidden @ weights + biases)[..., 0]


def train(encoded: FloatArray, target: FloatArray, groups: IntArray, how: Training) -> Layers:
    """Return layers that predict ``target`` (n,) of encoded architectures (n, inputs).

    Some networks are held out, and training stops when it no longer helps on them (Huber's loss,
    targets of the order of 1). The weights are those of the best epoch; the last layer begins at
    zero and stays there unless the best is better than nothing by a standard error.

    The same arguments give the same weights to the bit: torch is held to one thread and draws from
    generators of its own; its settings are as before afterwards.

    Args:
        encoded: one-hots.
        target: what to predict.
        groups: of each network (n,), numbered from 0; a group is never split.
        how: see :class:`Training`.
    """
    import torch

    fold = conformal.folds(groups, _HELD_OUT, how.seed)
    with _undisturbed():
        inputs, wanted = (torch.tensor(a, dtype=torch.float32) for a in (encoded, target))
        draw = torch.Generator().manual_seed(how.seed)
        layers = _initial(encoded.shape[1], encoded[0].sum(), how.width, draw)
        flat = [tensor for layer in layers for tensor in layer]
        optimiser = torch.optim.AdamW(flat, lr=_RATE, weight_decay=_DECAY)
        seen, held_out = torch.tensor(np.flatnonzero(fold)), torch.tensor(np.flatnonzero(fold == 0))

        def losses(rows: Tensor) -> Tensor:
            return torch.nn.functional.huber_loss(
                forward(layers, inputs[rows]),
                wanted[rows],
                reduction="none",
                delta=robust_ridge.HUBER,
            )

        with torch.no_grad():
            nothing = least = losses(held_out)
        best, at = _values(layers), 0
        for epoch in range(1, how.epochs + 1):
            order = seen[torch.randperm(len(seen), generator=draw)]
            for rows in torch.split(order, how.batch):
                optimiser.zero_grad()
                torch.autograd.backward(losses(rows).mean())
                optimiser.step()
            with torch.no_grad():
                now = losses(held_out)
            if now.mean() < least.mean():
                best, at, least = _values(layers), epoch, now
            elif epoch - at >= how.patience:
                break
    gained = (nothing - least).numpy()
    if len(gained) < 2 or gained.mean() <= gained.std(ddof=1) / np.sqrt(len(gained)):
        weights, biases = best[-1]
        best[-1] = (0 * weights, 0 * biases)
    return best


def _initial(
    inputs: int, ones: float, width: int, draw: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """Return layers with He's initial weights (arXiv 1502.01852), the last of them zero.

    Args:
        inputs: columns of the encoded architectures.
        ones: how many of them are 1 in each.
        width: of the hidden layers.
        draw: the generator.
    """
    import torch

    sizes = [inputs, *[width] * (DEPTH - 1), 1]
    layers = []
    for number, (before, after) in enumerate(pairwise(sizes)):
        weights = torch.rand((before, after), generator=draw, dtype=torch.float32)
        bound = 0.0 if number == DEPTH - 1 else (6 / (before if number else ones)) ** 0.5
        biases = torch.zeros(after, dtype=torch.float32, requires_grad=True)
        layers.append(((bound * (2 * weights - 1)).requires_grad_(), biases))
    return layers


def _values(layers: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[FloatArray, FloatArray]]:
    return [
        (weights.detach().numpy().astype(np.float64), biases.detach().numpy().astype(np.float64))
        for weights, biases in layers
    ]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Train on one thread, whatever torch was told, and leave torch as it was."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.device("cpu"):
            yield
    finally:
        torch.set_num_threads(threads)
