"""The LUT's batch rate, against a plain Python dictionary that sums the same numbers."""

from __future__ import annotations

import time

import numpy as np

import latbench
from benchmarks.table import Row
from latbench.spaces import FloatArray, IntArray, SearchSpace

_BATCH, _PLAIN, _REPEATS = 200_000, 5_000, 5


def rows() -> list[Row]:
    """Return architectures a second of both."""
    space = latbench.space("mobilenet", image_size=96)
    rng = np.random.default_rng(0)
    block_ms = {block.key: float(rng.uniform(0.01, 0.3)) for block in space.blocks}
    X = space.sample(rng, _BATCH)
    train = X[:400]
    sums_ms = space.path(train) @ np.array(list(block_ms.values()))
    saved_ms = 0.02 * (train[:, 1:] == train[:, :-1]).sum(axis=1)
    fast, paired = (_predicting(space, block_ms, X, y) for y in (sums_ms, sums_ms - saved_ms))

    choices = space.choices
    price = {}
    base, options = space.option_counts()
    values = np.array(list(block_ms.values()))
    for choice, counts in zip(choices, options, strict=True):
        for option, latency in zip(choice.options, counts @ values, strict=True):
            price[choice.name, option] = float(latency)
    fixed = float(base @ values)
    named = [
        [(choice.name, choice.options[value]) for choice, value in zip(choices, x, strict=True)]
        for x in X[:_PLAIN]
    ]

    def plain() -> None:
        for keys in named:
            fixed + sum(price[key] for key in keys)

    slow = max(_rate(plain, _PLAIN) for _ in range(_REPEATS))
    return [
        Row(
            "LUT, architectures a second in a batch",
            "1,000,000",
            f"{fast:,.0f}",
            f"Python dictionary {slow:,.0f}: {fast / slow:.0f} ×",
            fast >= 1e6,
        ),
        Row(
            "the same with what neighbours save each other",
            "1,000,000",
            f"{paired:,.0f}",
            f"the same dictionary: {paired / slow:.0f} ×",
            paired >= 1e6,
        ),
    ]


def _predicting(
    space: SearchSpace, block_ms: dict[str, float], X: IntArray, y: FloatArray
) -> float:
    """Return the rate of a LUT that is fitted on the first of ``X`` with latencies ``y``."""
    lut = latbench.predictor("lut").for_table(space, block_ms)
    lut.fit(X[: len(y)], y)
    lut.predict(X[:1000])
    return max(_rate(lambda: lut.predict(X), len(X)) for _ in range(_REPEATS))


def _rate(work: object, count: int) -> float:
    assert callable(work)
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)
