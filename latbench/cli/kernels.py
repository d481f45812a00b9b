"""The compiled graph of a model, as ``latbench profile --kernels`` shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from latbench.cli.output import table
from latbench.units import format_ms

if TYPE_CHECKING:
    from latbench.workflows.profile import Compiled

_UNKNOWN = "not told"


def kernels_document(compiled: Sequence[Compiled]) -> dict[str, Any]:
    """Return what is added to the JSON document: ``kernels``, ``folded`` and their sums."""
    return {
        "kernels": [row for one in compiled for row in one.rows()],
        "folded": [
            {"workload": one.workload, "runtime": one.target.runtime, "node": node}
            for one in compiled
            for node in one.graph.folded
        ],
        "compiled": [
            {
                "workload": one.workload,
                "name": one.name,
                "runtime": one.target.runtime,
                "sum_ms": one.graph.sum_ms,
                "whole_ms": one.graph.whole_ms,
                "latency_ms": one.latency_ms,
            }
            for one in compiled
        ],
    }


def render_kernels(console: Console, compiled: Compiled) -> None:
    """Print the kernels of one model, and what their times add up to."""
    graph = compiled.graph
    total_ms = graph.sum_ms
    console.print(
        table(
            f"Kernels of {compiled.name} on {compiled.target.label}",
            ["kernel", "kind", "source nodes", "time, ms", "share, %"],
            [
                [
                    kernel.name,
                    kernel.kind,
                    ", ".join(kernel.nodes) or "inserted",
                    kernel.time_ms,
                    None
                    if kernel.time_ms is None or not total_ms
                    else 100 * kernel.time_ms / total_ms,
                ]
                for kernel in graph.kernels
            ],
        )
    )
    inserted = [kernel for kernel in graph.kernels if kernel.inserted]
    inserted_ms = sum(kernel.time_ms or 0.0 for kernel in inserted)
    for name, value in {
        "sum of kernels": _time(total_ms),
        "whole profiled run": _time(graph.whole_ms),
        "timed latency": _time(compiled.latency_ms),
        "inserted kernels": f"{len(inserted)}, {format_ms(inserted_ms)}" if inserted else "none",
        "folded nodes": ", ".join(graph.folded) or "none",
    }.items():
        console.print(f"{name}: {value}", markup=False)


def _time(value_ms: float | None) -> str:
    return _UNKNOWN if value_ms is None else format_ms(value_ms)
