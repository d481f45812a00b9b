"""The charts of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from latbench.reports.figures import (
    BLUE,
    GREEN,
    INK,
    RED,
    SKY,
    chart,
    figure,
    label,
    mark,
    whiskers,
)
from latbench.reports.markup import Markup
from latbench.reports.wording import Unit, count, finite, latency

if TYPE_CHECKING:
    from latbench.reports.search_summary import BaselineRow, SearchSummary

_BAR_HEIGHT = 26


def latency_figure(networks: Sequence[BaselineRow], target_ms: float) -> Markup:
    """Return the three latencies of each network as bars, with their intervals and the target."""
    kinds = (
        (
            "predicted",
            SKY,
            [(n.predicted_ms, n.predicted_low_ms, n.predicted_high_ms) for n in networks],
        ),
        ("accumulated", BLUE, [(n.accumulated_ms, None, None) for n in networks]),
        ("true", GREEN, [(n.true_ms, n.true_low_ms, n.true_high_ms) for n in networks]),
    )
    unit = Unit.of([target_ms, *(value for _, _, rows in kinds for value, _, _ in rows)])
    drawn = chart(f"latency ({unit.name})", "", 170 + 3 * _BAR_HEIGHT * len(networks))
    for name, colour, rows in kinds:
        values = unit.values(value for value, _, _ in rows)
        lows = unit.values(low for _, low, _ in rows)
        highs = unit.values(high for _, _, high in rows)
        drawn.add_bar(
            x=values,
            y=[label(network.name) for network in networks],
            name=name,
            orientation="h",
            marker={"color": colour},
            error_x={**whiskers(values, lows, highs), "color": INK},
            hovertemplate=f"%{{y}}, {name}: %{{x:.4g}} {unit.name}<extra></extra>",
        )
    mark(drawn, unit.value(target_ms), f"target {latency(target_ms)}")
    drawn.update_layout(barmode="group", bargap=0.3)
    drawn.update_yaxes(autorange="reversed", showgrid=False, ticks="")
    drawn.update_xaxes(rangemode="tozero")
    found = networks[0]
    return figure(
        drawn,
        "Bars start at 0; whiskers are intervals, and an accumulated latency has none. What was "
        "not measured has no bar. The dashed line is the latency target.",
        f"Bar chart. The network found: predicted {latency(found.predicted_ms, 'not')}, "
        f"accumulated {latency(found.accumulated_ms)}, true {latency(found.true_ms)}; the target "
        f"is {latency(target_ms)}.",
    )


def history_figure(summary: SearchSummary) -> Markup:
    """Return score over predicted latency of all that was scored, with the target as border."""
    history = summary.history
    unit = Unit.of([summary.target_ms, *(row.predicted_ms for row in history)])
    # A score is an accuracy in [0, 1], unless the search maximised something else.
    shares = all(0 <= row.score <= 1 for row in history)
    factor, ending, decimals = (100, " (%)", ".2f") if shares else (1, "", ".4g")
    drawn = chart(f"predicted latency ({unit.name})", f"{label(summary.score_name)}{ending}", 440)
    drawn.add_scatter(
        x=unit.values(row.predicted_ms for row in history),
        y=[factor * row.score for row in history],
        mode="markers",
        marker={
            "color": [row.n for row in history],
            "colorscale": "Viridis",
            "reversescale": True,
            "size": 7,
            "colorbar": {"title": {"text": "evaluation"}, "thickness": 14, "outlinewidth": 0},
        },
        customdata=[row.n for row in history],
        hovertemplate=f"evaluation %{{customdata}}<br>%{{x:.4g}} {unit.name}"
        f"<br>%{{y:{decimals}}}{' %' if shares else ''}<extra></extra>",
        showlegend=False,
    )
    found_ms, accuracy = finite(summary.predicted_ms), finite(summary.accuracy)
    if found_ms is not None and accuracy is not None and shares:
        drawn.add_scatter(
            x=[unit.value(found_ms)],
            y=[factor * accuracy],
            mode="markers",
            marker={"size": 16, "symbol": "circle-open", "color": RED, "line": {"width": 2.5}},
            name="found",
            hoverinfo="skip",
        )
    mark(drawn, unit.value(summary.target_ms), f"target {latency(summary.target_ms)}")
    within = sum(row.predicted_ms <= summary.target_ms for row in history)
    return figure(
        drawn,
        f"Each mark is one of the {count(len(history), 'architecture')} that were scored, coloured "
        f"by when: left of the dashed line it is predicted within the target ({within} are). "
        "Latencies are predictions; only the network found was measured.",
        f"Scatter chart of {label(summary.score_name)} over predicted latency of "
        f"{count(len(history), 'architecture')}, {within} of them within the target.",
    )
