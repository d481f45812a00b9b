"""What a paper's protocol is run with, and the rows it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LABELS = (10, 20, 50, 100)


def _silent(done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Row:
    """One method under a protocol.

    Attributes:
        method: what predicts.
        labels: networks measured on the target to fit it; None for none.
        trimmed: whether the fastest and slowest tenth were left out, as published.
        scores: the protocol's score by target device; None where none was published.
        mean: over the devices.
        spread: standard deviation of ``mean`` between seeds; None for published rows.
        seeds: how many draws of the labels; None for published rows.
        source: where a published row stands; empty for ours.
    """

    method: str
    labels: int | None
    trimmed: bool
    scores: Mapping[str, float | None]
    mean: float
    spread: float | None = None
    seeds: int | None = None
    source: str = ""


@dataclass(frozen=True)
class Request:
    """What a protocol is run with.

    Attributes:
        data: the folder that holds its table, or the table itself.
        labels: numbers of labels to fit our rows to.
        seeds: draws of the labels, at least one.
        seed: of the first draw; the others count up.
        report: told (done, total).
    """

    data: Path
    labels: Sequence[int] = LABELS
    seeds: int = 10
    seed: int = 0
    report: Callable[[int, int], None] = _silent
