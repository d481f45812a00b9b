"""Every expected latency keeps the contract."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import latbench
from latbench.hooks import ExpectedLatency, SampledLatency
from latbench.predictor import Predictor
from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.spaces.space import SearchSpace
from latbench.testing.expected_latencies import ExpectedLatencySuite, Hook


def _sizes(space: SearchSpace) -> dict[str, int]:
    return {choice.name: len(choice.options) for choice in space.choices}


def _fitted(space: SearchSpace, kind: str, neighbours_save_ms: float = 0.0) -> Predictor:
    rng = np.random.default_rng(0)
    block_ms = {block.key: float(rng.uniform(0.1, 2)) for block in space.blocks}
    X = space.sample(rng, 400)
    y = space.path(X) @ np.array(list(block_ms.values()))
    y -= neighbours_save_ms * (X[:, 1:] == X[:, :-1]).sum(axis=1)
    return latbench.predictor(kind).for_table(space, block_ms).fit(X, y, calibrate=False)


def _sum() -> Hook:
    """A lookup table, in which neighbours save something."""
    space = latbench.space("digits-mobilenet", settings=[[16, 2, 1], [32, 2, 2]])
    lut = _fitted(space, "lut", neighbours_save_ms=0.2)
    expected = ExpectedLatency(lut)
    assert expected.method == "sum"
    return Hook(expected, lut.predict, _sizes(space))


def _enumeration() -> Hook:
    """A cell, whose blocks are pruned."""
    space = latbench.space("nasbench201", cells=1)
    lut = _fitted(space, "lut")
    expected = ExpectedLatency(lut)
    assert expected.method == "enumeration"
    return Hook(expected, lut.predict, _sizes(space))


def _table() -> Hook:
    """Numbers alone: anybody's supernet."""
    rows = {"a": [3.0, 1.0, 2.0], "b": [5.0, 9.0], "c": [0.5, 0.0, 4.0, 7.0]}

    def predict_ms(X: IntArray) -> FloatArray:
        chosen = [np.array(row)[column] for row, column in zip(rows.values(), X.T, strict=True)]
        latencies_ms: FloatArray = 1.0 + np.sum(chosen, axis=0)
        return latencies_ms

    sizes = {name: len(row) for name, row in rows.items()}
    return Hook(ExpectedLatency.from_table(rows, fixed_ms=1.0), predict_ms, sizes)


def _sampled() -> Hook:
    """A network that is no sum, asked for drawn architectures alone."""
    space = latbench.space("digits-mobilenet", settings=[[16, 3, 1]])
    X = space.check(np.indices(space.sizes).reshape(len(space.sizes), -1).T)
    mlp = latbench.predictor("mlp").for_table(space, None, width=16, shortcut=False, epochs=15)
    mlp.fit(X, 1 + X.sum(axis=1) + 2.0 * (X[:, 0] == X[:, 1]), calibrate=False)
    return Hook(SampledLatency(mlp, samples=16), mlp.predict, _sizes(space), exact=False)


HOOKS: dict[str, Callable[[], Hook]] = {
    "sum": _sum,
    "enumeration": _enumeration,
    "table": _table,
    "sampled": _sampled,
}


@pytest.fixture(scope="module")
def made() -> dict[str, Hook]:
    """Hooks that were made before: fitting takes its time."""
    return {}


class TestHooks(ExpectedLatencySuite):
    """The shipped suite over latbench's own."""

    hook_: Hook

    @pytest.fixture(autouse=True, params=sorted(HOOKS))
    def _made(self, request: pytest.FixtureRequest, made: dict[str, Hook]) -> None:
        if request.param not in made:
            made[request.param] = HOOKS[request.param]()
        self.hook_ = made[request.param]

    def make_hook(self) -> Hook:
        return self.hook_
