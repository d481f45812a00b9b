"""Least squares on relative errors, as the linear predictors share it."""

from __future__ import annotations

import numpy as np

from latbench.prediction.inputs import FloatArray

_ROUNDS = 50
_TUNING = 1.345  # Huber's: 95 % efficient where errors are normal
_MAD_TO_DEVIATION = 1.4826


def relative_weights(y: FloatArray) -> FloatArray:
    """Return weights (n,) of mean 1 for squared errors, ``1 / max(y, median(y))^2`` up to scale.

    They make errors relative, and keep slow networks, whose noise is larger, from ruling the fit.
    They stop at the median: without that bound a few values near zero (tables have them, of
    networks without a path from input to output) would decide everything.
    """
    weights = np.maximum(y, np.median(y)) ** -2.0
    result: FloatArray = weights / weights.mean()
    return result


def affine(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Return intercept and slope of a robust line ``y = a + b x`` through points (n,).

    Squared relative errors are minimised (:func:`relative_weights`), those beyond 1.345 standard
    deviations counted linearly (Huber, *Robust estimation of a location parameter*, 1964, by
    iterated reweighting). Where the data identify no rising line (one ``x``, or a slope that is
    not above zero), the line goes through the origin with the median of ``y / x``.
    """
    unit = float(np.mean(x))
    columns = np.stack([np.ones(len(x)), x / unit], axis=1)
    relative = relative_weights(y)
    trust = np.ones(len(y))
    solution = np.zeros(2)
    for _ in range(_ROUNDS):
        root = np.sqrt(relative * trust)
        previous = solution
        solution, _, rank, _ = np.linalg.lstsq(columns * root[:, None], y * root, rcond=1e-10)
        if rank < 2 or solution[1] <= 0:
            return 0.0, float(np.median(y / x))
        errors = np.abs(y - columns @ solution) * np.sqrt(relative)
        deviation = _MAD_TO_DEVIATION * float(np.median(errors))
        if deviation <= 1e-12 * float(y.max()) or np.allclose(solution, previous, 1e-10, 0.0):
            break
        trust = _TUNING * deviation / np.maximum(errors, _TUNING * deviation)
    return float(solution[0]), float(solution[1] / unit)
