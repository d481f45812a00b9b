"""How good predictions are, in the words of the field, each defined once.

``measured`` is y and ``predicted`` is p below, both (n,) in ms; shares and relative errors are
percent. Where the field has two definitions, the error is relative to what was *measured*, except
where the name says otherwise.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

from latbench.errors import UsageError

FloatArray = npt.NDArray[np.float64]

BANDS = (1, 5, 10)
"""The percentages for which :func:`summary` gives a share."""


def mape(measured: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Return the mean absolute percentage error, ``100 mean(|y - p| / y)``."""
    y, p = _pair(measured, predicted)
    return float(100 * np.mean(np.abs(y - p) / y))


def bias(measured: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Return the mean signed percentage error, ``100 mean((p - y) / y)``: above 0 is too slow."""
    y, p = _pair(measured, predicted)
    return float(100 * np.mean((p - y) / y))


def rmse_ms(measured: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Return the root of the mean squared error in ms, ``sqrt(mean((y - p)^2))``."""
    y, p = _pair(measured, predicted)
    return float(np.sqrt(np.mean((y - p) ** 2)))


def within(measured: npt.ArrayLike, predicted: npt.ArrayLike, percent: float) -> float:
    """Return the percentage of networks with ``100 |y - p| / y <= percent`` (nn-Meter, NNLQP)."""
    y, p = _pair(measured, predicted)
    return float(100 * np.mean(np.abs(y - p) / y <= percent / 100))


def within_predicted(measured: npt.ArrayLike, predicted: npt.ArrayLike, percent: float) -> float:
    """Return the percentage of networks with ``(1 - t) p <= y <= (1 + t) p``, t = percent / 100.

    BRP-NAS (Dudziak et al., arXiv 2007.08859) counts like this: relative to the *prediction*.
    """
    y, p = _pair(measured, predicted)
    t = percent / 100
    return float(100 * np.mean(((1 - t) * p <= y) & (y <= (1 + t) * p)))


def r2(measured: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Return the coefficient of determination, ``1 - sum((y - p)^2) / sum((y - mean(y))^2)``.

    It is 0 for who always says the mean, and below for who is worse; NaN where y is constant.
    """
    y, p = _pair(measured, predicted)
    if np.ptp(y) == 0:
        return math.nan
    return float(1 - np.sum((y - p) ** 2) / np.sum((y - y.mean()) ** 2))


def spearman(measured: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Return the Pearson correlation of mid-ranks; NaN where either side is constant."""
    y, p = _pair(measured, predicted)
    ranks = stats.rankdata(y), stats.rankdata(p)
    if any(np.ptp(rank) == 0 for rank in ranks):
        return math.nan
    return float(np.corrcoef(*ranks)[0, 1])


def kendall(measured: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Return Kendall's tau-b, which allows for ties; NaN where either side is constant."""
    y, p = _pair(measured, predicted)
    if np.ptp(y) == 0 or np.ptp(p) == 0:
        return math.nan
    return float(stats.kendalltau(y, p).statistic)


def interval_coverage(measured: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> float:
    """Return the percentage of networks with ``low <= y <= high``; all (n,) in ms."""
    y, lower = _pair(measured, low)
    _, upper = _pair(measured, high)
    return float(100 * np.mean((lower <= y) & (y <= upper)))


def summary(measured: npt.ArrayLike, predicted: npt.ArrayLike) -> dict[str, float | None]:
    """Return every score by its name, ready for JSON: an undefined rank correlation is None."""
    scores = {
        "mape": mape(measured, predicted),
        "bias": bias(measured, predicted),
        "rmse_ms": rmse_ms(measured, predicted),
        **{f"within_{band}": within(measured, predicted, band) for band in BANDS},
        "spearman": spearman(measured, predicted),
        "kendall": kendall(measured, predicted),
    }
    return {name: None if math.isnan(score) else score for name, score in scores.items()}


def _pair(measured: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    y, p = np.asarray(measured, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if y.ndim != 1 or y.shape != p.shape or not y.size:
        raise UsageError(
            f"a score compares two equally long rows of latencies; got the shapes {y.shape} and "
            f"{p.shape}"
        )
    wrong = ~(np.isfinite(y) & (y > 0) & np.isfinite(p))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UsageError(
            f"row {row} has {y[row]} measured and {p[row]} predicted; a score needs measured "
            "latencies above zero and finite predictions: leave the row out"
        )
    return y, p
