"""The predictor keeps its contract, and does what its name says."""

from __future__ import annotations

from collections.abc import Mapping

import latbench
import numpy as np
import pytest
from latbench.errors import UsageError
from latbench.predictor import Predictor
from latbench.spaces import SearchSpace
from latbench.testing.predictors import PredictorSuite

from latbench_example.nearest import NearestNetworks


class TestNearestNetworks(PredictorSuite):
    """Every rule of the contract."""

    def make_predictor(self, space: SearchSpace, block_ms: Mapping[str, float]) -> Predictor:
        """Return the predictor under test; this kind needs no blocks."""
        return NearestNetworks(space)


def test_one_neighbour_repeats_what_was_measured() -> None:
    """With one neighbour, a measured network is predicted as measured, and fully covered."""
    space = latbench.space("digits-mobilenet")
    X = np.unique(space.sample(np.random.default_rng(0), 20), axis=0)
    y = np.linspace(1.0, 2.0, len(X))
    predictor = NearestNetworks(space, neighbours=1).fit(X, y)
    np.testing.assert_allclose(predictor.predict(X), y)
    np.testing.assert_allclose(predictor.coverage_of(X), 1.0)


def test_no_neighbours_are_refused() -> None:
    """A mean of nothing is refused where the fit begins."""
    space = latbench.space("digits-mobilenet")
    X = space.sample(np.random.default_rng(0), 10)
    with pytest.raises(UsageError, match="neighbours is 0"):
        NearestNetworks(space, neighbours=0).fit(X, np.ones(10))
