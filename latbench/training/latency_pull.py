"""What a latency penalty does to the gradient of an architecture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latbench.training.task import Drawing, SearchTask


@dataclass(frozen=True, eq=False)
class LatencyPull:
    """How a latency penalty changes the gradient of the architecture.

    Attributes:
        scale: what the gradient of the task's loss is multiplied by.
        along: gradient of the penalty in the chances of each choice, (options,).
        expected_ms: the expected latency; None where nothing asks for it.
    """

    scale: float
    along: list[Tensor]
    expected_ms: Tensor | None


def latency_pull(
    task: SearchTask, probabilities: Sequence[Tensor], task_loss: Tensor
) -> LatencyPull:
    """Return the two gradients of ``task.penalty(loss, expected latency)``, apart.

    Apart, because the gradient of the task's loss comes by other ways in every algorithm, and not
    at all where nothing was drawn that has one; the latency's is there in any case.

    Where the expected latency is an estimate, the penalty is bent over the one and follows the
    gradient of another, with draws of its own: a mean of products is that of means only where what
    is multiplied is independent. So the direction along the chances has no bias. How strongly the
    penalty pulls has one that falls with the variance of the estimate: its mean slope over noisy
    latencies is not that at their mean. A hinge pulls with the chance that the estimate is above
    its reference, also where the mean is below.

    Args:
        task: with its penalty and expected latency, or without.
        probabilities: chances of the options of each choice, (options,).
        task_loss: the loss that the penalty is added to or multiplied with.
    """
    chances = [given.detach().requires_grad_() for given in probabilities]
    if task.penalty is None or task.expected is None:
        return LatencyPull(1.0, [torch.zeros_like(given) for given in chances], None)
    expected = task.expected(task.space.by_choice(chances))
    loss, latency = (value.detach().requires_grad_() for value in (task_loss, expected))
    penalised = task.penalty(loss, latency)
    scale, slope = torch.autograd.grad(penalised, (loss, latency), materialize_grads=True)
    if isinstance(task.expected, Drawing):
        expected = task.expected(task.space.by_choice(chances))
    along = torch.autograd.grad(expected, chances, slope, materialize_grads=True)
    return LatencyPull(float(scale), list(along), latency.detach())
