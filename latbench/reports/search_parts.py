"""The pieces of a search's section: key numbers, tables and the architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from latbench.reports.architecture_drawing import drawing
from latbench.reports.markup import Markup, breakable, definitions, joined, tag
from latbench.reports.tables import (
    interval_column,
    latency_column,
    name_column,
    number_column,
    table,
    text_column,
)
from latbench.reports.wording import (
    NOT_PREDICTED,
    Unit,
    count,
    finite,
    interval,
    latency,
    percent,
    share,
)

if TYPE_CHECKING:
    from latbench.reports.search_summary import BaselineRow, NearestNetwork, SearchSummary


def facts(summary: SearchSummary) -> Markup:
    """Return the key numbers, those with an interval with it."""
    coverage = finite(summary.predicted_coverage)
    predicted = interval(summary.predicted_low_ms, summary.predicted_high_ms)
    if predicted is not None and coverage is not None:
        predicted += f", {percent(coverage)} coverage"
    pairs = {
        "Latency target": latency(summary.target_ms),
        "Predicted latency": _with_interval(
            latency(summary.predicted_ms, NOT_PREDICTED), predicted
        ),
        "Accumulated latency": latency(summary.accumulated_ms),
        "True latency": _with_interval(
            latency(summary.true_ms), interval(summary.true_low_ms, summary.true_high_ms)
        ),
        "Accuracy": share(summary.accuracy),
        "Algorithm": summary.algorithm,
        "Architectures scored": str(summary.evaluations),
    }
    if finite(summary.expected_ms) is not None:
        pairs["Expected latency"] = _with_interval(
            latency(summary.expected_ms), "the mean under the learned chances"
        )
    if finite(summary.most_likely_ms) is not None:
        pairs["Most likely network"] = _with_interval(latency(summary.most_likely_ms), "predicted")
    return definitions(pairs.items(), class_="facts")


def _with_interval(text: str, ends: str | None) -> Markup:
    return joined([text, None if ends is None else tag("small", ends)])


def latencies(networks: Sequence[BaselineRow]) -> Markup:
    """Return the latencies of the network found and of others in a table."""
    unit = Unit.of(
        value for row in networks for value in (row.predicted_ms, row.accumulated_ms, row.true_ms)
    )
    return table(
        "The network found and others beside it",
        [
            text_column("Network", (row.name for row in networks)),
            latency_column(
                "Predicted", (row.predicted_ms for row in networks), unit, NOT_PREDICTED
            ),
            latency_column("Accumulated", (row.accumulated_ms for row in networks), unit),
            latency_column("True", (row.true_ms for row in networks), unit),
            interval_column(
                "Interval of true", ((row.true_low_ms, row.true_high_ms) for row in networks), unit
            ),
            number_column("Accuracy", (row.accuracy for row in networks), share),
            name_column("Architecture", (row.arch_text for row in networks)),
        ],
    )


def architecture(summary: SearchSummary) -> Markup:
    """Return the architecture as a drawing, in short form and as JSON."""
    return joined(
        [
            _drawn(
                summary.choices,
                "A row is a choice of the space, in order. Where the option's name tells a kernel "
                "size and an expansion, the colour is the kernel and the length the expansion; a "
                "dashed line is an option without operation.",
            ),
            tag("p", tag("code", breakable(summary.arch_text))),
            _document(summary.arch_json),
        ]
    )


def nearest_network(nearest: NearestNetwork) -> Markup:
    """Return the architecture that is offered instead of the one found."""
    return joined(
        [
            _drawn(
                nearest.choices,
                "Found by lowering the limit by as much as the network before it took longer than "
                f"predicted. {count(nearest.tries, 'network')} measured for it.",
            ),
            tag("p", tag("code", breakable(nearest.row.arch_text))),
            _document(nearest.arch_json),
        ]
    )


def _drawn(choices: Mapping[str, str], caption: str) -> Markup:
    return tag("figure", drawing(choices), tag("figcaption", caption))


def _document(text: str) -> Markup:
    summary = tag("summary", "The architecture as JSON, for --arch")
    return tag("details", summary, tag("pre", tag("code", text)))


def choices(choices: Mapping[str, str]) -> Markup:
    """Return the chosen options in a table."""
    return table(
        f"{count(len(choices), 'choice')} of the space",
        [
            number_column("Number", range(1, len(choices) + 1), lambda value: f"{value:.0f}"),
            text_column("Choice", choices),
            name_column("Option", choices.values()),
        ],
    )
