"""True against accumulated latency: how far the sum of the blocks is from the network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from latbench.errors import UsageError
from latbench.reports.attribution import attribute
from latbench.reports.attribution_chart import attribution_body
from latbench.reports.comparison_charts import residual_figure, scatter_figure
from latbench.reports.inside import Inside, inside_body
from latbench.reports.markup import Markup, definitions, joined, tag
from latbench.reports.origin import Origin
from latbench.reports.page import Part, Section, write_page
from latbench.reports.tables import (
    interval_column,
    latency_column,
    name_column,
    number_column,
    table,
    text_column,
)
from latbench.reports.wording import Unit, correlation, count, finite, percent
from latbench.target import Target


@dataclass(frozen=True)
class ComparisonRow:
    """One network.

    Attributes:
        arch: the architecture as text.
        true_ms: measured end to end; None if that failed.
        low_ms, high_ms: its interval.
        accumulated_ms: the sum of its blocks; None if a block was not measured.
        calibrated_ms: the sum after a correction fitted on other networks, if there is one.
        status: of the measurement, with the reason if it failed.
    """

    arch: str
    true_ms: float | None
    low_ms: float | None
    high_ms: float | None
    accumulated_ms: float | None
    calibrated_ms: float | None = None
    status: str = "ok"

    @property
    def residual_ms(self) -> float | None:
        """True less accumulated latency, None unless both are known."""
        true_ms, accumulated_ms = finite(self.true_ms), finite(self.accumulated_ms)
        return None if true_ms is None or accumulated_ms is None else true_ms - accumulated_ms


@dataclass(frozen=True)
class Comparison:
    """True against accumulated latency of some networks of one space on one target.

    Attributes:
        target: what the latencies belong to.
        space: the search space, for people.
        device_facts: see :class:`~latbench.reports.origin.Origin`.
        rows: the networks.
        stages: stage -> sum of the blocks in it, in ms, one a row; together they are the
            accumulated latency. Empty if unknown.
        mape, bias: of the accumulated against the true latencies, percent.
        spearman: their rank correlation; None where it is not defined.
        within_1, within_5, within_10: percentage of networks whose sum is that close.
        noise_mape: what a perfect predictor would score, percent; None if too few were repeated.
        calibrated_mape: of the calibrated latencies, percent.
        notes: what a reader must know, in sentences.
        inside: one of the networks by its kernels, or why there are none; None if nobody asked.
    """

    target: Target
    space: str
    device_facts: Mapping[str, object]
    rows: Sequence[ComparisonRow]
    mape: float | None
    bias: float | None
    spearman: float | None
    within_1: float | None
    within_5: float | None
    within_10: float | None
    noise_mape: float | None
    stages: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    calibrated_mape: float | None = None
    notes: Sequence[str] = ()
    inside: Inside | str | None = None

    def __post_init__(self) -> None:
        """Refuse sums that cannot be told to belong to a row.

        Raises:
            UsageError: a stage has more or fewer sums than there are rows.
        """
        for name, sums in self.stages.items():
            if len(sums) != len(self.rows):
                raise UsageError(
                    f"stage {name!r} has {count(len(sums), 'sum')} for "
                    f"{count(len(self.rows), 'network')}; give one a network"
                )


def write_comparison(path: str | os.PathLike[str], comparison: Comparison) -> None:
    """Write the page of one comparison; see :func:`~latbench.reports.page.write_page`."""
    write_page(path, [comparison_section(comparison)])


def comparison_section(comparison: Comparison) -> Section:
    """Return the comparison as a section of a page."""
    rows = [row for row in comparison.rows if row.residual_ms is not None]
    calibrated = any(row.calibrated_ms is not None for row in comparison.rows)
    parts = [Part("Networks", _table(comparison.rows, calibrated))]
    if rows:
        unit = Unit.of(row.true_ms for row in rows)
        parts = [
            Part("True against accumulated latency", scatter_figure(rows, unit)),
            Part("What is left after the sum", residual_figure(rows)),
            Part("Where the gap comes from", _attribution(comparison)),
            *_inside(comparison),
            *parts,
        ]
    return Section(
        title=f"True against accumulated latency: {comparison.space}",
        lead=joined([tag("p", headline(comparison), class_="headline"), _facts(comparison)]),
        origin=Origin(comparison.target, comparison.space, comparison.device_facts),
        parts=tuple(parts),
        terms=(
            "target",
            "true latency",
            "accumulated latency",
            *(["calibrated latency"] if calibrated else []),
            "interval",
            "status",
            "MAPE",
            "bias",
            "within 5 %",
            "Spearman",
            "measurement noise",
        ),
        notes=(*_left_out(comparison), *comparison.notes),
    )


def headline(comparison: Comparison) -> str:
    """Return the result in words."""
    bias = finite(comparison.bias)
    if bias is None:
        return (
            f"None of the {count(len(comparison.rows), 'network')} has both a true and an "
            "accumulated latency, so there is nothing to compare."
        )
    noise = finite(comparison.noise_mape)
    repeats = (
        "how well the measurements themselves repeat is not known"
        if noise is None
        else f"the measurements themselves repeat to {percent(noise)}"
    )
    side = "below" if bias < 0 else "above"
    distance = f"{percent(abs(bias))} {side}" if float(f"{bias:.2g}") else "neither above nor below"
    return (
        f"The sum of the blocks is {distance} the measured latency on average; {repeats}. "
        f"For a single network it is off by {percent(comparison.mape)} on average."
    )


def _facts(comparison: Comparison) -> Markup:
    compared = sum(row.residual_ms is not None for row in comparison.rows)
    pairs = {
        "Networks compared": str(compared),
        "Mean error (MAPE)": percent(comparison.mape),
        "Bias": percent(comparison.bias),
        "Measurement noise": percent(comparison.noise_mape),
        "Within 1 %": percent(comparison.within_1),
        "Within 5 %": percent(comparison.within_5),
        "Within 10 %": percent(comparison.within_10),
        "Rank correlation (Spearman)": correlation(comparison.spearman),
    }
    if comparison.calibrated_mape is not None:
        pairs["Mean error after calibration"] = percent(comparison.calibrated_mape)
    return definitions(pairs.items(), class_="facts")


def _left_out(comparison: Comparison) -> list[str]:
    missing = [row for row in comparison.rows if row.residual_ms is None]
    if not missing:
        return []
    untimed = sum(finite(row.true_ms) is None for row in missing)
    return [
        f"{len(missing)} of {count(len(comparison.rows), 'network')} could not be compared: "
        f"{untimed} without a true latency, {len(missing) - untimed} with one but without an "
        "accumulated latency. No score counts them; the table has the status."
    ]


def _inside(comparison: Comparison) -> list[Part]:
    if comparison.inside is None:
        return []
    return [Part("One network from inside", inside_body(comparison.inside))]


def _attribution(comparison: Comparison) -> Markup:
    stages = {name: list(values) for name, values in comparison.stages.items()}
    whole = [
        number
        for number, row in enumerate(comparison.rows)
        if row.residual_ms is not None
        and all(finite(values[number]) is not None for values in stages.values())
    ]
    residuals = [comparison.rows[number].residual_ms or 0.0 for number in whole]
    known = {name: [values[number] or 0.0 for number in whole] for name, values in stages.items()}
    return attribution_body(attribute(residuals, known), len(whole))


def _table(rows: Sequence[ComparisonRow], calibrated: bool) -> Markup:
    unit = Unit.of(row.true_ms for row in rows)
    columns = [
        name_column("Architecture", (row.arch for row in rows)),
        latency_column("True", (row.true_ms for row in rows), unit),
        interval_column("Interval", ((row.low_ms, row.high_ms) for row in rows), unit),
        latency_column("Accumulated", (row.accumulated_ms for row in rows), unit),
        number_column("Accumulated less true", map(_gap, rows), _percent_or_unknown),
        text_column("Status", (row.status for row in rows)),
    ]
    if calibrated:
        columns.insert(
            4, latency_column("Calibrated", (row.calibrated_ms for row in rows), unit, "none")
        )
    return table(f"{count(len(rows), 'network')}; a click on a head sorts", columns)


def _gap(row: ComparisonRow) -> float | None:
    if row.residual_ms is None or not row.true_ms:
        return None
    return -100 * row.residual_ms / row.true_ms


def _percent_or_unknown(value: float | None) -> str:
    return percent(value, "not known")
