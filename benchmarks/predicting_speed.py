"""How fast every kind of predictor predicts and is fitted, on one core, beside two others.

These are a plain dictionary of block latencies, and forests as nn-Meter has them
(:mod:`benchmarks.kernel_forests` says what they stand in for). Times are those that the core spends
on this process: what else runs on a shared machine is left out. ``OMP_NUM_THREADS=1`` in the
environment lets it have one thread, as where the figures in README.md were taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

import latbench
from benchmarks.kernel_forests import KernelForests
from benchmarks.table import Row
from latbench.prediction.inputs import FloatArray, IntArray
from latbench.predictor import Predictor
from latbench.spaces import SearchSpace

_NETWORKS, _BATCH, _ONE, _REPEATS = 2_000, 100_000, 1_000, 5
_GOALS = {"lut": 1_000_000, "ridge": None, "transfer": None, "mlp": 200_000, "gbdt": 20_000}
_ONE_MS, _FIT_S = 1.0, 60.0
_OF_FORESTS = 50
_CELLS, _OF_CELLS, _FEW = 2_000, 150, 20


@dataclass(frozen=True, eq=False)
class _Examples:
    """Made-up latencies: sums of blocks that save something beside their like, and 1 % of noise."""

    space: SearchSpace
    block_ms: Mapping[str, float]
    X: IntArray
    y: FloatArray

    @classmethod
    def drawn(cls) -> _Examples:
        """Return two thousand networks of `mobilenet` at 96 × 96."""
        space = latbench.space("mobilenet", image_size=96)
        rng = np.random.default_rng(0)
        block_ms = {block.key: float(rng.uniform(0.01, 0.3)) for block in space.blocks}
        X = space.sample(rng, _NETWORKS)
        saved_ms = 0.02 * (X[:, 1:] == X[:, :-1]).sum(axis=1)
        clean_ms = space.path(X) @ np.array(list(block_ms.values())) - saved_ms
        return cls(space, block_ms, X, clean_ms * np.exp(rng.normal(0, 0.01, len(X))))

    def dictionary(self, X: IntArray) -> Callable[[], object]:
        """Return what sums the latencies of ``X`` (n, choices) as a plain Python dictionary."""
        base, options = self.space.option_counts()
        values = np.array(list(self.block_ms.values()))
        choices = self.space.choices
        price = {
            (choice.name, option): float(latency)
            for choice, counts in zip(choices, options, strict=True)
            for option, latency in zip(choice.options, counts @ values, strict=True)
        }
        fixed = float(base @ values)
        named = [
            [(choice.name, choice.options[value]) for choice, value in zip(choices, x, strict=True)]
            for x in X
        ]
        return lambda: [fixed + sum(price[key] for key in keys) for keys in named]


def rows() -> list[Row]:
    """Return rates in batches, times of single predictions and times of fits, of every kind."""
    examples = _Examples.drawn()
    batch = examples.space.sample(np.random.default_rng(1), _BATCH)
    plain = min(_seconds(examples.dictionary(batch[:5000])) for _ in range(_REPEATS)) / 5000
    forests = _forests_rate(examples.space)
    found = []
    for kind, goal in _GOALS.items():
        start = time.process_time()
        predictor = latbench.predictor(kind).for_table(examples.space, examples.block_ms)
        predictor.fit(examples.X, examples.y)
        fit_s = time.process_time() - start
        rate, one_ms = _rate(predictor, batch), _one_ms(predictor, batch)
        found += [
            Row(
                f"{kind}, architectures a second in a batch",
                "none" if goal is None else f"{goal:,}",
                f"{rate:,.0f}",
                f"Python dictionary {1 / plain:,.0f}: {rate * plain:.2g} ×; forests of nn-Meter's "
                f"sizes, one call a kernel type {forests:.2g}/s: {rate / forests:,.0f} ×",
                goal is None or rate >= goal,
            ),
            Row(
                f"{kind}, one architecture",
                f"{_ONE_MS:g} ms",
                f"{one_ms:.3f} ms",
                f"Python dictionary {1e3 * plain:.3f} ms",
                one_ms <= _ONE_MS,
            ),
            Row(
                f"{kind}, fitted on {_NETWORKS:,} networks with its intervals",
                f"{_FIT_S:.0f} s",
                f"{fit_s:.2g} s",
                f"{1 + predictor.folds} fits, {predictor.folds} of them without a part"
                f"{_trees(predictor)}",
                fit_s <= _FIT_S,
            ),
        ]
    return found + [_of_cells(name) for name in ("nasbench201", "darts")]


def _of_cells(name: str) -> Row:
    """Return the speed of ``gbdt`` on cells, of which it looks at the graphs."""
    space = latbench.space(name)
    rng = np.random.default_rng(3)
    X = space.sample(rng, _CELLS)
    predictor = latbench.predictor("gbdt").for_table(space, None)
    runs = np.asarray(space.path(X[:_OF_CELLS]).sum(axis=1)).ravel()
    predictor.fit(X[:_OF_CELLS], 1.0 + runs, calibrate=False)
    rate, one_ms = _rate(predictor, X), _one_ms(predictor, X[:_FEW])
    return Row(
        f"gbdt on `{name}`: architectures a second in a batch of {_CELLS:,}",
        "none",
        f"{rate:,.0f}",
        f"one by itself {one_ms:.3g} ms; the columns of a space of at most 50,000 architectures "
        f"are made once",
        True,
    )


def _forests_rate(space: SearchSpace) -> float:
    """Return the networks a second of forests as nn-Meter has them."""
    forests = KernelForests(space, seed=0)
    X = space.sample(np.random.default_rng(2), _OF_FORESTS)
    networks = [forests.kernels(x) for x in X]
    forests.predict(networks[0])
    return len(X) / _seconds(lambda: [forests.predict(network) for network in networks])


def _trees(predictor: Predictor) -> str:
    """Return how many trees it predicts with, as far as it has some."""
    text = getattr(predictor, "model_", "")
    return f"; {text.count('Tree=')} trees" if text else ""


def _rate(predictor: Predictor, X: IntArray) -> float:
    predictor.predict(X[:1000])
    return len(X) / min(_seconds(lambda: predictor.predict(X)) for _ in range(_REPEATS))


def _one_ms(predictor: Predictor, X: IntArray) -> float:
    """Return the median time of a prediction of one architecture."""
    return 1e3 * float(np.median([_seconds(partial(predictor.predict, x)) for x in X[:_ONE]]))


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
