"""A stand-in for nn-Meter's predictors, which load in no scikit-learn that is still to be had.

nn-Meter (Zhang et al., MobiSys 2021) has a random forest for each type of kernel, of 110 to 690
trees, and sums what they say of a network's kernels. It asks each forest once a network, with all
of its kernels of that type as rows, and never for several networks at once; nearly all of the time
goes into these calls. So forests of as many trees answer as quickly whatever they have learned:
these have learned noise. What nn-Meter does before, reading a model and finding its kernels, takes
as long again, and is left out here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from latbench.prediction.inputs import FloatArray, IntArray
from latbench.spaces import SearchSpace

TREES = {
    "conv-bn-relu": 690,
    "dwconv-bn-relu": 545,
    "add": 400,
    "fc": 255,
    "global-avgpool": 110,
}
"""Trees by type of kernel: nn-Meter's least and most, and evenly between."""

_FEATURES = 7
"""Height, channels in and out, kernel, stride, FLOPs and parameters of a convolution."""
_SAMPLES = 1000

Network = Mapping[str, FloatArray]
"""Features of a network's kernels by their type, (kernels, features)."""


class KernelForests:
    """A forest for each type of kernel in the networks of a mobile space."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        """Fit the forests on features and latencies that are drawn from ``seed``."""
        self._space = space
        self._rng = np.random.default_rng(seed)
        self._forests = {
            kind: RandomForestRegressor(trees, random_state=seed).fit(
                self._rng.random((_SAMPLES, _FEATURES)), self._rng.random(_SAMPLES)
            )
            for kind, trees in TREES.items()
        }

    def kernels(self, x: IntArray) -> Network:
        """Return as many kernels of each type as the architecture ``x`` (choices,) has."""
        chosen = list(zip(self._space.choices, x, strict=True))
        blocks = [choice for choice, value in chosen if choice.options[value] != "skip"]
        counts = {
            # Two a block; stem, the projection of the first block, and head.
            "conv-bn-relu": 2 * len(blocks) + 3,
            "dwconv-bn-relu": len(blocks) + 1,
            "add": sum("skip" in choice.options for choice in blocks),
            "fc": 1,
            "global-avgpool": 1,
        }
        return {
            kind: self._rng.random((count, _FEATURES)) for kind, count in counts.items() if count
        }

    def predict(self, network: Network) -> float:
        """Return the sum over the kernels of a network: one call a type."""
        return sum(float(self._forests[kind].predict(rows).sum()) for kind, rows in network.items())
