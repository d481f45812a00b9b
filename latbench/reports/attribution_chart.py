"""The gap between true and accumulated latency by stage: in words, bars and a table."""

from __future__ import annotations

from latbench.reports.attribution import Attribution
from latbench.reports.figures import BLUE, INK, MUTED, chart, figure, label, whiskers
from latbench.reports.markup import Markup, joined, tag
from latbench.reports.tables import (
    interval_column,
    latency_column,
    number_column,
    table,
    text_column,
)
from latbench.reports.wording import Unit, count, latency, percent

_CONSTANT = "constant of the fit"
_IN_NO_SUM = "in no sum"


def attribution_body(found: Attribution | str, networks: int) -> Markup:
    """Return the attribution in words, bars and a table, or why there is none."""
    if isinstance(found, str):
        return tag("p", found)
    names = [*found.stages, _CONSTANT]
    parts = [*map(float, found.part_ms), found.constant_ms]
    unit = Unit.of([*parts, *map(float, found.low_ms), *map(float, found.high_ms)])
    shown = unit.values(parts)
    lows, highs = (unit.values(map(float, ends)) for ends in (found.low_ms, found.high_ms))
    drawn = chart(f"part of the mean gap ({unit.name})", "", 150 + 30 * len(names))
    drawn.add_bar(
        x=shown,
        y=[label(name) for name in names],
        orientation="h",
        marker={"color": [BLUE] * len(found.stages) + [MUTED]},
        error_x={**whiskers(shown, lows, highs), "color": INK},
        hovertemplate=f"%{{y}}: %{{x:.4g}} {unit.name}<extra></extra>",
    )
    drawn.add_vline(x=0, line={"color": INK, "width": 1})
    drawn.update_yaxes(autorange="reversed", showgrid=False, ticks="")
    biggest = max(range(len(names)), key=lambda number: abs(parts[number]))
    sums = [*map(float, found.sum_ms), None]
    return joined(
        [
            tag("p", _meaning(found, networks)),
            figure(
                drawn,
                "Bars add up to the mean gap. Above 0: with more time in this stage, the network "
                "is slower than the sum of its blocks says; below 0: faster. Whiskers: 95 % of "
                "the fits to networks drawn again with replacement.",
                f"Bar chart of the parts of the mean gap; the largest is {names[biggest]} with "
                f"{latency(parts[biggest])}.",
            ),
            table(
                "The mean gap by stage, as attributed by the fit",
                [
                    text_column("Stage", names),
                    latency_column("Mean sum of its blocks", sums, Unit.of(sums), _IN_NO_SUM),
                    latency_column("Part of the gap", parts, unit),
                    interval_column(
                        "95 % of fits",
                        zip(map(float, found.low_ms), map(float, found.high_ms), strict=True),
                        unit,
                    ),
                    number_column(
                        "Part of its sum",
                        [
                            None if not total else 100 * part / total
                            for part, total in zip(parts, sums, strict=True)
                        ],
                        lambda value: percent(value, _IN_NO_SUM),
                    ),
                ],
            ),
        ]
    )


def _meaning(found: Attribution, networks: int) -> str:
    same = (
        f" It also holds what is the same in every network ({', '.join(found.same)})."
        if found.same
        else ""
    )
    trust = (
        f"For a network left out, the fit predicts {percent(found.explained)} of how the gap "
        "varies between networks."
        if found.explained > 0
        else "For a network left out, the fit predicts the gap no better than its mean does, so "
        "the parts of the stages cannot be told from noise here."
    )
    more = "more" if found.residual_ms >= 0 else "less"
    return (
        f"On average a network takes {latency(abs(found.residual_ms))} {more} than the sum of its "
        "blocks. This is an attribution, not a measurement: no stage was timed inside a network. "
        f"A ridge regression over {count(networks, 'network')} fits true less accumulated latency "
        "by a constant and the sum of the blocks in each stage; a bar is the stage's weight times "
        f"its mean sum. The constant is what a run costs beside its blocks.{same} {trust}"
    )
