"""The multilayer perceptron: repeatable, five layers deep, with a shortcut and a relaxation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import latbench
from latbench.errors import UnavailableError, UsageError
from latbench.prediction import metrics
from latbench.prediction.inputs import FloatArray, IntArray
from latbench.spaces.space import SearchSpace
from latbench_predictors import fully_connected
from latbench_predictors.fully_connected import Layers, Training
from latbench_predictors.mlp import MLP
from latbench_predictors.ridge import Ridge


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """A chain of eight places."""
    return latbench.space("digits-mobilenet")


@pytest.fixture(scope="module")
def X(space: SearchSpace) -> IntArray:
    """Networks to fit on, then a thousand to test on."""
    return space.sample(np.random.default_rng(0), 1600)


@pytest.fixture(scope="module")
def sums(space: SearchSpace, X: IntArray) -> FloatArray:
    """Latencies of ``X`` that are sums over options."""
    prices = np.random.default_rng(1).uniform(0.2, 1.0, sum(space.sizes))
    y: FloatArray = space.one_hot(X) @ prices
    return y


@pytest.fixture(scope="module")
def together(X: IntArray, sums: FloatArray) -> FloatArray:
    """The same where two neighbours cost 30 % more if both options have odd numbers."""
    y: FloatArray = sums * np.where((X[:, 0] % 2 == 1) & (X[:, 1] % 2 == 1), 1.3, 1.0)
    return y


@pytest.fixture(scope="module")
def fitted(space: SearchSpace, X: IntArray, together: FloatArray) -> MLP:
    """One whose network has found something."""
    mlp = MLP(space, width=32, epochs=40)
    return with_no_intervals(mlp, X, together)


def with_no_intervals(mlp: MLP, X: IntArray, y: FloatArray) -> MLP:
    """Return ``mlp`` fitted on 600 networks without the further fits that intervals take."""
    mlp._learn(X[:600], y[:600])
    mlp.scores_ = np.zeros(1)
    return mlp


def same(one: Layers, other: Layers) -> bool:
    """Return whether all weights and biases are equal to the bit."""
    pairs = zip(one, other, strict=True)
    return all(np.array_equal(a, b) for pair in pairs for a, b in zip(*pair, strict=True))


def learned(space: SearchSpace, X: IntArray, y: FloatArray, seed: int) -> Layers:
    """Return the layers of a short training."""
    mlp = MLP(space, width=16, epochs=5, seed=seed)
    mlp._learn(X[:200], y[:200])
    return mlp.layers_


def test_the_same_seed_gives_the_same_bits(
    space: SearchSpace, X: IntArray, together: FloatArray
) -> None:
    """Whatever torch was told before; and torch is left as it was."""
    torch.manual_seed(1)
    first = learned(space, X, together, seed=3)
    torch.manual_seed(2)
    torch.set_num_threads(2)
    before = torch.random.get_rng_state()
    with torch.inference_mode():
        second = learned(space, X, together, seed=3)
    assert same(first, second)
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.random.get_rng_state(), before)


def test_another_seed_gives_another_network(
    space: SearchSpace, X: IntArray, together: FloatArray
) -> None:
    """The seed draws weights, networks held out, and order."""
    assert not same(learned(space, X, together, seed=3), learned(space, X, together, seed=4))


def test_it_has_five_layers(space: SearchSpace, fitted: MLP) -> None:
    """Four hidden ones of the width, and one output."""
    shapes = [weights.shape for weights, _ in fitted.layers_]
    assert shapes == [(sum(space.sizes), 32), (32, 32), (32, 32), (32, 32), (32, 1)]
    assert [biases.shape for _, biases in fitted.layers_] == [(32,)] * 4 + [(1,)]


def test_numpy_evaluates_what_torch_trains(space: SearchSpace, X: IntArray, fitted: MLP) -> None:
    """In blocks of rows or at once."""
    encoded = space.one_hot(X)
    layers = [(torch.tensor(weights), torch.tensor(biases)) for weights, biases in fitted.layers_]
    wanted = fully_connected.forward(layers, torch.tensor(encoded))
    np.testing.assert_allclose(fully_connected.evaluate(fitted.layers_, encoded), wanted, 1e-9)


def test_training_stops_early_at_the_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends ``patience`` epochs after the best on networks held out, and returns that one."""
    rng = np.random.default_rng(0)
    encoded = np.eye(4)[rng.integers(0, 4, (400, 3))].reshape(400, 12)
    target = 2 * encoded[:, 0] * encoded[:, 4] + rng.normal(0, 0.3, 400)
    epochs = 0
    shuffled = torch.randperm

    def counted(*arguments: int, generator: torch.Generator) -> torch.Tensor:
        nonlocal epochs
        epochs += 1
        return shuffled(*arguments, generator=generator)

    def trained(most: int) -> Layers:
        how = Training(width=32, epochs=most, patience=4, batch=64, seed=0)
        return fully_connected.train(encoded, target, np.arange(400), how)

    monkeypatch.setattr(torch, "randperm", counted)
    layers = trained(2000)
    assert 4 < epochs < 200
    assert same(layers, trained(epochs - 4))
    assert not same(layers, trained(1))


