"""What the checks on searchers work with: a toy problem that watches what is asked of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from latbench import registry
from latbench.predictor import Predictor
from latbench.searcher import Searcher
from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.spaces.space import SearchSpace
from latbench.training.task import SearchTask


class Toy:
    """Latencies from a lookup table of made-up blocks, and a score that falls with latency.

    Attributes:
        space: of the architectures.
        predictor: exact for this toy.
        fastest: the fastest architecture (choices,).
        fastest_ms: its latency.
        scored: every row that was scored, in order.
        predicted: how many rows were predicted.
    """

    def __init__(self, space: SearchSpace) -> None:
        """Make up latencies for ``space``, whose blocks must add up over its choices."""
        rng = np.random.default_rng(3)
        self.space = space
        block_ms = {block.key: float(rng.uniform(0.1, 1.0)) for block in space.blocks}
        table: type[Predictor] = registry.load(registry.PREDICTORS, "lut")
        X = space.sample(rng, 50)
        sums_ms = space.path(X) @ np.array(list(block_ms.values()))
        self.predictor = table.for_table(space, block_ms, calibration="none").fit(X, sums_ms)
        self.fastest = self._extreme(np.argmin)
        self.fastest_ms = float(self.predictor.predict(self.fastest)[0])
        self._slowest_ms = float(self.predictor.predict(self._extreme(np.argmax))[0])
        self.scored: list[tuple[int, ...]] = []
        self.predicted = 0

    def score(self, X: IntArray) -> FloatArray:
        """Return a score in [0, 1] that is the higher the slower the architecture, (n,)."""
        self.scored += [tuple(map(int, x)) for x in X]
        return self.predictor.predict(X) / self._slowest_ms

    def predict_ms(self, X: IntArray) -> FloatArray:
        """Return the latencies (n,) in ms, and count them."""
        self.predicted += len(X)
        return self.predictor.predict(X)

    def quantile_ms(self, share: float) -> float:
        """Return the latency that ``share`` of the architectures stay below."""
        X = self.space.sample(np.random.default_rng(5), 2000)
        return float(np.quantile(self.predictor.predict(X), share))

    def _extreme(self, pick: Callable[[FloatArray], Any]) -> IntArray:
        """Return the fastest or slowest architecture: a sum is extreme where its addends are."""
        x = np.zeros(len(self.space.choices), dtype=np.int64)
        for column, options in enumerate(self.space.sizes):
            rows = np.tile(x, (options, 1))
            rows[:, column] = np.arange(options)
            x[column] = int(pick(self.predictor.predict(rows)))
        return x


class SearcherFixtures(ABC):
    """A searcher with a toy problem to solve."""

    evaluations = 150
    """How many architectures a search may score: more than the searcher needs to get going."""

    @abstractmethod
    def make_searcher(self) -> Searcher:
        """Return the searcher under test."""

    def make_space(self) -> SearchSpace:
        """Return the space; override it for a searcher that takes only certain ones."""
        space: SearchSpace = registry.load(registry.SPACES, "digits-mobilenet")()
        return space

    def make_task(self, toy: Toy, **changes: Any) -> SearchTask:
        """Return the task of the toy: the median latency is the limit, unless changed."""
        settings: dict[str, Any] = {
            "target_ms": toy.quantile_ms(0.5),
            "score": toy.score,
            "predict_ms": toy.predict_ms,
            "evaluations": self.evaluations,
            "seed": 1,
        }
        return SearchTask(toy.space, toy.predictor, **{**settings, **changes})

    @pytest.fixture
    def searcher(self) -> Searcher:
        """The searcher under test."""
        return self.make_searcher()

    @pytest.fixture
    def toy(self) -> Toy:
        """A toy problem that has not been asked anything."""
        return Toy(self.make_space())
