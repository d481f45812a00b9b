"""Ridge on one-hot architectures: against scikit-learn, exactness, coverage."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge as ScikitRidge

import latbench
from latbench.errors import MissingMeasurementsError, UsageError
from latbench.spaces.space import SearchSpace
from latbench_predictors.lut import LUT
from latbench_predictors.regression import relative_weights
from latbench_predictors.ridge import Ridge


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return latbench.space("digits-mobilenet")


def sums(space: SearchSpace, X: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(9)
    return LUT(space, {block.key: rng.uniform(0.1, 2) for block in space.blocks}).accumulated(X)


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("alpha", [0.01, 1.0, 100.0])
def test_agrees_with_scikit_learn(space: SearchSpace, alpha: float, relative: bool) -> None:
    """It is scikit-learn's ridge on the one-hots, with sample weights where asked."""
    rng = np.random.default_rng(0)
    X, new = space.sample(rng, 60), space.sample(rng, 100)
    y = sums(space, X) * np.exp(rng.normal(0, 0.1, 60))
    weights = relative_weights(y) if relative else None
    other = ScikitRidge(alpha=alpha).fit(space.one_hot(X), y, sample_weight=weights)
    ours = Ridge(space, alpha=alpha, relative=relative).fit(X, y)
    np.testing.assert_allclose(ours.predict(new), other.predict(space.one_hot(new)), rtol=1e-9)


def test_exact_sums_are_found(space: SearchSpace) -> None:
    """Latencies that are sums of blocks are predicted to a millionth when alpha is chosen."""
    rng = np.random.default_rng(1)
    X, new = space.sample(rng, 400), space.sample(rng, 500)
    ridge = Ridge(space, alpha="auto").fit(X, sums(space, X))
    true_ms = sums(space, new)
    assert (np.abs(ridge.predict(new) - true_ms) / true_ms).max() < 1e-6


def test_alpha_grows_with_noise(space: SearchSpace) -> None:
    """With much noise on few networks, cross-validation shrinks harder than without."""
    rng = np.random.default_rng(2)
    X = space.sample(rng, 40)
    y = sums(space, X)
    noisy = y * np.exp(rng.normal(0, 0.5, 40))
    quiet_alpha = Ridge(space, alpha="auto").fit(X, y).alpha_
    assert Ridge(space, alpha="auto").fit(X, noisy).alpha_ > 100 * quiet_alpha


@pytest.mark.parametrize("alpha", [0, -1.0, float("nan"), "best"])
def test_bad_alphas_are_refused(space: SearchSpace, alpha: object) -> None:
    """Only numbers above zero and "auto" are strengths."""
    X = space.sample(np.random.default_rng(0), 20)
    with pytest.raises(UsageError, match='give a number above zero, or "auto"'):
        Ridge(space, alpha=alpha).fit(X, sums(space, X))  # type: ignore[arg-type]


def test_coverage_is_the_share_of_options_seen(space: SearchSpace) -> None:
    """An option that no fitted network had lowers the coverage by its choice."""
    rng = np.random.default_rng(3)
    X = space.sample(rng, 200)
    X = X[(X[:, 0] != 4) & (X[:, 1] != 4)]
    ridge = Ridge(space).fit(X, sums(space, X))
    new = np.zeros((3, 8), dtype=int)
    new[1, 0] = new[2, 0] = new[2, 1] = 4
    assert ridge.coverage_of(new) == pytest.approx([1, 7 / 8, 6 / 8])


def test_options_without_support_are_named(space: SearchSpace) -> None:
    """A strict prediction refuses an option that no fitted network had, and names it."""
    X = space.sample(np.random.default_rng(3), 200)
    ridge = Ridge(space).fit(X[X[:, 0] != 4], sums(space, X[X[:, 0] != 4]))
    choice = space.choices[0]
    new = np.zeros((3, 8), dtype=int)
    new[1, 0] = 4
    assert ridge.support_of(new).nothing == pytest.approx([0, 1 / 8, 0])
    with pytest.raises(MissingMeasurementsError, match="1 of 3 predictions rest in part") as told:
        ridge.predict(new, strict=True)
    assert f"to 12.5 % (unknown: {choice.name}={choice.options[4]})" in str(told.value)
    np.testing.assert_array_equal(ridge.predict(new[::2], strict=True), ridge.predict(new[::2]))


def test_weights_are_relative_up_to_the_median() -> None:
    """A network twice as slow as the median counts a quarter; one near zero counts no more."""
    weights = relative_weights(np.array([0.001, 1.0, 1.0, 1.0, 2.0]))
    assert weights / weights[1] == pytest.approx([1, 1, 1, 1, 0.25])
    assert weights.mean() == pytest.approx(1)
