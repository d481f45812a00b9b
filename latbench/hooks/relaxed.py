"""Samples of discrete choices that a gradient can pass through, and estimates made of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def gumbel_softmax(log_chances: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    """Return relaxed one-hot samples (..., options) with a gradient in ``log_chances``.

    The concrete distribution (Maddison et al., arXiv 1611.00712; Jang et al., arXiv 1611.01144): at
    temperature 0 a one-hot sample of the chances, biased above it.

    Args:
        log_chances: logarithms of chances, or logits, (options,) or as ``uniform`` broadcasts.
        uniform: draws from (0, 1), (..., options).
        temperature: above zero.
    """
    return ((log_chances + _gumbel(uniform)) / temperature).softmax(-1)


@dataclass(frozen=True, eq=False)
class CorrelatedSample:
    """A one-hot sample, a relaxed one from the same noise, and what corrects for the latter.

    Attributes:
        hard: one-hot (..., options), without gradient.
        relaxed: (..., options) with the values of a Gumbel-softmax sample. Its gradient is that of
            the sample less that of its redraw given ``hard``, whose value is the same.
        log_chance: logarithm of the chance of ``hard``, (...), with gradient.
    """

    hard: Tensor
    relaxed: Tensor
    log_chance: Tensor


def correlated_sample(log_chances: Tensor, uniform: Tensor, temperature: float) -> CorrelatedSample:
    """Return a one-hot sample with the control variate of REBAR (Tucker et al., arXiv 1703.07370).

    UNAS (Vahdat et al., arXiv 1912.07651, section 3.1) has it for the options of a network;
    :func:`unbiased` makes the estimate of it.

    Args:
        log_chances: logarithms of chances that sum to one, (options,) or as ``uniform`` broadcasts.
        uniform: draws from (0, 1), (..., options).
        temperature: above zero.
    """
    noisy = log_chances + _gumbel(uniform)
    hard = torch.nn.functional.one_hot(noisy.argmax(-1), noisy.shape[-1]).to(noisy.dtype)
    # What the noise is like given the winner, written as uniform draws that do not depend on the
    # chances: of the winner, and of the others below it.
    with torch.no_grad():
        # Of minus the logarithms of these draws, the logarithms: a chance may be too small for a
        # float, and must neither be divided by nor lost.
        winner = -(noisy * hard).sum(-1, keepdim=True)
        left = -uniform.log() - (log_chances + winner).exp()
        others = left.clamp(min=torch.finfo(left.dtype).tiny).log()
    below = -torch.logaddexp(others - log_chances, winner)
    redrawn = torch.where(hard > 0, -winner, below)
    sample = (noisy / temperature).softmax(-1)
    again = (redrawn / temperature).softmax(-1)
    return CorrelatedSample(
        hard=hard,
        relaxed=sample - again + again.detach(),
        log_chance=(hard * log_chances).sum(-1),
    )


def unbiased(log_chance: Tensor, hard: Tensor, relaxed: Tensor) -> Tensor:
    """Return what to differentiate, (...), for the gradient of the mean of ``hard``.

    For any two functions ``f`` and ``c``, the mean of
    ``(f(hard) - c(relaxed)) * d log_chance + d c(relaxed)`` is the gradient of the mean of
    ``f(hard)`` (UNAS, equation 5); the closer ``c`` follows ``f``, the less it varies. ``c`` must
    be one function, with its own gradient: not an estimate that draws anew.

    Args:
        log_chance: of what was drawn, (...).
        hard: its value ``f``, (...); its gradient is left out.
        relaxed: ``c`` of the relaxed sample (...), with the gradient that
            :class:`CorrelatedSample` gives it.
    """
    return log_chance * (hard - relaxed).detach() + relaxed


def leave_one_out(log_chance: Tensor, values: Tensor) -> Tensor:
    """Return what to differentiate, (..., n), for the gradient of the mean of ``values``.

    The score function of Williams (1992); the baseline of each draw is the mean of the others
    (Kool et al., *Buy 4 REINFORCE samples, get a baseline for free*, 2019).

    Args:
        log_chance: of each of ``n`` independent draws, (..., n), ``n`` at least 2.
        values: of these, (..., n); their gradient is left out.
    """
    draws = values.shape[-1]
    above = (values - values.mean(-1, keepdim=True)).detach() * draws / (draws - 1)
    return log_chance * above


def _gumbel(uniform: Tensor) -> Tensor:
    return -(-uniform.log()).log()
