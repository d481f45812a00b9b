"""Papers' protocols on the papers' tables: our figures beside the published ones, five seeds.

``latbench evaluate PROTOCOL`` prints all of their rows; here stand those that have a goal. The
tables are in the folder that ``LATBENCH_EVAL_DATA`` names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.table import Row
from latbench.workflows import evaluate as workflow
from latbench.workflows.protocols.rows import Request
from latbench.workflows.protocols.rows import Row as Found

VARIABLE = "LATBENCH_EVAL_DATA"

_SEEDS = 5
_CHOSEN = "latbench transfer, labels chosen"
_RANDOM = "latbench transfer, labels drawn at random"
_TOLERANT = "latbench gbdt, tolerance 0.1"


def rows() -> Iterator[Row]:
    """Yield a row a goal; nothing where there is no data."""
    folder = os.environ.get(VARIABLE)
    if folder is None:
        print(f"  skipped: {VARIABLE} names no folder of public tables", file=sys.stderr)
        return

    def run(protocol: str, *labels: int) -> list[Found]:
        return workflow.evaluate(protocol, Request(Path(folder), labels, _SEEDS))

    yield from _help(run("help-nb201", 10))
    yield from _nasflat(run("nasflat-fbnet"))
    yield from _cells(run("nb201-900"))


def _help(found: Sequence[Found]) -> Iterator[Row]:
    published = _one(found, lambda row: row.method == "HELP")
    trimmed = _one(found, lambda row: row.method == _CHOSEN and row.trimmed is True)
    whole = _one(found, lambda row: row.method == _CHOSEN and row.trimmed is False)
    drawn = _one(found, lambda row: row.method == _RANDOM and row.trimmed is True)
    yield Row(
        "HELP's NAS-Bench-201, 10 labels chosen: mean Spearman over six devices",
        "0.94",
        f"{_told(trimmed)} trimmed as published, {_told(whole)} untrimmed",
        f"HELP {published.mean}; {_by_device(trimmed)}; labels drawn at random {_told(drawn)}",
        _mean(trimmed) >= 0.94,
    )


def _nasflat(found: Sequence[Found]) -> Iterator[Row]:
    published = _one(found, lambda row: row.method == "NASFLAT")
    ours = _one(found, lambda row: row.method == _CHOSEN)
    drawn = _one(found, lambda row: row.method == _RANDOM)
    better = _better(ours, published)
    yield Row(
        "NASFLAT's FBNet tasks, 20 labels chosen: Spearman above NASFLAT's",
        "on 5 of 6",
        f"on {better} of {len(ours.scores)}: {_by_device(ours)}",
        f"NASFLAT: {_by_device(published)}; labels drawn at random: on "
        f"{_better(drawn, published)}, {_by_device(drawn)}",
        better >= 5,
    )


def _better(ours: Found, published: Found) -> int:
    """Return on how many tasks our score is higher."""
    return sum(
        (score or 0.0) > (published.scores[task] or 0.0) for task, score in ours.scores.items()
    )


def _cells(found: Sequence[Found]) -> Iterator[Row]:
    score = "within_predicted_10"
    tolerant = _one(found, lambda row: row.method == _TOLERANT and row.score == score, score)
    ceiling = [row for row in found if "ceiling" in row.method and row.score == score]
    for device, goal in (("gold_6226", 95.0), ("raspi4", 68.0)):
        reached = tolerant.scores[device] or 0.0
        most = ", ".join(f"{row.scores[device]:.1f}" for row in ceiling)
        yield Row(
            f"NAS-Bench-201 with 900 labels, `{device}`: cells within 10 %",
            f"{goal:.0f} %",
            f"{reached:.1f} %",
            f"gbdt with tolerance 0.1; ceilings of isomorphic cells {most}",
            reached >= goal,
        )


def _one(found: Sequence[Found], wanted: Callable[[Found], bool], score: str = "spearman") -> Found:
    (row,) = (row for row in found if row.score == score and wanted(row))
    return row


def _mean(row: Found) -> float:
    assert row.mean is not None
    return row.mean


def _told(row: Found) -> str:
    return f"{_mean(row):.3f} ± {row.spread:.3f}"


def _by_device(row: Found) -> str:
    return ", ".join(f"{name} {score:.3f}" for name, score in row.scores.items() if score)
