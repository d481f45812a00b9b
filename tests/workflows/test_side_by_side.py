"""Speed-ups over the first runtime, and whether two runtimes rank networks alike."""

from __future__ import annotations

import math
from typing import Any

import pytest

from latbench.workflows.side_by_side import add_speedups, mean_speedups, rankings, subjects


def rows(kind: str = "network", **latencies: list[float | None]) -> list[dict[str, Any]]:
    """Return rows as a profile gives them: each runtime's latencies, known to ±10 %."""
    return [
        {
            "kind": kind,
            "name": f"net{number}",
            "workload": f"g1:{number}",
            "target": {"runtime": runtime, "precision": "fp32"},
            "latency_ms": value,
            "low_ms": None if value is None else 0.9 * value,
            "high_ms": None if value is None else 1.1 * value,
        }
        for runtime, values in latencies.items()
        for number, value in enumerate(values)
    ]


def test_speedups_are_over_the_first_runtime() -> None:
    """Twice as fast is 2; the first runtime, and what has no latency, has none."""
    found = rows(a=[1.0, 2.0, None], b=[0.5, None, 1.0], c=[2.0, 2.0, 2.0])
    add_speedups(found)
    assert [row.get("speedup") for row in found] == [
        *(None, None, None),
        *(2.0, None, None),
        *(0.5, 1.0, None),
    ]


def test_targets_that_differ_in_their_options_are_not_mixed_up() -> None:
    """The first is what others are compared with, not the last of its runtime and precision."""
    found = [*rows(a=[1.0]), *rows(a=[0.5])]
    for row, options in zip(found, ({}, {"launch": "graph"}), strict=True):
        row["target"]["options"] = options
    add_speedups(found)
    assert [row.get("speedup") for row in found] == [None, 2.0]


def test_bounds_of_a_speedup_hold_for_all_of_both_intervals() -> None:
    """The slowest of one over the fastest of the other, and the other way round."""
    found = rows(a=[1.0], b=[0.5])
    add_speedups(found)
    assert found[1]["speedup_low"] == pytest.approx(0.9 / 0.55)
    assert found[1]["speedup_high"] == pytest.approx(1.1 / 0.45)
    found[1]["low_ms"] = 0.0
    add_speedups(found)
    assert found[1]["speedup_high"] == math.inf


def test_means_are_geometric() -> None:
    """Four times and a quarter as fast is as fast on the whole."""
    found = rows(a=[1.0, 1.0, 1.0], b=[0.25, 4.0, None], c=[0.5, 0.5, 0.5], d=[None, None, None])
    add_speedups(found)
    b, c = mean_speedups(found)
    assert (b["runtime"], b["than"], b["subjects"]) == ("b fp32", "a fp32", 2)
    assert b["geometric_mean"] == pytest.approx(1.0)
    assert (c["geometric_mean"], c["subjects"]) == (pytest.approx(2.0), 3)


def test_files_of_one_name_are_two_subjects() -> None:
    """``a/net.onnx`` and ``b/net.onnx`` are told apart by what they compute."""
    found = rows("model", a=[1.0, 3.0], b=[1.0, 1.0])
    for row in found:
        row["name"] = "net.onnx"
    add_speedups(found)
    assert [row["speedup"] for row in found[2:]] == [1.0, 3.0]
    assert [len(group) for group in subjects(found)] == [2, 2]


def test_rankings_compare_what_both_measured() -> None:
    """Each pair of runtimes by the networks that both have, five at least."""
    some: list[float | None] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    found = rows(a=some, b=[6.0, 5.0, 4.0, 3.0, 2.0, None], c=[1.0, 1.0, None, None, 1.0, 1.0])
    (pair,) = rankings(found)
    assert (pair["first"], pair["second"], pair["networks"]) == ("a fp32", "b fp32", 5)
    assert pair["spearman"] == pytest.approx(-1.0)


def test_equal_latencies_have_no_ranking() -> None:
    """A correlation with a constant is not a number, and so not known."""
    (pair,) = rankings(rows(a=[1.0, 2.0, 3.0, 4.0, 5.0], b=[1.0] * 5))
    assert pair["spearman"] is None


def test_blocks_are_not_ranked() -> None:
    """Which network is faster is the question; blocks differ by orders of magnitude."""
    assert rankings(rows("block", a=[1.0, 2.0, 3.0, 4.0, 5.0], b=[1.0, 2.0, 3.0, 4.0, 5.0])) == []


def test_no_rows_are_fine() -> None:
    """Nothing measured, nothing compared."""
    add_speedups([])
    assert mean_speedups([]) == []
    assert rankings([]) == []
    assert len(subjects([])) == 0
