"""Moving about in a search space one choice at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latbench.spaces.graph import IntArray
from latbench.spaces.space import SearchSpace
from latbench.training.task import PerArchitecture

ROUNDS = 100


def mutate(space: SearchSpace, parents: IntArray, rng: np.random.Generator) -> IntArray:
    """Return one child of each row of ``parents``, with exactly one choice taken anew.

    The choice is drawn uniformly among those with several options, the option uniformly among the
    others. A draw that changes only an inactive entry is the same network, so it is drawn again.
    Where :data:`ROUNDS` draws change nothing, the parent itself is returned.

    Args:
        space: of the architectures.
        parents: canonical architectures (n, choices).
        rng: the generator of the draws.
    """
    sizes = np.array(space.sizes)
    several = np.flatnonzero(sizes > 1)
    children = parents.copy()
    if not len(several):
        return children
    same = np.arange(len(parents))
    for _ in range(ROUNDS):
        drawn = parents[same]
        rows = np.arange(len(same))
        columns = several[rng.integers(len(several), size=len(same))]
        # A shift of 1 to size - 1 reaches every other option once.
        shift = 1 + np.floor(rng.random(len(same)) * (sizes[columns] - 1)).astype(np.int64)
        drawn[rows, columns] = (drawn[rows, columns] + shift) % sizes[columns]
        drawn = space.check(drawn)
        children[same] = drawn
        same = same[(drawn == parents[same]).all(axis=1)]
        if not len(same):
            break
    return children


def neighbours(space: SearchSpace, x: IntArray) -> IntArray:
    """Return every architecture that differs from ``x`` (choices,) in one choice, (n, choices)."""
    rows = []
    for column, options in enumerate(space.sizes):
        for option in range(options):
            if option != x[column]:
                rows.append(x.copy())
                rows[-1][column] = option
    return space.check(np.array(rows))


@dataclass(frozen=True, eq=False)
class Fastest:
    """The fastest architecture ``x`` (choices,) that was found, after ``tried`` predictions."""

    x: IntArray
    latency_ms: float
    tried: int


def find_fastest(
    space: SearchSpace,
    latency_ms: PerArchitecture,
    rng: np.random.Generator,
    *,
    samples: int = 256,
    starts: int = 4,
    sweeps: int = 8,
) -> Fastest:
    """Return the fastest architecture that coordinate descent finds.

    From the fastest ``starts`` of ``samples`` drawn architectures, every choice in turn takes its
    fastest option, until a sweep over the choices gains nothing or ``sweeps`` are done. Exact
    where the latency is a sum over choices; else a local optimum.
    """
    X = space.sample(rng, samples)
    current_ms = latency_ms(X)
    order = np.argsort(current_ms, kind="stable")[:starts]
    X, current_ms, tried = X[order], current_ms[order], samples
    rows = np.arange(len(X))
    for _ in range(sweeps):
        before_ms = current_ms
        for column, options in enumerate(space.sizes):
            grid = np.repeat(X, options, axis=0)
            grid[:, column] = np.tile(np.arange(options), len(X))
            grid = space.check(grid)
            grid_ms = latency_ms(grid).reshape(len(X), options)
            best = grid_ms.argmin(axis=1)
            X = grid.reshape(len(X), options, -1)[rows, best]
            current_ms = grid_ms[rows, best]
            tried += len(grid)
        if (current_ms >= before_ms).all():
            break
    winner = int(current_ms.argmin())
    return Fastest(X[winner], float(current_ms[winner]), tried)
