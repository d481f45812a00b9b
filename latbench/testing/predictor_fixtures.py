"""What the checks on predictors work with: a space, latencies, a predictor fitted and saved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
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


class PredictorFixtures(ABC):
    """A predictor, fitted and saved, on synthetic latencies.

    They are ``0.2 ms + 0.9 * sum of blocks`` with 2 % noise on ``digits-mobilenet``.
    """

    @abstractmethod
    def make_predictor(self, space: SearchSpace, block_ms: Mapping[str, float]) -> Predictor:
        """Return the predictor under test, unfitted.

        Args:
            space: whose architectures it is to take.
            block_ms: measured latency by block key, of every block.
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
        """A latency for every block: faster for fewer multiply-accumulates."""
        rng = np.random.default_rng(7)
        scale = max(block.macs for block in space.blocks)
        return {
            block.key: float(0.02 + block.macs / scale * rng.uniform(0.3, 0.5))
            for block in space.blocks
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
    def fitted(self, predictor: Predictor, data: Data) -> Predictor:
        """The predictor, fitted."""
        return predictor.fit(*data)

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
        total = space.path(X) @ np.array([block_ms[block.key] for block in space.blocks])
        return X, (0.2 + 0.9 * total) * np.exp(rng.normal(0, 0.02, n))
