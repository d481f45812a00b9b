"""What a paper's protocol is run with, and the rows it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latbench.spaces import FloatArray

RIDGE_ALPHA = 1.0
"""Shrinkage of the ridge regressions that stand beside ours, as in the figures they repeat."""


def _silent(done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Row:
    """One method under a protocol, by one score.

    Attributes:
        method: what predicts.
        labels: networks measured on the target to fit it; None for none.
        trimmed: whether the fastest and slowest tenth were left out, as published; None where
            the protocol never does.
        scores: the score by target device or task; None where none was published.
        mean: over them; None where nothing was scored.
        spread: standard deviation of ``mean`` between seeds; None for published rows.
        seeds: how many draws of the labels; None for published rows.
        source: where a published row stands; empty for ours.
        score: the name of the score, as in :func:`latbench.prediction.metrics.summary`.
        note: what a reader must know, such as why there are no scores.
    """

    method: str
    labels: int | None
    trimmed: bool | None
    scores: Mapping[str, float | None]
    mean: float | None
    spread: float | None = None
    seeds: int | None = None
    source: str = ""
    score: str = "spearman"
    note: str = ""


@dataclass(frozen=True)
class Request:
    """What a protocol is run with.

    Attributes:
        data: the folder that holds its table, or the table itself.
        labels: numbers of labels to fit our rows to; none for those of the protocol.
        seeds: draws of the labels, at least one.
        seed: of the first draw; the others count up.
        report: told (done, total).
    """

    data: Path
    labels: Sequence[int] = ()
    seeds: int = 10
    seed: int = 0
    report: Callable[[int, int], None] = _silent

    @property
    def draws(self) -> range:
        """The seed of each draw."""
        return range(self.seed, self.seed + self.seeds)


Scores = Mapping[str, float | None]
"""Scores of one prediction by name."""


def ours(
    method: str,
    labels: int | None,
    trimmed: bool | None,
    found: Sequence[Mapping[str, Scores]],
    note: str = "",
) -> list[Row]:
    """Return our rows of a method, one a score, from the scores of each draw by device.

    Args:
        method: what predicts.
        labels: networks measured on the target.
        trimmed: see :class:`Row`.
        found: for each draw, device -> scores.
        note: see :class:`Row`.
    """
    devices = list(found[0])
    rows = []
    for score in found[0][devices[0]]:
        table = np.array([[_number(draw[device][score]) for device in devices] for draw in found])
        rows.append(_ours(f"latbench {method}", labels, trimmed, score, devices, table, note))
    return rows


def _number(score: float | None) -> float:
    return np.nan if score is None else score


def _ours(
    method: str,
    labels: int | None,
    trimmed: bool | None,
    score: str,
    devices: list[str],
    table: FloatArray,
    note: str,
) -> Row:
    """Return the row of ``table`` (draws, devices)."""
    means = table.mean(axis=1)
    return Row(
        method=method,
        labels=labels,
        trimmed=trimmed,
        scores=dict(zip(devices, map(_score, table.mean(axis=0)), strict=True)),
        mean=_score(means.mean()),
        spread=_score(means.std(ddof=1)) if len(means) > 1 else None,
        seeds=len(means),
        score=score,
        note=note,
    )


def _score(value: float) -> float | None:
    """Return ``value``, or None for the NaN of a correlation with a constant."""
    return None if np.isnan(value) else float(value)


def skipped(method: str, devices: Sequence[str], score: str, why: str) -> Row:
    """Return the row of a method that did not run, with the reason."""
    return Row(
        f"latbench {method}", None, None, dict.fromkeys(devices), None, score=score, note=why
    )
