"""The sampled expectation: unbiased in value and gradient, and as noisy as it says."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
import torch

import latbench
from latbench.errors import UsageError
from latbench.hooks import ExpectedLatency, SampledLatency, relaxed_latency
from latbench.hooks.expected import Expected
from latbench.predictor import Predictor
from latbench.spaces.space import SearchSpace

ROWS = 2000
"""Independent estimates, taken in one call on as many rows of the same probabilities."""


@pytest.fixture(scope="module")
def small() -> SearchSpace:
    """Three places: 125 architectures."""
    return latbench.space("digits-mobilenet", settings=[[16, 3, 1]])


@pytest.fixture(scope="module")
def network(small: SearchSpace) -> Predictor:
    """A predictor that is no sum over choices, so that the expectation has no formula."""
    X = small.check(list(itertools.product(*map(range, small.sizes))))
    y = 1 + X.sum(axis=1) + 2.0 * (X[:, 0] == X[:, 1])
    mlp = latbench.predictor("mlp").for_table(small, None, width=16, shortcut=False, epochs=15)
    fitted = mlp.fit(X, y)
    assert fitted.expected_ms_refusal() is not None
    return fitted


@pytest.fixture(scope="module")
def alphas(small: SearchSpace) -> list[torch.Tensor]:
    """Architecture parameters of each choice (options,)."""
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(size, generator=draw, dtype=torch.float64) for size in small.sizes]


def estimates(
    predictor: Predictor,
    alphas: list[torch.Tensor],
    samples: int,
    seed: int = 0,
    control: Expected | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return estimates (rows,) in ms, and their gradients in all alphas (rows, options)."""
    rows = [alpha.expand(ROWS, -1).clone().requires_grad_() for alpha in alphas]
    names = [choice.name for choice in predictor.space.choices]
    soft = {name: row.softmax(dim=-1) for name, row in zip(names, rows, strict=True)}
    values = SampledLatency(predictor, samples, seed, control)(soft)
    return values.detach(), torch.cat(torch.autograd.grad(values.sum(), rows), dim=-1)


def exact(predictor: Predictor, alphas: list[torch.Tensor]) -> tuple[float, torch.Tensor]:
    """Return the mean over all architectures in ms, and its gradient in all alphas (options,)."""
    given = [alpha.clone().requires_grad_() for alpha in alphas]
    every = list(itertools.product(*(range(len(alpha)) for alpha in alphas)))
    latencies = torch.tensor(predictor.predict(every))
    chances = torch.ones(len(every), dtype=torch.float64)
    for alpha, column in zip(given, torch.tensor(every).T, strict=True):
        chances = chances * alpha.softmax(dim=-1)[column]
    value = chances @ latencies
    return value.item(), torch.cat(torch.autograd.grad(value, given))


