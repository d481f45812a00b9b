"""What other targets tell about a new one.

Each was measured well: what options cost there is fitted as on a target without sources. Then each
in turn is taken for the target of the others, which tells how alike targets are: how likely each
:class:`latbench_predictors.device_prior.Cell` is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.prediction.inputs import FloatArray, IntArray, Space, check_latencies
from latbench_predictors.device_prior import CELLS, FLAT, clipped, evidence, fitted
from latbench_predictors.option_design import Design

_TRIALS, _TRIAL_LABELS = 2, 64

Tables = Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]]
"""Source -> its architectures (n, choices) and latencies (n,) in ms."""


def learn(space: Space, tables: Tables) -> dict[str, Any]:
    """Return what source targets tell, as JSON values: what ``Transfer(space, sources)`` takes.

    Args:
        space: of which all the tables are.
        tables: the sources by name, measured on networks of their own choice each.

    Returns:
        ``networks``: source -> different networks it was measured on; ``weights``: the centred
        weights of each (sources, options); ``belief``: the probability of each cell (cells,).

    Raises:
        UsageError: a table has architectures of another space, latencies that are none, or fewer
            than three different networks.
    """
    plain = Design.of(space)
    read = {name: _checked(space, name, *table) for name, table in tables.items()}
    weights = np.array(
        [plain.standardised(fitted(plain, FLAT, X, y)[0]) for X, y in read.values()]
    ).reshape(len(read), len(plain.shared))
    design = Design.of(space, weights.T)
    return {
        "networks": {name: len(np.unique(X, axis=0)) for name, (X, _) in read.items()},
        "weights": weights.tolist(),
        "belief": _belief(design, list(read.values())).tolist(),
    }


def known(space: Space, sources: Mapping[str, Any] | None) -> tuple[Design, FloatArray]:
    """Return the design and the belief (cells,) that ``sources`` make for ``space``.

    Raises:
        UsageError: they are not what :func:`learn` returned, or not for this space.
    """
    if sources is None:
        return Design.of(space), FLAT
    try:
        weights = np.array(sources["weights"], dtype=np.float64)
        belief = np.array(sources["belief"], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as failure:
        raise UsageError(f"sources are not what learn() returned ({failure!r})") from failure
    options = sum(len(choice.options) for choice in space.choices)
    if weights.shape[1:] != (options,) or belief.shape != (len(CELLS),):
        raise UsageError(
            f"the sources have weights of shape {weights.shape} and this space has {options} "
            "options: they were learned over another space; learn them again"
        )
    return Design.of(space, weights.T), belief


def _checked(
    space: Space, name: str, X: npt.ArrayLike, y: npt.ArrayLike
) -> tuple[IntArray, FloatArray]:
    try:
        networks = space.check(X)
        latencies = check_latencies(y, len(networks))
    except UsageError as failure:
        raise UsageError(f"the source {name}: {failure}") from failure
    if len(np.unique(networks, axis=0)) < 3:
        raise UsageError(f"the source {name} has fewer than three different networks; leave it out")
    return networks, clipped(latencies)


def _belief(design: Design, tables: list[tuple[IntArray, FloatArray]]) -> FloatArray:
    """Return how likely each cell is: the mean of what it is for each source, given the others."""
    if len(tables) < 2:
        return FLAT
    total = np.zeros(len(CELLS))
    for number, (X, y) in enumerate(tables):
        others = design.without(number)
        for trial in range(_TRIALS):
            rng = np.random.default_rng([number, trial])
            drawn = rng.permutation(len(y))[:_TRIAL_LABELS]
            grams = others.grams(others.columns(X[drawn]))
            weights = np.exp((found := evidence(grams, y[drawn])) - found.max())
            total += weights / weights.sum()
    mean: FloatArray = total / total.sum()
    return mean
