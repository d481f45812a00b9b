"""What the checks on predictors work with: a space, latencies, a predictor fitted and saved."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latbench import registry
from latbench.prediction.inputs import FloatArray, IntArray
from latbench.predictor import Predictor
from latbench.spaces.space import SearchSpace
from latbench.target import Target

TARGET = Target("cpu", "onnxruntime", "1.20.0")
CARD: Mapping[str, Any] = {
    "data": "220 synthetic networks",
    "scores": {"mape": 2.0, "spearman": 0.9},
    "baselines": {"mean": {"mape": 20.0, "spearman": None}},
    "made": "latbench fit-predictor",
}

Data = tuple[IntArray, FloatArray]

_FITTED: dict[tuple[object, ...], Predictor] = {}


class PredictorFixtures(ABC):
    """A predictor, fitted and saved, on synthetic latencies.

    They are ``0.2 ms + 0.9 * sum of blocks`` with 2 % noise on ``digits-mobilenet``; where a space
    has no networks, the sum is one of options.
    """

    @abstractmethod
    def make_predictor(self, space: SearchSpace, block_ms: Mapping[str, float]) -> Predictor:
        """Return the predictor under test, unfitted.

        Args:
            space: whose architectures it is to take.
            block_ms: measured latency by block key, of every block; empty where the space has no
                networks.
        """

    def make_space(self) -> SearchSpace:
        """Return the space; override it for a predictor that takes only certain ones."""
        space: SearchSpace = registry.load(registry.SPACES, "digits-mobilenet")()
        return space

    @pytest.fixture
    def space(self) -> SearchSpace:
        """The space under :meth:`make_space`."""
        return self.make_space()

    @pytest.fixture
    def block_ms(self, space: SearchSpace) -> dict[str, float]:
        """A latency for every block, if there are any: faster for fewer multiply-accumulates."""
        rng = np.random.default_rng(7)
        blocks = space.blocks if space.has_networks else ()
        scale = max((block.macs for block in blocks), default=0)
        return {
            block.key: float(0.02 + block.macs / scale * rng.uniform(0.3, 0.5)) for block in blocks
        }

    @pytest.fixture
    def data(self, space: SearchSpace, block_ms: dict[str, float]) -> Data:
        """Measured networks to fit on."""
        return self.measured(space, block_ms, 220, seed=1)

    @pytest.fixture
    def new(self, space: SearchSpace, block_ms: dict[str, float]) -> Data:
        """Measured networks to test on."""
        return self.measured(space, block_ms, 600, seed=2)

    @pytest.fixture
    def predictor(self, space: SearchSpace, block_ms: dict[str, float]) -> Predictor:
        """The unfitted predictor."""
        return self.make_predictor(space, block_ms)

    @pytest.fixture
    def fitted(self, predictor: Predictor, space: SearchSpace, data: Data) -> Predictor:
        """The predictor, fitted: a copy of the one that was, where an equal one was on the data.

        Two fits on the same data are the same, which has a check of its own.
        """
        params = {name: value for name, value in predictor.get_params().items() if name != "space"}
        given = json.dumps(params, sort_keys=True), *(array.tobytes() for array in data)
        key = (type(predictor), space.id, *given)
        if key not in _FITTED:
            _FITTED[key] = predictor.fit(*data)
        return copy(_FITTED[key])

    @pytest.fixture
    def saved(self, fitted: Predictor, tmp_path: Path) -> Path:
        """The folder into which it was saved."""
        folder = tmp_path / "predictor"
        fitted.save(folder, TARGET, CARD)
        return folder

    @staticmethod
    def measured(space: SearchSpace, block_ms: Mapping[str, float], n: int, seed: int) -> Data:
        """Return ``n`` architectures (n, choices) and their synthetic latencies (n,) in ms."""
        rng = np.random.default_rng(seed)
        X = space.sample(rng, n)
        if space.has_networks:
            total = space.path(X) @ np.array([block_ms[block.key] for block in space.blocks])
        else:
            one_hot = space.one_hot(X)
            total = one_hot @ np.random.default_rng(7).uniform(0.02, 0.5, one_hot.shape[1])
        return X, (0.2 + 0.9 * total) * np.exp(rng.normal(0, 0.02, n))
