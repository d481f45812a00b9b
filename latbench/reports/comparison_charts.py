"""The charts of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from latbench.reports.figures import (
    BLUE,
    MUTED,
    ORANGE,
    PURPLE,
    chart,
    figure,
    hover_name,
    whiskers,
)
from latbench.reports.markup import Markup
from latbench.reports.wording import Unit, count, latency

if TYPE_CHECKING:
    from latbench.reports.comparison import ComparisonRow


def scatter_figure(rows: Sequence[ComparisonRow], unit: Unit) -> Markup:
    """Return true latency over accumulated latency, with the diagonal.

    Args:
        rows: networks with both latencies.
        unit: of both axes.
    """
    drawn = chart(f"accumulated latency ({unit.name})", f"true latency ({unit.name})", 520)
    ends = unit.values(
        value for row in rows for value in (row.true_ms, row.accumulated_ms, row.calibrated_ms)
    )
    values = [value for value in ends if value is not None]
    margin = 0.04 * (max(values) - min(values) or max(values))
    low, high = min(values) - margin, max(values) + margin
    drawn.add_scatter(
        x=[low, high],
        y=[low, high],
        mode="lines",
        line={"color": MUTED, "width": 1, "dash": "dash"},
        name="equal",
        hoverinfo="skip",
    )
    for name, group, marker in _groups(rows):
        true = unit.values(row.true_ms for row in group)
        drawn.add_scatter(
            x=unit.values(row.accumulated_ms for row in group),
            y=true,
            error_y=whiskers(
                true,
                unit.values(row.low_ms for row in group),
                unit.values(row.high_ms for row in group),
            ),
            mode="markers",
            marker=marker,
            name=f"accumulated ({name})",
            text=[hover_name(row.arch) for row in group],
            hovertemplate=f"%{{text}}<br>true %{{y:.4g}} {unit.name}"
            f"<br>accumulated %{{x:.4g}} {unit.name}<extra></extra>",
        )
    calibrated = [row for row in rows if row.calibrated_ms is not None]
    if calibrated:
        drawn.add_scatter(
            x=unit.values(row.calibrated_ms for row in calibrated),
            y=unit.values(row.true_ms for row in calibrated),
            mode="markers",
            marker={"color": PURPLE, "symbol": "circle-open", "size": 8},
            name="calibrated",
            text=[hover_name(row.arch) for row in calibrated],
            hovertemplate=f"%{{text}}<br>true %{{y:.4g}} {unit.name}"
            f"<br>calibrated %{{x:.4g}} {unit.name}<extra></extra>",
        )
    drawn.update_xaxes(range=[low, high])
    drawn.update_yaxes(range=[low, high])
    below = sum((row.residual_ms or 0.0) > 0 for row in rows)
    return figure(
        drawn,
        "One mark is one network; its whisker is the interval of the measurement. On the dashed "
        "line the sum of the blocks equals the network; above it the sum is too small.",
        f"Scatter chart of {count(len(rows), 'network')}: true latency over accumulated latency. "
        f"The sum is too small for {below} of them.",
    )


def residual_figure(rows: Sequence[ComparisonRow]) -> Markup:
    """Return the residual, true less accumulated, over the accumulated latency."""
    unit = Unit.of(row.residual_ms for row in rows)
    across = Unit.of(row.accumulated_ms for row in rows)
    drawn = chart(
        f"accumulated latency ({across.name})", f"true less accumulated ({unit.name})", 360
    )
    drawn.add_hline(y=0, line={"color": MUTED, "width": 1, "dash": "dash"})
    for name, group, marker in _groups(rows):
        residual = unit.values(row.residual_ms for row in group)
        drawn.add_scatter(
            x=across.values(row.accumulated_ms for row in group),
            y=residual,
            error_y=whiskers(
                residual,
                unit.values(_shifted(row, row.low_ms) for row in group),
                unit.values(_shifted(row, row.high_ms) for row in group),
            ),
            mode="markers",
            marker=marker,
            name=name,
            text=[hover_name(row.arch) for row in group],
            hovertemplate=f"%{{text}}<br>true less accumulated %{{y:.4g}} {unit.name}"
            f"<br>accumulated %{{x:.4g}} {across.name}<extra></extra>",
        )
    mean_ms = sum(row.residual_ms or 0.0 for row in rows) / len(rows)
    return figure(
        drawn,
        "True less accumulated latency of each network. A band at one height is a cost that every "
        "run has beside its blocks; a slope is an error that grows with the sum. The whisker is "
        "the interval of the true latency; that of the sum is not in it.",
        f"Scatter chart of true less accumulated latency over accumulated latency of "
        f"{count(len(rows), 'network')}; the mean is {latency(mean_ms)}.",
    )


def _groups(rows: Sequence[ComparisonRow]) -> list[tuple[str, list[ComparisonRow], dict[str, Any]]]:
    """Return name, networks and marker of those measured well and of the doubtful ones."""
    good = [row for row in rows if row.status == "ok"]
    rest = [row for row in rows if row.status != "ok"]
    marks = {"size": 8, "line": {"color": "white", "width": 0.5}}
    groups = [
        ("ok", good, {**marks, "color": BLUE}),
        ("unconverged or unstable", rest, {**marks, "color": ORANGE, "symbol": "diamond"}),
    ]
    return [group for group in groups if group[1]]


def _shifted(row: ComparisonRow, end_ms: float | None) -> float | None:
    return None if end_ms is None or row.accumulated_ms is None else end_ms - row.accumulated_ms
