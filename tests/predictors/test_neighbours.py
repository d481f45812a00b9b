"""What options cost beside their neighbours: found where it is, and left out where it is not."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import latbench
from latbench.prediction.expectation import ChoiceSum
from latbench.prediction.inputs import FloatArray, IntArray
from latbench.predictor import Predictor
from latbench.spaces import SearchSpace
from latbench.testing.predictors import CARD, TARGET
from latbench_predictors.lut import LUT
from latbench_predictors.neighbours import Neighbours

SIZES = (3, 2, 4)
ADDENDS = st.integers(0, 2**32 - 1).map(
    lambda seed: Neighbours.from_flat(
        np.random.default_rng(seed).normal(size=3 + 2 + 4 + 6 + 8), SIZES
    )
)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """Eight places of up to five options."""
    return latbench.space("digits-mobilenet", image_size=8)


@pytest.fixture(scope="module")
def block_ms(space: SearchSpace) -> dict[str, float]:
    rng = np.random.default_rng(5)
    return {block.key: rng.uniform(0.5, 2.0) for block in space.blocks}


def everything() -> IntArray:
    return np.indices(SIZES).reshape(len(SIZES), -1).T


def measured(
    space: SearchSpace, block_ms: dict[str, float], n: int, saved: float, noise: float, seed: int
) -> tuple[IntArray, FloatArray]:
    """Return networks whose equal neighbours save each other a share of the mean block."""
    rng = np.random.default_rng(seed)
    X = space.sample(rng, n)
    y = 1.0 + 1.1 * LUT(space, block_ms).accumulated(X)
    y -= saved * (X[:, 1:] == X[:, :-1]).sum(axis=1)
    return X, y * np.exp(rng.normal(0, noise, n))


def error(lut: LUT, X: IntArray, y: FloatArray) -> float:
    return float(np.mean(np.abs(lut.predict(X) / y - 1)))


def test_what_neighbours_save_is_found(space: SearchSpace, block_ms: dict[str, float]) -> None:
    """With 400 networks the error is less than half that of the line alone."""
    X, y = measured(space, block_ms, 400, saved=0.5, noise=0.002, seed=0)
    fresh = measured(space, block_ms, 300, saved=0.5, noise=0.0, seed=1)
    line = LUT(space, block_ms, calibration="affine").fit(X, y)
    pairs = LUT(space, block_ms).fit(X, y)
    assert pairs.neighbours_ is not None
    assert error(pairs, *fresh) < 0.5 * error(line, *fresh)


def test_a_sum_stays_a_sum(space: SearchSpace, block_ms: dict[str, float]) -> None:
    """Noise is not taken for neighbours: hardly ever, and then at next to no cost."""
    fresh = measured(space, block_ms, 300, saved=0.0, noise=0.0, seed=99)
    found = 0
    for seed in range(10):
        X, y = measured(space, block_ms, 60, saved=0.0, noise=0.01, seed=seed)
        line = LUT(space, block_ms, calibration="affine").fit(X, y)
        pairs = LUT(space, block_ms).fit(X, y)
        found += pairs.neighbours_ is not None
        assert error(pairs, *fresh) < error(line, *fresh) + 0.003
    assert found <= 2


def test_exact_sums_have_no_neighbours(space: SearchSpace, block_ms: dict[str, float]) -> None:
    """What is left by rounding is nobody's cost."""
    X, y = measured(space, block_ms, 100, saved=0.0, noise=0.0, seed=0)
    assert LUT(space, block_ms).fit(X, y).neighbours_ is None


def test_few_networks_give_a_line(space: SearchSpace, block_ms: dict[str, float]) -> None:
    """Below twenty networks nothing but the line is fitted."""
    X, y = measured(space, block_ms, 19, saved=0.5, noise=0.0, seed=0)
    assert LUT(space, block_ms).fit(X, y).neighbours_ is None


def test_the_expectation_of_pairs_is_exact(space: SearchSpace, block_ms: dict[str, float]) -> None:
    """The mean over all options of three neighbours equals the formula, to 1e-9."""
    X, y = measured(space, block_ms, 300, saved=0.5, noise=0.002, seed=0)
    lut = LUT(space, block_ms).fit(X, y)
    assert lut.neighbours_ is not None
    torch.manual_seed(0)
    start = X[0].copy()
    probabilities = {
        choice.name: torch.eye(size, dtype=torch.float64)[start[column]]
        for column, (choice, size) in enumerate(zip(space.choices, space.sizes, strict=True))
    }
    free = (2, 3, 4)
    for column in free:
        rows = torch.rand(2, space.sizes[column], dtype=torch.float64).softmax(-1)
        probabilities[space.choices[column].name] = rows
    probabilities = {name: rows.expand(2, -1) for name, rows in probabilities.items()}
    mean = np.zeros(2)
    for options in itertools.product(*(range(space.sizes[column]) for column in free)):
        x = start.copy()
        x[list(free)] = options
        chance = np.ones(2)
        for column, option in zip(free, options, strict=True):
            chance = chance * probabilities[space.choices[column].name][:, option].numpy()
        mean += chance * lut.predict(x)[0]
    np.testing.assert_allclose(lut.expected_ms(probabilities).numpy(), mean, rtol=1e-9)


def test_neighbours_survive_saving(
    space: SearchSpace, block_ms: dict[str, float], tmp_path: Path
) -> None:
    """What was loaded predicts bit for bit what was saved."""
    X, y = measured(space, block_ms, 100, saved=0.5, noise=0.002, seed=0)
    lut = LUT(space, block_ms).fit(X, y)
    assert lut.neighbours_ is not None
    lut.save(tmp_path / "lut", TARGET, CARD)
    fresh = space.sample(np.random.default_rng(8), 50)
    assert (Predictor.load(tmp_path / "lut").predict(fresh) == lut.predict(fresh)).all()


@given(ADDENDS)
def test_addends_are_those_of_options_and_pairs(addends: Neighbours) -> None:
    """The lookup equals the sum written out, and the flat form holds everything."""
    X = everything()
    expected = [
        sum(own[option] for own, option in zip(addends.options_ms, x, strict=True))
        + sum(
            pairs[one, other]
            for pairs, one, other in zip(addends.pairs_ms, x[:-1], x[1:], strict=True)
        )
        for x in X
    ]
    np.testing.assert_allclose(addends.addends(X), expected, atol=1e-12)
    again = Neighbours.from_flat(addends.flat, SIZES)
    assert (again.addends(X) == addends.addends(X)).all()


@given(ADDENDS)
def test_the_fastest_is_found_choice_by_choice(addends: Neighbours) -> None:
    """The lowest of all architectures, pairs counted."""
    names = ("a", "b", "c")
    total = ChoiceSum(
        2.0,
        dict(zip(names, addends.options_ms, strict=True)),
        dict(zip(names, addends.pairs_ms, strict=False)),
    )
    assert total.lowest_ms == pytest.approx(2.0 + addends.addends(everything()).min())
