"""The latencies of somebody's table: which can be used, in which unit, and what is odd there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.prediction import conformal, repeats
from latbench.spaces import IntArray
from latbench.timing import noise

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]

MS_PER_UNIT = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}
"""The units a column may be in."""

_FAR = 50.0
_FEWEST_REPEATS = 5
_FEWEST_WHOLE = 10
# A whole network takes neither a tenth of a microsecond nor an hour; and whole numbers beyond 100 s
# are counts of a finer unit.
_LEAST_MS, _MOST_MS, _MOST_WHOLE_MS = 1e-4, 3.6e6, 1e5
# Few networks are as fast; tables in a coarser unit than the one stated often are.
_FEW_MS = 0.05


@dataclass
class Findings:
    """What is to be told about a table.

    Attributes:
        set_aside: why rows were left out, with their number.
        remarks: what else a reader must know, in sentences.
    """

    set_aside: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def leave_out(self, why: str, count: int) -> None:
        """Count rows that are left out."""
        if count:
            self.set_aside[why] = self.set_aside.get(why, 0) + count

    def notes(self) -> list[str]:
        """Return everything in sentences."""
        rows = [
            f"{count} row{'s were' if count > 1 else ' was'} set aside: {why}"
            for why, count in self.set_aside.items()
        ]
        return [*rows, *self.remarks]


def usable(frame: pd.DataFrame, column: str, unit: str, findings: Findings) -> pd.Series[float]:
    """Return the latencies in ms of the rows that have one, by the index of ``frame``.

    Rows are set aside whose latency is missing, no number, infinite or not above zero.

    Raises:
        UsageError: what is left cannot be in ``unit``; the text names one that fits.
    """
    import pandas as pd

    numbers = pd.to_numeric(frame[column], errors="coerce")
    if pd.api.types.is_bool_dtype(frame[column]):
        numbers = pd.Series(np.nan, index=frame.index)  # yes and no would pass for 1 and 0
    missing = frame[column].isna()
    reasons = {
        f"{column} is missing": missing,
        f"{column} is no number": numbers.isna() & ~missing,
        f"{column} is infinite": np.isinf(numbers),
        f"{column} is not above zero": (numbers <= 0) & ~np.isinf(numbers),
    }
    for why, rows in reasons.items():
        findings.leave_out(why, int(rows.sum()))
    kept = numbers[numbers.notna() & ~np.isinf(numbers) & (numbers > 0)].astype(np.float64)
    latencies: pd.Series[float] = kept * MS_PER_UNIT[unit]
    if len(kept):
        _check_unit(kept, column, unit)
        _tell_fast(kept, column, unit, findings)
        _tell_quantised(kept, column, findings)
        _tell_extremes(kept, column, findings)
    return latencies


def _check_unit(kept: pd.Series[float], column: str, unit: str) -> None:
    median = float(kept.median())
    median_ms = median * MS_PER_UNIT[unit]
    whole = bool((kept % 1 == 0).all())
    if _LEAST_MS <= median_ms <= (_MOST_WHOLE_MS if whole else _MOST_MS):
        return
    fitting = [
        name
        for name, ms in MS_PER_UNIT.items()
        if _LEAST_MS <= median * ms <= (_MOST_WHOLE_MS if whole else _MOST_MS)
    ]
    raise UsageError(
        f"{column} has a median of {median:,.6g} {unit}, which no network takes"
        + (f": is it in {' or '.join(fitting)}? Say so with --latency-unit" if fitting else "")
    )


def _tell_fast(kept: pd.Series[float], column: str, unit: str, findings: Findings) -> None:
    median = float(kept.median())
    if median * MS_PER_UNIT[unit] >= _FEW_MS:
        return
    fitting = [
        name
        for name, ms in MS_PER_UNIT.items()
        if ms > MS_PER_UNIT[unit] and _FEW_MS <= median * ms <= _MOST_MS
    ]
    if fitting:
        findings.remarks.append(
            f"{column} has a median of {median:.3g} {unit}, and few networks are as fast: is it in "
            f"{' or '.join(fitting)}? If so, say so with --latency-unit"
        )


def _tell_quantised(kept: pd.Series[float], column: str, findings: Findings) -> None:
    if len(kept) >= _FEWEST_WHOLE and bool((kept % 1 == 0).all()):
        findings.remarks.append(
            f"{column} holds whole numbers alone, {kept.nunique()} different ones: it is "
            f"quantised, and half a unit is {50 / float(kept.median()):.2g} % of its median"
        )


def _tell_extremes(kept: pd.Series[float], column: str, findings: Findings) -> None:
    ratios = kept / float(kept.median())
    far = int(((ratios > _FAR) | (ratios < 1 / _FAR)).sum())
    if far:
        findings.remarks.append(
            f"{far} of {len(kept)} values of {column} are more than a factor of {_FAR:g} from the "
            "median, and are kept: are they latencies of such networks, in the same unit?"
        )


def agreeing(X: IntArray, y: FloatArray, findings: Findings) -> npt.NDArray[np.bool_]:
    """Return which rows (n,) stay: not those of an architecture with latencies far apart.

    Architectures that occur more than once with latencies within a factor of two are kept, and
    told.
    """
    _, groups = conformal.different(X)
    low, high = repeats.ranges(groups, y)
    counts = np.bincount(groups)
    apart = high > repeats.APART * low
    findings.leave_out(
        "the same architecture stands there with latencies more than a factor of "
        f"{repeats.APART:g} apart",
        int(counts[apart].sum()),
    )
    repeated = (counts > 1) & ~apart
    if repeated.any():
        most = float(np.max(high[repeated] / low[repeated] - 1))
        findings.remarks.append(
            f"of {int(repeated.sum())} architectures there are several rows, with latencies up to "
            f"{100 * most:.2g} % apart; all of them are kept"
        )
    stays: npt.NDArray[np.bool_] = ~apart[groups]
    return stays


def noise_mape(X: IntArray, y: FloatArray) -> float | None:
    """Return what a perfect predictor would score, in percent, by what occurs twice.

    None where too few architectures do.
    """
    first, groups = conformal.different(X)
    rest = np.ones(len(y), dtype=np.bool_)
    rest[first] = False
    again = np.flatnonzero(rest)
    _, once = np.unique(groups[again], return_index=True)
    second = again[once]
    if len(second) < _FEWEST_REPEATS:
        return None
    return noise(y[first[groups[second]]].tolist(), y[second].tolist()).single
