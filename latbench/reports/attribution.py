"""Which stages the gap between true and accumulated latency goes with: a fit, not a measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

FEWEST_PER_STAGE = 3
"""Networks needed for each stage that varies: fewer fit anything."""
_FEWEST = 8
_PENALTIES = np.logspace(-4, 3, 29)
_RESAMPLES = 400
_SAME = 1e-9  # relative spread below which a stage costs the same in every network


@dataclass(frozen=True, eq=False)
class Attribution:
    """A mean residual, divided among stages.

    The residual (true - accumulated latency) of each network is fitted as ``c + sum_s w_s t_s``,
    t_s being the sum of the network's blocks in stage s, by ridge regression (Hoerl and Kennard,
    1970): the intercept c is free, the stages are scaled to unit variance, and the penalty is the
    one with the least leave-one-out error. A stage's part is ``w_s mean(t_s)``. The parts and c add
    up to the mean residual.

    Attributes:
        stages: those that differ between networks, in order.
        sum_ms: mean of t_s, (stages,).
        part_ms: (stages,).
        constant_ms: c, which also holds every stage that is the same in all networks.
        residual_ms: the mean residual.
        low_ms, high_ms: 2.5 % and 97.5 % bootstrap percentiles over networks, of the parts and,
            last, of c; (stages + 1,).
        explained: percentage of the residual's variance between networks that the fit predicts
            for a network left out; 0 or less means that the parts say nothing.
        same: the stages that are the same in all networks.
    """

    stages: tuple[str, ...]
    sum_ms: FloatArray
    part_ms: FloatArray
    constant_ms: float
    residual_ms: float
    low_ms: FloatArray
    high_ms: FloatArray
    explained: float
    same: tuple[str, ...]


def attribute(
    residual_ms: Sequence[float], stage_ms: Mapping[str, Sequence[float]], seed: int = 0
) -> Attribution | str:
    """Return the attribution, or why there is none to show.

    Args:
        residual_ms: true less accumulated latency, (n,).
        stage_ms: stage -> sum of each network's blocks in it, (n,).
        seed: of the bootstrap.
    """
    y = np.asarray(residual_ms, dtype=np.float64)
    sums = {name: np.asarray(values, dtype=np.float64) for name, values in stage_ms.items()}
    names = tuple(name for name, t in sums.items() if len(t) and np.ptp(t) > _SAME * abs(t).max())
    if not names:
        return "No stage is known that differs between these networks."
    needed = max(_FEWEST, FEWEST_PER_STAGE * len(names))
    if len(y) < needed:
        return (
            f"Attributing the gap to {len(names)} stages needs at least {needed} networks, "
            f"{FEWEST_PER_STAGE} a stage; {len(y)} can be compared here. Measure more networks."
        )
    X = np.stack([sums[name] for name in names], axis=1)
    penalty, error = _least_error(X, y)
    parts = _parts(X, y, penalty)
    rng = np.random.default_rng(seed)
    resampled = [
        _parts(X[rows], y[rows], penalty)
        for rows in rng.integers(0, len(y), size=(_RESAMPLES, len(y)))
    ]
    low, high = np.percentile(resampled, [2.5, 97.5], axis=0)
    mean_error = float(np.mean(((y - y.mean()) * len(y) / (len(y) - 1)) ** 2))
    return Attribution(
        stages=names,
        sum_ms=X.mean(axis=0),
        part_ms=parts[:-1],
        constant_ms=float(parts[-1]),
        residual_ms=float(y.mean()),
        low_ms=low,
        high_ms=high,
        explained=100 * (1 - error / mean_error) if mean_error > 0 else 0.0,
        same=tuple(name for name in sums if name not in names),
    )


def _least_error(X: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Return the best penalty and its mean squared leave-one-out error.

    In closed form for every penalty from one decomposition: the residual of a network left out is
    ``(y - Hy)_i / (1 - H_ii)`` with the hat matrix ``H = 11'/n + U diag(d²/(d² + penalty)) U'``.
    """
    n = len(y)
    centred = y - y.mean()
    U, d, _ = np.linalg.svd(_standard(X)[0], full_matrices=False)
    projected = U.T @ centred

    def error(penalty: float) -> float:
        shrink = d**2 / (d**2 + penalty)
        leverage = 1 / n + (U**2) @ shrink
        return float(np.mean(((centred - U @ (shrink * projected)) / (1 - leverage)) ** 2))

    errors = [error(penalty * n) for penalty in _PENALTIES]
    best = int(np.argmin(errors))
    return float(_PENALTIES[best] * n), errors[best]


def _parts(X: FloatArray, y: FloatArray, penalty: float) -> FloatArray:
    """Return the part of each stage and, last, the constant: (stages + 1,), their sum mean(y)."""
    Z, scale = _standard(X)
    w = np.linalg.solve(Z.T @ Z + penalty * np.eye(X.shape[1]), Z.T @ (y - y.mean())) / scale
    parts = w * X.mean(axis=0)
    return np.append(parts, y.mean() - parts.sum())


def _standard(X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the columns with mean 0 and variance 1, and what they were divided by."""
    scale = X.std(axis=0)
    # A resample may hold equal networks only; any scale then gives such a column no weight.
    scale[scale == 0] = 1.0
    return (X - X.mean(axis=0)) / scale, scale
