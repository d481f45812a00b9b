"""The charts of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from latbench.reports.figures import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    RED,
    SKY,
    chart,
    figure,
    label,
    mark,
    mark_height,
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
        "Latencies are predictions; only networks in the table above were measured.",
        f"Scatter chart of {label(summary.score_name)} over predicted latency of "
        f"{count(len(history), 'architecture')}, {within} of them within the target.",
    )


def course_figure(summary: SearchSummary) -> Markup:
    """Return expected latency and entropy of the chances over the steps, one above the other."""
    rows = summary.course
    known = [row.expected_ms for row in rows if finite(row.expected_ms) is not None]
    unit = Unit.of([summary.target_ms, *known])
    drawn = chart("training step", f"expected latency ({unit.name})", 460 if known else 280)
    lower = {**drawn.layout.yaxis.to_plotly_json(), "title": {"text": "undecided (%)"}}
    caption = (
        "How undecided the chances of the options are: at 100 % all options are equally likely, at "
        "0 % the network is chosen."
    )
    if known:
        _expected(drawn, summary, unit)
        drawn.update_layout(yaxis={"domain": [0.42, 1]}, xaxis={"anchor": "y2"})
        lower["domain"] = [0, 0.32]
        caption = f"Above: the latency that the search expects, and the target. Below: {caption}"
    axis = "y2" if known else "y"
    drawn.update_layout({f"yaxis{axis[1:]}": {**lower, "range": [0, 105]}}, showlegend=True)
    drawn.add_scatter(
        x=[row.step for row in rows],
        y=[100 * row.undecided for row in rows],
        yaxis=axis,
        mode="lines+markers",
        line={"color": ORANGE, "width": 2},
        marker={"size": 5},
        name="undecided",
        hovertemplate="step %{x}: %{y:.1f} % undecided<extra></extra>",
    )
    last = rows[-1]
    return figure(
        drawn,
        caption,
        f"Line chart over {count(last.step, 'training step')}. At the end the expected latency is "
        f"{latency(last.expected_ms, 'not known')} at a target of {latency(summary.target_ms)}, "
        f"and the chances are {last.undecided:.0%} undecided.",
    )


def _expected(drawn: Any, summary: SearchSummary, unit: Unit) -> None:
    """Draw the expected latency, its end beside the most likely network, and the target."""
    rows = summary.course
    drawn.add_scatter(
        x=[row.step for row in rows],
        y=unit.values(row.expected_ms for row in rows),
        mode="lines+markers",
        line={"color": BLUE, "width": 2},
        marker={"size": 5},
        name="expected",
        hovertemplate=f"step %{{x}}: %{{y:.4g}} {unit.name} expected<extra></extra>",
    )
    likely = unit.value(summary.most_likely_ms)
    if likely is not None:
        drawn.add_scatter(
            x=[rows[-1].step],
            y=[likely],
            mode="markers",
            marker={"size": 11, "symbol": "diamond", "color": GREEN},
            name="most likely network",
            hovertemplate=f"most likely network: %{{y:.4g}} {unit.name}<extra></extra>",
        )
    target = unit.value(summary.target_ms)
    mark_height(drawn, target, f"target {latency(summary.target_ms)}")
    shown = [one for one in (*unit.values(r.expected_ms for r in rows), likely, target) if one]
    room = 0.08 * (max(shown) - min(shown)) or 0.05 * max(shown)
    drawn.update_layout(yaxis={"range": [min(shown) - room, max(shown) + room]})
