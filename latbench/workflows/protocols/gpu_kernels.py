"""How long single kernels take on GPUs that are known by their datasheets.

The time is a sum of times: of the launch, of the arithmetic, of what is read and written once, and
for matrix products of what tiles of usual sizes read again and of their waves over the
multiprocessors. Non-negative least squares on relative errors say how much each counts, so that it
holds for GPUs and sizes that nobody measured. On GPUs that were measured, trees correct it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from latbench.spaces import FloatArray, IntArray

if TYPE_CHECKING:
    from lightgbm import Booster

Texts = npt.NDArray[np.str_]

BYTES = 4
"""Of a value: everything is fp32."""
FLOPS = {"ln": 6, "softmax": 5}
"""Floating-point operations an element; others take one."""
BINARY = frozenset({"add", "div", "mul", "pow"})
"""Operators that read two tensors."""
TILES = ((128, 128), (128, 64), (64, 64), (32, 128), (32, 32))
"""Of the output, as the names of cuBLAS' FP32 kernels have them."""

_ROUNDS = 200
_UNKNOWN = -1
_TREES = {
    "objective": "l1",
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}


@dataclass(frozen=True)
class Gpu:
    """What a datasheet says.

    Attributes:
        flops: fp32 operations a ms, at peak.
        bandwidth: bytes a ms, of the memory.
        multiprocessors: their number.
    """

    flops: float
    bandwidth: float
    multiprocessors: int


@dataclass(frozen=True, eq=False)
class Kernels:
    """Kernels of one operator.

    Attributes:
        operator: its name.
        shapes: (n, 4) of matrix products (B, M, N) x (B, N, K), where N is contracted; else (n, 2)
            of tensors (B, H).
        names: the GPU of each, (n,).
        gpus: those GPUs, and perhaps others, by name.
    """

    operator: str
    shapes: FloatArray
    names: Texts
    gpus: Mapping[str, Gpu]

    def __len__(self) -> int:
        """Return n."""
        return len(self.shapes)

    def rows(self, rows: IntArray | npt.NDArray[np.bool_]) -> Kernels:
        """Return some of them."""
        return Kernels(self.operator, self.shapes[rows], self.names[rows], self.gpus)

    @property
    def product(self) -> bool:
        """Whether they are matrix products."""
        return bool(self.shapes.shape[1] == 4)

    @cached_property
    def flops(self) -> FloatArray:
        """Floating-point operations (n,)."""
        work: FloatArray = self.shapes.prod(axis=1)
        return work * (2 if self.product else FLOPS.get(self.operator, 1))

    @cached_property
    def moved(self) -> FloatArray:
        """Bytes (n,), with every tensor read or written once."""
        if self.product:
            B, M, N, K = self.shapes.T
            values = B * (M * N + N * K + M * K)
        else:
            values = self.shapes.prod(axis=1) * (3 if self.operator in BINARY else 2)
        moved: FloatArray = BYTES * values
        return moved

    def per_gpu(self, attribute: str) -> FloatArray:
        """Return a number of the datasheet for each, (n,)."""
        found, places = np.unique(self.names, return_inverse=True)
        told = np.array([getattr(self.gpus[name], attribute) for name in found], dtype=np.float64)
        return told[places]

    @property
    def balance(self) -> FloatArray:
        """Operations that the GPU could do while it moves one byte, (n,)."""
        return self.per_gpu("flops") / self.per_gpu("bandwidth")

    def tiles(self, height: int, width: int) -> FloatArray:
        """Return how many tiles of that size cover the outputs of matrix products, (n,)."""
        B, M, _, K = self.shapes.T
        tiles: FloatArray = B * np.ceil(M / height) * np.ceil(K / width)
        return tiles


def roofline(kernels: Kernels) -> FloatArray:
    """Return the least time (n,) in ms (Williams et al., *Roofline*, 2009)."""
    return np.maximum(
        kernels.flops / kernels.per_gpu("flops"), kernels.moved / kernels.per_gpu("bandwidth")
    )


