"""A robust sum over options: what a linear model can know of networks without their graphs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latbench.prediction.inputs import FloatArray, IntArray, Space
from latbench.spaces import SearchSpace
from latbench_predictors import one_hot, robust_ridge
from latbench_predictors.whole_network import COSTS, NAMES


@dataclass(frozen=True)
class OptionSum:
    """``latency = intercept + the sum over choices of options_ms``.

    Attributes:
        intercept_ms: the fixed part.
        options_ms: what each option adds, in the order of one-hot columns (options,).
        left_out_ms: what each network (n,) would be predicted at had the fit not seen it.
    """

    intercept_ms: float
    options_ms: FloatArray
    left_out_ms: FloatArray


def fit(
    space: Space, X: IntArray, y: FloatArray, least_ms: float, tolerance: float | None = None
) -> OptionSum:
    """Return the sum fitted to canonical architectures (n, choices) and latencies (n,) in ms.

    It is the ridge of :mod:`latbench_predictors.robust_ridge` on options, their names wherever
    they stand, and those costs that are themselves sums over options. All of it is one number an
    option in the end, but the names and costs say how the numbers hang together: with few networks
    an option that was seen twice is charged by what it computes.
    """
    shared = one_hot.shared(space)
    costs = _costs(space, X)
    encoded = space.one_hot(X)
    spreads = (encoded @ costs).std(axis=0)
    free = np.divide(COSTS, spreads, out=np.zeros_like(spreads), where=spreads > 0)
    table = np.hstack([np.eye(len(shared)), NAMES * shared, costs * free])
    ridge = robust_ridge.fit(encoded @ table, y, least_ms, tolerance)
    return OptionSum(ridge.intercept_ms, table @ ridge.coefficients, ridge.left_out_ms)


def _costs(space: Space, X: IntArray) -> FloatArray:
    """Return what each option adds to those costs of ``X`` that are sums over options.

    Shape (options, such costs). An option adds what it costs more than the first of its choice.
    """
    sizes = [len(choice.options) for choice in space.choices]
    if not (isinstance(space, SearchSpace) and space.has_networks):
        return np.empty((sum(sizes), 0))
    changed = np.zeros((sum(sizes), len(sizes)), dtype=np.int64)
    columns = np.repeat(np.arange(len(sizes)), sizes)
    changed[np.arange(sum(sizes)), columns] = np.concatenate([np.arange(size) for size in sizes])
    graph = space.features
    origin = graph(space.check(np.zeros(len(sizes), dtype=np.int64)))[:, graph.costs]
    added: FloatArray = graph(space.check(changed))[:, graph.costs] - origin
    found = graph(X)[:, graph.costs]
    is_sum = np.isclose(origin + space.one_hot(X) @ added, found, rtol=1e-9).all(axis=0)
    return added[:, is_sum]
