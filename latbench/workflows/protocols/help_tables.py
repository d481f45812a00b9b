"""Tables 2 and 3 of HELP (Lee et al., NeurIPS 2021, arXiv 2106.08630), and our methods for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from latbench.spaces import FloatArray, IntArray, SearchSpace

# Far above the other features, so that the ridge does not shrink it.
_FREE = 100.0


@dataclass(frozen=True)
class Published:
    """A row of the paper: method, labels of the target, score by device, mean."""

    method: str
    labels: int | None
    scores: tuple[float | None, ...]
    mean: float


@dataclass(frozen=True)
class Table:
    """One of the paper's tables and the data behind it.

    Attributes:
        file: name of the CSV file.
        devices: the target devices, columns of the file.
        pool: rows that labels are drawn from, by ``arch_idx``.
        queries: rows that are scored.
        space: name of the search space.
        column: the column that holds the architectures.
        read: returns the architecture (choices,) of a text in that column.
        ours: our methods, each with the features (n, features) that its ridge is fitted on.
        source: where the published rows stand.
        published: those rows.
    """

    file: str
    devices: tuple[str, ...]
    pool: range
    queries: range
    space: str
    column: str
    read: Callable[[SearchSpace, str], IntArray]
    ours: dict[str, Callable[[SearchSpace, IntArray], FloatArray]]
    source: str
    published: tuple[Published, ...]


def _from_string(space: SearchSpace, text: str) -> IntArray:
    return space.encode(text)


def _from_numbers(space: SearchSpace, text: str) -> IntArray:
    """Return the blocks of ``text``; the file numbers them as the space does."""
    return np.array([int(part) for part in text.split("_")], dtype=np.int64)


def _one_hot(space: SearchSpace, X: IntArray) -> FloatArray:
    return space.one_hot(X)


def _counts(space: SearchSpace, X: IntArray) -> FloatArray:
    """Return how many choices take each option."""
    options = len(space.choices[0].options)
    counts: FloatArray = space.one_hot(X).reshape(len(X), -1, options).sum(axis=1)
    return counts


def _one_hot_and_counts(space: SearchSpace, X: IntArray) -> FloatArray:
    return np.hstack([space.one_hot(X), _counts(space, X)])


def _one_hot_and_line(space: SearchSpace, X: IntArray) -> FloatArray:
    macs = space.macs(X)
    return np.column_stack([space.one_hot(X), _FREE * (macs - macs.mean()) / macs.std()])


NB201 = Table(
    file="nb201_latency_27dev.csv.gz",
    devices=("titan_rtx_256", "gold_6226", "pixel2", "raspi4", "eyeriss", "fpga"),
    pool=range(900),
    queries=range(900, 1900),
    space="nasbench201",
    column="arch_str",
    read=_from_string,
    ours={
        "ridge: edges one-hot, operation counts": _one_hot_and_counts,
        "ridge: operation counts": _counts,
    },
    source="Lee et al., NeurIPS 2021, Table 3",
    published=(
        Published("FLOPs", None, (0.950, 0.826, 0.765, 0.846, 0.437, 0.900), 0.787),
        Published("layer-wise", None, (0.667, 0.866, None, None, None, None), 0.767),
        Published("BRP-NAS", 900, (0.814, 0.796, 0.666, 0.847, 0.811, 0.801), 0.789),
        Published("BRP-NAS", 3200, (0.822, 0.805, 0.693, 0.853, 0.830, 0.828), 0.805),
        Published("HELP", 10, (0.987, 0.989, 0.802, 0.890, 0.940, 0.985), 0.932),
    ),
)

FBNET = Table(
    file="fbnet_latency_27dev.csv.gz",
    devices=("raspi4", "eyeriss", "fpga"),
    pool=range(4000),
    queries=range(4000, 5000),
    space="fbnet",
    column="op_idx",
    read=_from_numbers,
    ours={
        "ridge: blocks one-hot": _one_hot,
        "ridge: blocks one-hot, line on MACs": _one_hot_and_line,
    },
    source="Lee et al., NeurIPS 2021, Table 2",
    published=(
        Published("MAML", 10, (0.718, 0.763, 0.727), 0.736),
        Published("Meta-SGD", 10, (0.821, 0.822, 0.776), 0.806),
        Published("HELP", 10, (0.887, 0.943, 0.892), 0.910),
    ),
)
