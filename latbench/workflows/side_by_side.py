"""Runtimes beside each other: speed-ups over the first one, and whether they rank alike.

Works on the rows of :func:`latbench.workflows.profile.profile`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

LEAST_NETWORKS = 5
"""Networks that a rank correlation is told of; of fewer it says little."""

Row = Mapping[str, Any]
Subject = tuple[str, str, str]


def _subject(row: Row) -> Subject:
    # Two files in two folders may have one name.
    return row["kind"], row["name"], row["workload"]


def column(target: Mapping[str, Any]) -> str:
    """Return what the column of a target is called: its runtime and precision."""
    return f"{target['runtime']} {target['precision']}"


def subjects(rows: Sequence[Row]) -> list[list[Row]]:
    """Return ``rows`` by subject, each measured by one or several runtimes, in their order."""
    groups: dict[Subject, list[Row]] = {}
    for row in rows:
        groups.setdefault(_subject(row), []).append(row)
    return list(groups.values())


def add_speedups(rows: Sequence[dict[str, Any]]) -> None:
    """Add to each row how many times as fast as on the first runtime its subject is.

    ``speedup_low`` and ``speedup_high`` (infinite, where nothing bounds it) hold it if both
    latencies are in their intervals. The rows of the first runtime, and those where a latency is
    missing, get none.
    """
    first = {_subject(row): row for row in rows if row["target"] == rows[0]["target"]}
    for row in rows:
        base = first.get(_subject(row))
        if base is None or base is row or None in (base["latency_ms"], row["latency_ms"]):
            continue
        row["speedup"] = base["latency_ms"] / row["latency_ms"]
        row["speedup_low"] = base["low_ms"] / row["high_ms"]
        # The interval of a latency that is hardly known goes down to zero.
        row["speedup_high"] = base["high_ms"] / row["low_ms"] if row["low_ms"] else math.inf


def mean_speedups(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return for each runtime but the first the geometric mean of its speed-ups."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if "speedup" in row:
            found.setdefault(column(row["target"]), []).append(row["speedup"])
    return [
        {
            "runtime": name,
            "than": column(rows[0]["target"]),
            "geometric_mean": math.exp(math.fsum(map(math.log, values)) / len(values)),
            "subjects": len(values),
        }
        for name, values in found.items()
    ]


def rankings(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return how alike each two runtimes rank the networks that both measured."""
    from latbench.prediction.metrics import spearman

    latencies: dict[str, dict[Subject, float]] = {}
    for row in rows:
        if row["kind"] != "block" and row["latency_ms"] is not None:
            latencies.setdefault(column(row["target"]), {})[_subject(row)] = row["latency_ms"]
    result = []
    for (first, a), (second, b) in combinations(latencies.items(), 2):
        both = [one for one in a if one in b]
        if len(both) >= LEAST_NETWORKS:
            value = spearman([a[one] for one in both], [b[one] for one in both])
            result.append(
                {
                    "first": first,
                    "second": second,
                    "networks": len(both),
                    "spearman": None if math.isnan(value) else value,
                }
            )
    return result
