"""Relaxed samples: what they are, and estimates that equal exact enumeration."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from latbench.hooks.relaxed import correlated_sample, gumbel_softmax, leave_one_out, unbiased

SIZES = (3, 4, 2)
SAMPLES = 60_000
TEMPERATURE = 0.4
EVERY = torch.tensor(list(itertools.product(*map(range, SIZES))))

Value = Callable[[list[Tensor]], Tensor]


def logits() -> list[Tensor]:
    """Return unequal logits."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(size, generator=generator, dtype=torch.float64) for size in SIZES]


def uniform(n: int, size: int, seed: int) -> Tensor:
    """Return draws from (0, 1)."""
    drawn = torch.rand(n, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.clamp(1e-12, 1 - 1e-12)


def table(given: list[Tensor]) -> Tensor:
    """Return a value that is no sum over choices, continued between the corners."""
    a, b, c = given
    mixed = torch.einsum("ni,nj,nk,ijk->n", a, b, c, _values())
    return mixed + a[:, 0] * 2


def _values() -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(*SIZES, generator=generator, dtype=torch.float64)


def linear(given: list[Tensor]) -> Tensor:
    """Return a surrogate that is a sum."""
    return sum(one @ torch.arange(one.shape[1], dtype=one.dtype) for one in given)  # type: ignore[return-value]


def network(given: list[Tensor]) -> Tensor:
    """Return a surrogate that is far from anything."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        layers = nn.Sequential(nn.Linear(sum(SIZES), 16), nn.Tanh(), nn.Linear(16, 1)).double()
    told: Tensor = layers(torch.cat(given, dim=1))
    return told[:, 0]


def exact() -> Tensor:
    """Return the gradient of the mean of ``table`` in all logits, by enumeration."""
    leaves = [one.requires_grad_() for one in logits()]
    corners = [nn.functional.one_hot(EVERY[:, c], size).double() for c, size in enumerate(SIZES)]
    chance = torch.stack([one.softmax(-1)[EVERY[:, c]] for c, one in enumerate(leaves)]).prod(dim=0)
    return torch.cat(torch.autograd.grad(chance @ table(corners), leaves))


def estimates(surrogate: Value, correct: bool = True) -> Tensor:
    """Return one estimate of that gradient a sample, (samples, logits)."""
    # A copy of the logits for each sample keeps their gradients apart.
    leaves = [one.repeat(SAMPLES, 1).requires_grad_() for one in logits()]
    samples = [
        correlated_sample(one.log_softmax(-1), uniform(SAMPLES, size, seed), TEMPERATURE)
        for seed, (one, size) in enumerate(zip(leaves, SIZES, strict=True))
    ]
    relaxed = [one.relaxed for one in samples]
    if not correct:
        relaxed = [
            gumbel_softmax(one.log_softmax(-1), uniform(SAMPLES, size, seed), TEMPERATURE)
            for seed, (one, size) in enumerate(zip(leaves, SIZES, strict=True))
        ]
    hard = table([one.hard for one in samples])
    log_chance = torch.stack([one.log_chance for one in samples]).sum(0)
    loss = unbiased(log_chance, hard, surrogate(relaxed))
    return torch.cat(torch.autograd.grad(loss.sum(), leaves), dim=1)


def deviation(found: Tensor) -> float:
    """Return the largest distance from the exact gradient, in standard errors."""
    error = found.std(0) / SAMPLES**0.5
    return float(((found.mean(0) - exact()).abs() / error).max())


@pytest.mark.parametrize("surrogate", [table, linear, network])
def test_the_estimate_is_unbiased_for_any_surrogate(surrogate: Value) -> None:
    """Its mean is the gradient that enumeration gives, within four standard errors."""
    assert deviation(estimates(surrogate)) < 4


def test_without_the_redraw_it_is_biased() -> None:
    """The same estimate with the plain gradient of the relaxed sample is far off."""
    assert deviation(estimates(table, correct=False)) > 8


def test_a_good_surrogate_lessens_the_variance() -> None:
    """Against the score function alone, which is the estimate with a surrogate of zero."""

    def nothing(given: list[Tensor]) -> Tensor:
        return 0 * given[0].sum(1)

    with_, without = (estimates(one).var(0).sum() for one in (table, nothing))
    assert with_ < 0.8 * without


@pytest.mark.parametrize("draws", [2, 30])
def test_the_mean_of_the_others_is_a_baseline_without_bias(draws: int) -> None:
    """However few draws there are; and it lessens the variance of the score function alone."""
    leaves = [one.repeat(SAMPLES, 1).requires_grad_() for one in logits()]
    samples = [
        correlated_sample(one.log_softmax(-1), uniform(SAMPLES, size, seed), TEMPERATURE)
        for seed, (one, size) in enumerate(zip(leaves, SIZES, strict=True))
    ]
    values = 5 + table([one.hard for one in samples])
    log_chance = torch.stack([one.log_chance for one in samples]).sum(0)
    alone, based = (
        torch.cat(torch.autograd.grad(loss.sum(), leaves, retain_graph=True), dim=1)
        for loss in (
            log_chance * values,
            leave_one_out(log_chance.reshape(-1, draws), values.reshape(-1, draws)),
        )
    )
    means = based.reshape(-1, draws, based.shape[1]).mean(1)
    error = means.std(0) / len(means) ** 0.5
    assert bool(((means.mean(0) - exact()).abs() < 4 * error).all())
    assert means.var(0).sum() * draws < 0.5 * alone.var(0).sum()


def test_relaxed_and_redrawn_samples_have_the_values_of_the_draw() -> None:
    """``relaxed`` is the Gumbel-softmax sample, and ``hard`` its largest entry."""
    (given, *_) = logits()
    noise = uniform(1000, len(given), 1)
    sample = correlated_sample(given.log_softmax(-1), noise, TEMPERATURE)
    plain = gumbel_softmax(given.log_softmax(-1), noise, TEMPERATURE)
    torch.testing.assert_close(sample.relaxed, plain)
    assert torch.equal(sample.hard.argmax(-1), plain.argmax(-1))
    torch.testing.assert_close(sample.log_chance, given.log_softmax(-1)[sample.hard.argmax(-1)])


def test_a_rare_option_is_drawn_at_its_rate() -> None:
    """One in ten thousand comes up as often as that."""
    chances = torch.tensor([1e-4, 0.5, 0.4999], dtype=torch.float64)
    drawn = np.zeros(3)
    for seed in range(4):
        sample = correlated_sample(chances.log(), uniform(500_000, 3, seed), TEMPERATURE)
        drawn += sample.hard.sum(0).numpy()
    expected = 2_000_000 * chances.numpy()
    assert (abs(drawn - expected) < 4 * np.sqrt(expected)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_chance_too_small_for_a_float_spoils_nothing(dtype: torch.dtype) -> None:
    """The option is not drawn, and values and gradients of the others stay finite."""
    leaf = torch.tensor([0.0, 1.0, -2000.0], dtype=dtype, requires_grad=True)
    noise = uniform(1000, 3, 4).to(dtype).clamp(1e-7, 1 - 1e-7)
    sample = correlated_sample(leaf.log_softmax(-1), noise, TEMPERATURE)
    assert float(sample.hard[:, 2].sum()) == 0
    loss = unbiased(sample.log_chance, sample.hard[:, 0], (sample.relaxed**2)[:, 0])
    (slope,) = torch.autograd.grad(loss.mean(), leaf)
    assert bool(torch.isfinite(sample.relaxed).all())
    assert bool(torch.isfinite(slope).all())
    assert float(slope[0].abs()) > 1e-3


def test_a_cold_sample_is_one_hot() -> None:
    """As the temperature goes to zero the sample goes to its largest entry."""
    (given, *_) = logits()
    sample = gumbel_softmax(given, uniform(1000, len(given), 2), 1e-4)
    assert (sample.max(-1).values > 1 - 1e-6).double().mean() > 0.99
