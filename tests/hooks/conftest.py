"""A small fitted lookup table."""

from __future__ import annotations

import numpy as np
import pytest

import latbench
from latbench.predictor import Predictor
from latbench.spaces.space import SearchSpace


@pytest.fixture(scope="session")
def space() -> SearchSpace:
    """Four places with five options, but for the four of the strided one."""
    return latbench.space("digits-mobilenet", settings=[[16, 2, 1], [32, 2, 2]])


@pytest.fixture(scope="session")
def block_ms(space: SearchSpace) -> dict[str, float]:
    """A latency for every block."""
    rng = np.random.default_rng(0)
    return {block.key: float(rng.uniform(0.1, 2)) for block in space.blocks}


@pytest.fixture(scope="session")
def lut(space: SearchSpace, block_ms: dict[str, float]) -> Predictor:
    """A lookup table fitted on 60 networks whose latency is a noisy line in the sums."""
    rng = np.random.default_rng(1)
    table = latbench.predictor("lut").for_table(space, block_ms)
    X = space.sample(rng, 60)
    total = space.path(X) @ np.array([block_ms[block.key] for block in space.blocks])
    return table.fit(X, (0.5 + 0.8 * total) * np.exp(rng.normal(0, 0.05, 60)))