class KernelModel:
    """Kernels of one operator; see the module."""

    def __init__(self, *, trees: bool = True, seed: int = 0) -> None:
        """Say whether trees correct the GPUs that it will have seen, and from which seed."""
        self.trees = trees
        self.seed = seed

    def fit(self, kernels: Kernels, latency_ms: FloatArray) -> KernelModel:
        """Learn from ``kernels`` that took ``latency_ms`` (n,)."""
        from scipy.optimize import nnls

        balance = kernels.balance
        self.balance_ = float(balance.min()), float(balance.max())
        terms = self._terms(kernels)
        relative = terms / latency_ms[:, np.newaxis]
        # Terms are scaled alike: nnls stops at an absolute tolerance.
        scale = relative.max(axis=0)
        self.shares_ = nnls(relative / scale, np.ones(len(terms)))[0] / scale
        self.seen_ = {name: code for code, name in enumerate(np.unique(kernels.names).tolist())}
        if self.trees:
            self.booster_ = self._boosted(kernels, np.log(latency_ms / self._total(terms)))
        return self

    def predict(self, kernels: Kernels) -> FloatArray:
        """Return latencies (n,) in ms."""
        total = self._total(self._terms(kernels))
        known = self._codes(kernels) != _UNKNOWN
        if self.trees and known.any():
            described = self._described(kernels.rows(known))
            total[known] *= np.exp(np.asarray(self.booster_.predict(described, num_threads=1)))
        return total

    def _total(self, terms: FloatArray) -> FloatArray:
        total: FloatArray = terms @ self.shares_
        return np.maximum(total, np.finfo(np.float64).tiny)

    def _terms(self, kernels: Kernels) -> FloatArray:
        """Return times (n, terms): the first in launches, the others in ms.

        What tiles read again comes from caches, whose speed a datasheet does not tell. The memory's
        stands for it, within the balance of arithmetic and memory that the measured GPUs have.
        """
        flops = kernels.per_gpu("flops")
        terms = [
            np.ones(len(kernels)),
            kernels.flops / flops,
            kernels.moved / kernels.per_gpu("bandwidth"),
        ]
        if kernels.product:
            contracted = kernels.shapes[:, 2]
            multiprocessors = kernels.per_gpu("multiprocessors")
            bandwidth = flops / np.clip(kernels.balance, *self.balance_)
            for height, width in TILES:
                tiles = kernels.tiles(height, width)
                waves = np.ceil(tiles / multiprocessors)
                padded = 2 * height * width * contracted * multiprocessors
                terms.append(waves * padded / flops)
                terms.append(BYTES * tiles * (height + width) * contracted / bandwidth)
        return np.column_stack(terms)

    def _codes(self, kernels: Kernels) -> IntArray:
        return np.array([self.seen_.get(name, _UNKNOWN) for name in kernels.names], dtype=np.int64)

    def _described(self, kernels: Kernels) -> FloatArray:
        """Return what trees see, (n, columns): the GPU first, then the shape."""
        shapes = kernels.shapes
        columns = [self._codes(kernels), *np.log(shapes.T), np.log(shapes.prod(axis=1))]
        if kernels.product:
            columns.append(np.log(kernels.flops / kernels.moved))
            multiprocessors = kernels.per_gpu("multiprocessors")
            outputs = shapes[:, 0] * shapes[:, 1] * shapes[:, 3]
            for height, width in TILES:
                tiles = kernels.tiles(height, width)
                waves = tiles / multiprocessors
                columns += [
                    outputs / (tiles * height * width),
                    np.log(waves),
                    waves / np.ceil(waves),
                ]
        return np.column_stack(columns)

    def _boosted(self, kernels: Kernels, errors: FloatArray) -> Booster:
        import lightgbm

        described = self._described(kernels)
        data = lightgbm.Dataset(described, errors, categorical_feature=[0])
        return lightgbm.train({**_TREES, "seed": self.seed}, data, _ROUNDS)
