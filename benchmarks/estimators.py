"""Gradient estimators of one-shot searches against exact enumeration: bias and variance.

Three choices of four options, values around 2 that are no sum over choices and, as a cross-entropy,
convex in what is mixed, 200,000 samples. A bias is given as the largest distance from the exact
gradient in standard errors of the mean: an unbiased one stays below four. The variance is the sum
over all logits. A baseline that is the mean of the other draws is that of all samples here, which a
search's few hundred draws come close to.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.table import Row
from latbench.hooks.relaxed import correlated_sample, gumbel_softmax, leave_one_out, unbiased

_CHOICES, _OPTIONS, _SAMPLES, _TEMPERATURE = 3, 4, 200_000, 0.4
_EVERY = torch.tensor(list(itertools.product(range(_OPTIONS), repeat=_CHOICES)))
_BIASED = "none: it is biased, and says so"


def rows() -> Iterator[Row]:
    """Yield a row an estimator."""
    problem = _Problem()
    exact = problem.exact()
    found = {
        "REINFORCE, without a baseline": problem.score_function(),
        "score function, mean of the others as the baseline": problem.baseline(),
        "UNAS: relaxed control variate and its redraw": problem.corrected(),
        "the same, and the baseline for what it leaves": problem.both(),
        "UNAS's without the redraw": problem.uncorrected(),
        "Gumbel-softmax alone": problem.relaxed(),
        "ProxylessNAS: gates, all options": problem.gates(),
        "ProxylessNAS: gates, two options": problem.gates(two=True),
    }
    plain = float(found["REINFORCE, without a baseline"].var(0).sum())
    for name, estimates in found.items():
        error = estimates.std(0) / _SAMPLES**0.5
        bias = float(((estimates.mean(0) - exact).abs() / error).max())
        variance = float(estimates.var(0).sum())
        is_unbiased = name not in (
            "UNAS's without the redraw",
            "Gumbel-softmax alone",
            "ProxylessNAS: gates, all options",
            "ProxylessNAS: gates, two options",
        )
        yield Row(
            f"gradient of the architecture: {name}",
            "4 standard errors" if is_unbiased else _BIASED,
            f"off by {bias:.1f} standard errors",
            f"variance {variance:.2f}, {variance / plain:.2f} × that of REINFORCE",
            bias < 4 if is_unbiased else bias > 4,
        )


class _Problem:
    """Logits of every choice, and a value of every architecture."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (_CHOICES, _OPTIONS)
        self.logits = torch.randn(shape, generator=generator, dtype=torch.float64)
        # Around 2, as losses lie above zero.
        size = (_OPTIONS,) * _CHOICES
        self.values = 2 + torch.randn(size, generator=generator, dtype=torch.float64)
        noise = torch.rand((2, _SAMPLES, *shape), generator=generator, dtype=torch.float64)
        self.uniform, self.again = noise.clamp(1e-12, 1 - 1e-12)

    def value(self, given: Tensor) -> Tensor:
        """Return the values (n,) of mixtures (n, choices, options), convex in what is mixed."""
        a, b, c = given.unbind(1)
        return F.softplus(torch.einsum("ni,nj,nk,ijk->n", a, b, c, self.values))

    def exact(self) -> Tensor:
        """Return the gradient of the mean value, (choices × options,)."""
        leaf = self.logits.clone().requires_grad_()
        chance = leaf.softmax(-1)[torch.arange(_CHOICES), _EVERY].prod(1)
        corners = F.one_hot(_EVERY, _OPTIONS).double()
        return torch.autograd.grad(chance @ self.value(corners), leaf)[0].flatten()

    def _leaf(self) -> Tensor:
        # A copy of the logits for each sample keeps their gradients apart.
        return self.logits.repeat(_SAMPLES, 1, 1).requires_grad_()

    @staticmethod
    def _each(loss: Tensor, leaf: Tensor) -> Tensor:
        return torch.autograd.grad(loss, leaf)[0].flatten(1)

    def score_function(self) -> Tensor:
        """Return estimates (samples, logits) from the values of what is drawn alone."""
        leaf = self._leaf()
        drawn = correlated_sample(leaf.log_softmax(-1), self.uniform, _TEMPERATURE)
        return self._each((drawn.log_chance.sum(1) * self.value(drawn.hard)).sum(), leaf)

    def baseline(self) -> Tensor:
        """Return the estimates of ``SampledLatency`` without a control."""
        leaf = self._leaf()
        drawn = correlated_sample(leaf.log_softmax(-1), self.uniform, _TEMPERATURE)
        hard = self.value(drawn.hard)
        return self._each(leave_one_out(drawn.log_chance.sum(1), hard).sum(), leaf)

    def corrected(self) -> Tensor:
        """Return the estimates of UNAS."""
        leaf = self._leaf()
        drawn = correlated_sample(leaf.log_softmax(-1), self.uniform, _TEMPERATURE)
        hard, relaxed = self.value(drawn.hard), self.value(drawn.relaxed)
        return self._each(unbiased(drawn.log_chance.sum(1), hard, relaxed).sum(), leaf)

    def both(self) -> Tensor:
        """Return the estimates of ``SampledLatency`` with a control."""
        leaf = self._leaf()
        drawn = correlated_sample(leaf.log_softmax(-1), self.uniform, _TEMPERATURE)
        hard, relaxed = self.value(drawn.hard), self.value(drawn.relaxed)
        left = leave_one_out(drawn.log_chance.sum(1), hard - relaxed)
        return self._each((left + relaxed).sum(), leaf)

    def uncorrected(self) -> Tensor:
        """Return the same with the relaxed sample's plain gradient."""
        leaf = self._leaf()
        log_chances = leaf.log_softmax(-1)
        drawn = correlated_sample(log_chances, self.uniform, _TEMPERATURE)
        plain = self.value(gumbel_softmax(log_chances, self.uniform, _TEMPERATURE))
        hard = self.value(drawn.hard)
        return self._each(unbiased(drawn.log_chance.sum(1), hard, plain).sum(), leaf)

    def relaxed(self) -> Tensor:
        """Return the gradient of the value of relaxed samples."""
        leaf = self._leaf()
        given = gumbel_softmax(leaf.log_softmax(-1), self.uniform, _TEMPERATURE)
        return self._each(self.value(given).sum(), leaf)

    def gates(self, two: bool = False) -> Tensor:
        """Return the estimates from one-hot gates: of all options, or of two that are drawn."""
        chances = self.logits.softmax(-1).expand(_SAMPLES, -1, -1)
        if two:
            # The largest of perturbed logarithms are draws without replacement.
            pair = (chances.log() - (-self.uniform.log()).log()).topk(2).indices
            chances = chances * torch.zeros_like(chances).scatter(-1, pair, 1.0)
            chances = chances / chances.sum(-1, keepdim=True)
        drawn = (chances.log() - (-self.again.log()).log()).argmax(-1)
        gates = F.one_hot(drawn, _OPTIONS).double().requires_grad_()
        slopes = self._each(self.value(gates).sum(), gates).reshape(gates.shape)
        mean = (chances * slopes).sum(-1, keepdim=True)
        return (chances * (slopes - mean)).flatten(1)