def first_alone(chances: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return the latency (...) of a control that is far from anything."""
    first = next(iter(chances.values()))
    return 3.0 - 10.0 * first[..., 0] ** 2


CONTROLS = ["none", "relaxed", "enumerated", "bad"]


def control_of(name: str, network: Predictor) -> Expected | None:
    """Return the control of this name."""
    return {
        "none": None,
        "relaxed": relaxed_latency(network),
        "enumerated": ExpectedLatency(network),
        "bad": first_alone,
    }[name]


@pytest.mark.parametrize("samples", [2, 16])
@pytest.mark.parametrize("control", CONTROLS)
def test_value_and_gradient_are_unbiased(
    network: Predictor, alphas: list[torch.Tensor], samples: int, control: str
) -> None:
    """Their means over 2,000 calls are the exact ones, within four standard errors of each."""
    values, gradients = estimates(network, alphas, samples, control=control_of(control, network))
    value, gradient = exact(network, alphas)
    error = values.std() / ROWS**0.5
    assert abs(values.mean() - value) < 4 * error
    assert error < 0.02 * value
    errors = gradients.std(dim=0) / ROWS**0.5
    assert bool(((gradients.mean(dim=0) - gradient).abs() < 4 * errors).all())
    if control != "bad":  # which makes much noise
        # The bound is no empty one: gradients are told from zero.
        assert bool((gradient.abs() > 10 * errors).any())


def test_variance_falls_as_one_over_samples(network: Predictor, alphas: list[torch.Tensor]) -> None:
    """Eight times the samples, an eighth of the variance, of value and gradient."""
    few, many = (estimates(network, alphas, samples) for samples in (24, 192))
    for one, other in zip(few, many, strict=True):
        ratios = one.var(dim=0) / other.var(dim=0)
        assert bool(((ratios > 8 * 0.75) & (ratios < 8 * 1.33)).all())


def test_a_good_control_lessens_the_variance_of_the_gradient(
    network: Predictor, alphas: list[torch.Tensor]
) -> None:
    """Beside that of the baseline; a bad one, which does not bias it, makes it larger."""

    def spread_of(name: str) -> float:
        _, gradients = estimates(network, alphas, 16, control=control_of(name, network))
        return float(gradients.var(0).sum())

    spread = {name: spread_of(name) for name in CONTROLS}
    assert spread["enumerated"] < 0.8 * spread["none"] < spread["bad"]


def test_it_says_that_it_samples(network: Predictor) -> None:
    """As the exact one says how it is exact."""
    assert SampledLatency(network).method == "sampling"


def test_whoever_keeps_the_generator_keeps_the_draws(
    network: Predictor, alphas: list[torch.Tensor]
) -> None:
    """Another's generator takes the place of its own, which is left where it was."""
    names = [choice.name for choice in network.space.choices]
    soft = {name: alpha.softmax(dim=-1) for name, alpha in zip(names, alphas, strict=True)}
    own, rng = SampledLatency(network, samples=4), np.random.default_rng(8)
    other = own.drawing_from(rng)
    saved = rng.bit_generator.state
    first = [float(other(soft)) for _ in range(3)]
    rng.bit_generator.state = saved
    assert [float(other(soft)) for _ in range(3)] == first
    assert float(own(soft)) == float(SampledLatency(network, samples=4)(soft))


def test_an_estimate_is_no_control(network: Predictor) -> None:
    """It is no function of what was drawn; and a predictor may have nothing that is."""
    with pytest.raises(UsageError, match="no control variate"):
        SampledLatency(network, control=SampledLatency(network))
    space = latbench.space("digits-mobilenet")
    X = space.sample(np.random.default_rng(0), 30)
    flops = latbench.predictor("flops").for_table(space, None).fit(X, 1e-6 * space.macs(X))
    assert relaxed_latency(flops) is None


@pytest.mark.parametrize("control", ["none", "relaxed"])
def test_half_precision_is_taken(small: SearchSpace, network: Predictor, control: str) -> None:
    """Nothing overflows, whatever is drawn."""
    given = {
        choice.name: torch.randn(size, generator=torch.Generator().manual_seed(size))
        .softmax(-1)
        .bfloat16()
        .requires_grad_()
        for choice, size in zip(small.choices, small.sizes, strict=True)
    }
    found = SampledLatency(network, samples=4096, control=control_of(control, network))(given)
    gradients = torch.autograd.grad(found, list(given.values()))
    assert all(bool(torch.isfinite(one).all()) for one in (found, *gradients))


def test_certain_choices_are_their_prediction(small: SearchSpace, network: Predictor) -> None:
    """There is nothing to draw, so there is no noise; leading axes are kept."""
    X = small.sample(np.random.default_rng(1), 6)
    given = {
        choice.name: torch.eye(size, dtype=torch.float64)[torch.tensor(column)].reshape(2, 3, size)
        for choice, size, column in zip(small.choices, small.sizes, X.T, strict=True)
    }
    found = SampledLatency(network, samples=2)(given)
    np.testing.assert_allclose(found, network.predict(X).reshape(2, 3), rtol=1e-12)
    single = SampledLatency(network, samples=2)({name: one[0, 0] for name, one in given.items()})
    assert single.shape == ()


def test_the_seed_gives_the_draws(network: Predictor, alphas: list[torch.Tensor]) -> None:
    """Equal seeds, equal estimates; and a second call draws anew."""
    first, same, other = (estimates(network, alphas, 2, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    sampled = SampledLatency(network, samples=2, seed=1)
    names = [choice.name for choice in network.space.choices]
    soft = {name: alpha.softmax(dim=-1) for name, alpha in zip(names, alphas, strict=True)}
    assert len({float(sampled(soft)) for _ in range(5)}) > 1


def test_options_without_a_chance_are_never_drawn(small: SearchSpace, network: Predictor) -> None:
    """Neither a zero at the end nor one in front is chosen; single precision is kept."""
    size = small.sizes[0]
    half = torch.zeros(size)
    half[1:3] = 0.5
    given = {choice.name: half.clone().requires_grad_() for choice in small.choices}
    found = SampledLatency(network, samples=512)(given)
    every = network.predict(list(itertools.product((1, 2), repeat=len(small.choices))))
    assert found.dtype == torch.float32
    assert every.min() <= found.item() <= every.max()
    gradients = torch.autograd.grad(found, list(given.values()))
    assert all(not bool(one[[0, 3, 4]].any()) for one in gradients)


@pytest.mark.parametrize("samples", [1, 0, -3])
def test_one_sample_is_refused(network: Predictor, samples: int) -> None:
    """It has no others whose mean could be its baseline."""
    with pytest.raises(UsageError, match="give at least 2"):
        SampledLatency(network, samples=samples)


def test_it_checks_its_probabilities(network: Predictor, alphas: list[torch.Tensor]) -> None:
    """Rows that do not sum to one are refused, and so is a missing choice."""
    names = [choice.name for choice in network.space.choices]
    with pytest.raises(UsageError, match="give softmax"):
        SampledLatency(network)(dict(zip(names, alphas, strict=True)))
    with pytest.raises(UsageError, match="no probabilities for the choice"):
        SampledLatency(network)({names[0]: alphas[0].softmax(dim=-1)})