def test_noise_leaves_the_network_at_zero(space: SearchSpace, X: IntArray) -> None:
    """Where there is nothing to be found in errors, it adds nothing to the shortcut."""
    target = np.random.default_rng(2).normal(0, 1, 400)
    how = Training(width=32, epochs=30, patience=5, batch=64, seed=0)
    weights, biases = fully_connected.train(space.one_hot(X[:400]), target, np.arange(400), how)[-1]
    assert not weights.any()
    assert not biases.any()


def test_the_shortcut_makes_an_exact_sum_exact(
    space: SearchSpace, X: IntArray, sums: FloatArray
) -> None:
    """And then its expectation is one too; a plain network only comes near."""
    new = X[600:]
    mlp = with_no_intervals(MLP(space), X, sums)
    plain = with_no_intervals(MLP(space, width=32, epochs=20, shortcut=False), X, sums)
    assert np.abs(mlp.predict(new) / sums[600:] - 1).max() < 1e-6
    assert mlp.expected_ms_refusal() is None
    assert 0.1 < metrics.mape(sums[600:], plain.predict(new)) < 10


def test_it_learns_what_options_cost_together(
    space: SearchSpace, X: IntArray, together: FloatArray, fitted: MLP
) -> None:
    """A sum over options cannot; so it offers no expectation."""
    ridge = Ridge(space, alpha="auto").fit(X[:600], together[:600])
    own, other = (metrics.mape(together[600:], one.predict(X[600:])) for one in (fitted, ridge))
    assert own < 0.7 * other
    with pytest.raises(UnavailableError):
        fitted.expected_ms({})


def certain(space: SearchSpace, X: IntArray) -> dict[str, torch.Tensor]:
    """Return architectures ``X`` (n, choices) as probabilities of 0 and 1."""
    return {
        choice.name: torch.eye(len(choice.options), dtype=torch.float64)[torch.tensor(chosen)]
        for choice, chosen in zip(space.choices, X.T, strict=True)
    }


def test_relaxed_is_the_prediction_where_choices_are_certain(
    space: SearchSpace, X: IntArray, fitted: MLP
) -> None:
    """At the corners of the simplex it has nothing to relax."""
    relaxed = fitted.relaxed_ms(certain(space, X[600:]))
    np.testing.assert_allclose(relaxed, fitted.predict(X[600:]), rtol=1e-9)


def test_relaxed_has_a_gradient(space: SearchSpace, fitted: MLP) -> None:
    """Between the corners its gradient in alpha is that of finite differences."""
    draw = torch.Generator().manual_seed(0)
    names = [choice.name for choice in space.choices]
    alphas = [
        torch.randn((2, size), generator=draw, dtype=torch.float64, requires_grad=True)
        for size in space.sizes
    ]

    def relaxed(*given: torch.Tensor) -> torch.Tensor:
        soft = (alpha.softmax(dim=-1) for alpha in given)
        return fitted.relaxed_ms(dict(zip(names, soft, strict=True)))

    assert torch.autograd.gradcheck(relaxed, alphas, eps=1e-7, atol=1e-5)
    gradients = torch.autograd.grad(relaxed(*alphas).sum(), alphas)
    assert all(bool(gradient.any()) for gradient in gradients)


def test_relaxed_checks_its_probabilities(space: SearchSpace, X: IntArray, fitted: MLP) -> None:
    """What is no distribution is refused."""
    name = space.choices[0].name
    given = certain(space, X[:1])
    with pytest.raises(UsageError, match=name):
        fitted.relaxed_ms({**given, name: 2 * given[name]})


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"width": 0}, "width is 0; give a whole number from 1"),
        ({"epochs": 1.5}, "epochs is 1.5"),
        ({"patience": "long"}, "patience is 'long'"),
        ({"batch": True}, "batch is True"),
        ({"seed": -1}, "seed is -1; give a whole number from 0"),
    ],
)
def test_what_is_no_number_of_anything_is_refused(
    space: SearchSpace, X: IntArray, sums: FloatArray, params: dict[str, object], says: str
) -> None:
    """The hyperparameter is named with its value."""
    with pytest.raises(UsageError, match=says):
        MLP(space, **params)._learn(X[:50], sums[:50])  # type: ignore[arg-type]
