"""The LUT's batch rate, against a plain Python dictionary that sums the same numbers."""

from __future__ import annotations

import time

import numpy as np

import latbench
from benchmarks.table import Row

_BATCH, _PLAIN, _REPEATS = 200_000, 5_000, 5


def rows() -> list[Row]:
    """Return architectures a second of both."""
    space = latbench.space("mobilenet", image_size=96)
    rng = np.random.default_rng(0)
    block_ms = {block.key: float(rng.uniform(0.01, 0.3)) for block in space.blocks}
    X = space.sample(rng, _BATCH)
    train = X[:100]
    lut = latbench.predictor("lut").for_table(space, block_ms)
    lut.fit(train, space.path(train) @ np.array(list(block_ms.values())))
    lut.predict(X[:1000])
    fast = max(_rate(lambda: lut.predict(X), _BATCH) for _ in range(_REPEATS))

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
        )
    ]


def _rate(work: object, count: int) -> float:
    assert callable(work)
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)
