"""What was measured: blocks or networks with latency, interval and status."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from latbench.reports.figures import BLUE, INK, chart, figure, hover_name, label, whiskers
from latbench.reports.markup import Markup, definitions, joined, tag
from latbench.reports.origin import Origin
from latbench.reports.page import Part, Section, write_page
from latbench.reports.tables import interval_column, latency_column, name_column, table, text_column
from latbench.reports.wording import Unit, count, finite, latency
from latbench.target import Target

_MOST_DRAWN = 40
_LONGEST_NAME = 48


@dataclass(frozen=True)
class MeasurementRow:
    """One measured block or network.

    Attributes:
        name: the block's key, or the architecture as text.
        kind: ``block`` or ``network``.
        latency_ms: None if the measurement failed.
        low_ms, high_ms: its interval.
        p90_ms: 90th percentile of single runs; None where there are too few to tell.
        status: ``ok``, ``unconverged``, ``unstable`` or ``failed``.
        reason: why the status is not ``ok``.
    """

    name: str
    kind: str
    latency_ms: float | None
    low_ms: float | None
    high_ms: float | None
    p90_ms: float | None = None
    status: str = "ok"
    reason: str | None = None


@dataclass(frozen=True)
class MeasurementOverview:
    """Measurements of one space on one target.

    Attributes:
        target: what the latencies belong to.
        space: the search space, for people.
        rows: what was measured, failures included.
        device_facts: see :class:`~latbench.reports.origin.Origin`.
        facts: further key numbers, name -> text with unit, such as how long it took.
        notes: what a reader must know, in sentences.
    """

    target: Target
    space: str
    rows: Sequence[MeasurementRow]
    device_facts: Mapping[str, object] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def write_measurements(path: str | os.PathLike[str], overview: MeasurementOverview) -> None:
    """Write the page of one overview; see :func:`~latbench.reports.page.write_page`."""
    write_page(path, [measurement_section(overview)])


def measurement_section(overview: MeasurementOverview) -> Section:
    """Return the overview as a section of a page."""
    parts = []
    for kind in dict.fromkeys(row.kind for row in overview.rows):
        rows = [row for row in overview.rows if row.kind == kind]
        drawn = _figure(rows, kind)
        parts.append(Part(f"{kind.capitalize()}s", joined([drawn, _table(rows, kind)])))
    return Section(
        title=f"Measurements of {overview.space}",
        lead=joined(
            [
                tag("p", headline(overview.rows), class_="headline"),
                definitions({**_statuses(overview.rows), **overview.facts}.items(), "facts"),
            ]
        ),
        origin=Origin(overview.target, overview.space, overview.device_facts),
        parts=tuple(parts),
        terms=("target", "true latency", "interval", "status", "p90"),
        notes=tuple(overview.notes),
    )


def headline(rows: Sequence[MeasurementRow]) -> str:
    """Return in words how many have a latency, and how many of those can be relied on."""
    if not rows:
        return "Nothing was measured."
    kinds = Counter(row.kind for row in rows)
    timed = [row for row in rows if finite(row.latency_ms) is not None]
    doubtful = sum(row.status != "ok" for row in timed)
    failed = len(rows) - len(timed)
    asked = " and ".join(count(n, kind) for kind, n in kinds.items())
    doubt = f" ({doubtful} unconverged or unstable)" if doubtful else ""
    if not failed:
        return f"{asked}: all have a latency{doubt}."
    return f"{asked}: {len(timed)} have a latency{doubt}, {failed} failed."


def _statuses(rows: Sequence[MeasurementRow]) -> dict[str, str]:
    found = Counter(row.status for row in rows)
    return {f"Status {status}": str(n) for status, n in found.most_common()}


def _figure(rows: Sequence[MeasurementRow], kind: str) -> Markup | None:
    timed = [row for row in rows if finite(row.latency_ms) is not None]
    if not timed:
        return None
    slowest = sorted(timed, key=lambda row: -(row.latency_ms or 0.0))[:_MOST_DRAWN]
    unit = Unit.of(row.latency_ms for row in slowest)
    values = unit.values(row.latency_ms for row in slowest)
    lows, highs = (
        unit.values(row.low_ms for row in slowest),
        unit.values(row.high_ms for row in slowest),
    )
    drawn = chart(f"latency ({unit.name})", "", 110 + 20 * len(slowest))
    drawn.add_bar(
        x=values,
        y=list(range(len(slowest))),
        orientation="h",
        marker={"color": BLUE},
        error_x={**whiskers(values, lows, highs), "color": INK},
        text=[hover_name(row.name) for row in slowest],
        textposition="none",
        hovertemplate=f"%{{text}}<br>%{{x:.4g}} {unit.name}<extra></extra>",
    )
    drawn.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(slowest))),
        ticktext=[label(_short(row.name)) for row in slowest],
        tickfont={"size": 11},
        autorange="reversed",
        showgrid=False,
        ticks="",
    )
    shown = "All" if len(slowest) == len(timed) else f"The slowest {len(slowest)} of {len(timed)}"
    return figure(
        drawn,
        f"{shown} {kind}s with a latency, slowest first; the whisker is the interval.",
        f"Bar chart of {count(len(slowest), kind)}; the slowest takes "
        f"{latency(slowest[0].latency_ms)}, the fastest shown {latency(slowest[-1].latency_ms)}.",
    )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _table(rows: Sequence[MeasurementRow], kind: str) -> Markup:
    unit = Unit.of(row.latency_ms for row in rows)
    return table(
        f"{count(len(rows), kind)}; a click on a head sorts",
        [
            name_column(kind.capitalize(), (row.name for row in rows)),
            latency_column("Latency", (row.latency_ms for row in rows), unit),
            interval_column("Interval", ((row.low_ms, row.high_ms) for row in rows), unit),
            latency_column("p90", (row.p90_ms for row in rows), unit, "too few runs"),
            text_column(
                "Status",
                (f"{row.status}: {row.reason}" if row.reason else row.status for row in rows),
            ),
        ],
    )
