"""Charts: plotly's graph objects as inert data, drawn by one script once the text is there."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from latbench.reports.markup import Markup, tag

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
INK, MUTED, PALE, GRID = "#1b1f24", "#57606a", "#a3acb6", "#e3e7ec"
BLUE, ORANGE, GREEN, PURPLE, RED, SKY = (
    "#0072b2",
    "#c65102",
    "#00795a",
    "#9c4f86",
    "#b42318",
    "#56b4e9",
)
"""Told apart by colour-blind readers too, after Okabe and Ito; dark enough on white."""

_HOVER_WIDTH = 64
# Null would do in a chart's other lists, but among error bars plotly takes it for 0 and draws the
# mark of a certain value.
_NO_WHISKER = "unknown"

SCRIPT = """
const plots = [...document.querySelectorAll("figure > .plot")];
for (const plot of plots) {
  const chart = JSON.parse(plot.nextElementSibling.textContent);
  Plotly.newPlot(plot, chart.data, chart.layout, {
    responsive: true, displayModeBar: false, showSendToCloud: false, plotlyServerURL: "",
  });
}
const fit = width => plots.forEach(plot => Plotly.relayout(plot, { width, autosize: !width }));
addEventListener("beforeprint", () => fit(680));
addEventListener("afterprint", () => fit(null));
"""
"""Draws every figure, and for print in the width of a sheet."""


def chart(x_title: str, y_title: str, height: int = 420) -> Any:
    """Return an empty ``plotly.graph_objects.Figure`` in the looks of the page."""
    from plotly import graph_objects as go

    axis = {
        "gridcolor": GRID,
        "linecolor": MUTED,
        "zeroline": False,
        "exponentformat": "none",
        "ticks": "outside",
        "tickcolor": MUTED,
        "automargin": True,
        "title": {"standoff": 12},
    }
    layout = go.Layout(
        template="none",
        height=height,
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        margin={"l": 70, "r": 20, "t": 28, "b": 60},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        hoverlabel={"bgcolor": "white", "bordercolor": MUTED, "font": {"color": INK}},
        xaxis=axis,
        yaxis=axis,
    )
    figure = go.Figure(layout=layout)
    figure.update_xaxes(title_text=x_title)
    figure.update_yaxes(title_text=y_title)
    return figure


def mark(drawn: Any, x: float | None, name: str) -> None:
    """Draw a dashed vertical line at ``x``, explained in the legend, where nothing hides it."""
    line = {"color": RED, "width": 2, "dash": "dash"}
    drawn.add_vline(x=x, line=line, name=name, showlegend=True)
    drawn.update_layout(showlegend=True)


def mark_height(drawn: Any, y: float | None, name: str) -> None:
    """Draw a dashed horizontal line at ``y``, explained in the legend."""
    line = {"color": RED, "width": 2, "dash": "dash"}
    drawn.add_hline(y=y, line=line, name=name, showlegend=True)
    drawn.update_layout(showlegend=True)


def label(text: str) -> str:
    """Return ``text`` for a chart, where plotly would read markup in it."""
    return html.escape(text, quote=False)


def hover_name(text: str) -> str:
    """Return a long name for a hover box, broken into lines."""
    pieces = [text[at : at + _HOVER_WIDTH] for at in range(0, len(text), _HOVER_WIDTH)]
    return "<br>".join(label(piece) for piece in pieces)


def whiskers(
    values: Sequence[float | None], lows: Sequence[float | None], highs: Sequence[float | None]
) -> dict[str, Any]:
    """Return plotly's error bars; none is drawn where an end of the interval is not known."""
    ends: list[tuple[float | str, float | str]] = [
        (_NO_WHISKER, _NO_WHISKER)
        if value is None or low is None or high is None
        else (value - low, high - value)
        for value, low, high in zip(values, lows, highs, strict=True)
    ]
    return {
        "type": "data",
        "symmetric": False,
        "arrayminus": [down for down, _ in ends],
        "array": [up for _, up in ends],
        "thickness": 1.2,
        "width": 3,
    }


def figure(chart: Any, caption: str, description: str) -> Markup:
    """Return a chart as an element of the page.

    Args:
        chart: a ``plotly.graph_objects.Figure``.
        caption: shown below: what is shown and how to read it.
        description: for those who do not see it: what the chart tells.
    """
    # A script element ends at the first "</script", wherever in its data that stands.
    data = Markup(chart.to_json().replace("<", "\\u003c"))
    return tag(
        "figure",
        tag("div", class_="plot", role="img", aria_label=description, style=_space(chart)),
        tag("script", data, type="application/json"),
        tag("figcaption", caption),
    )


def _space(chart: Any) -> str:
    """Return the style that keeps the chart's place, so that text does not jump when it comes."""
    return f"min-height:{chart.layout.height}px"
