"""How good a predictor is on networks it has not seen, beside simpler ones and the noise."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from latbench.reports.figures import BLUE, PALE, chart, figure, label, mark
from latbench.reports.markup import Markup, definitions, joined, tag
from latbench.reports.origin import Origin
from latbench.reports.page import Part, Section, write_page
from latbench.reports.tables import latency_column, number_column, table, text_column
from latbench.reports.wording import Unit, correlation, count, finite, percent
from latbench.target import Target

Scores = Mapping[str, float | None]
"""Name -> value, as :func:`latbench.prediction.metrics.summary` gives them."""


@dataclass(frozen=True)
class PredictorScores:
    """A predictor's scores.

    Attributes:
        target: what the latencies belong to.
        space: the search space, for people.
        kind: registered name of the predictor.
        n_train, n_test: networks it was fitted and scored on.
        scores: on the networks it had not seen.
        baselines: the same scores of simpler predictors, by name.
        interval_coverage: percentage of the unseen networks within their interval; None where
            there are too few networks for intervals.
        nominal_coverage: what that percentage should be.
        noise_mape: what a perfect predictor would score, percent; None if too few were repeated.
        device_facts: see :class:`~latbench.reports.origin.Origin`.
        notes: what a reader must know, in sentences.
    """

    target: Target
    space: str
    kind: str
    n_train: int
    n_test: int
    scores: Scores
    baselines: Mapping[str, Scores]
    interval_coverage: float | None = None
    nominal_coverage: float = 90.0
    noise_mape: float | None = None
    device_facts: Mapping[str, object] = field(default_factory=dict)
    notes: Sequence[str] = ()


def write_predictor_scores(path: str | os.PathLike[str], scores: PredictorScores) -> None:
    """Write the page of one predictor; see :func:`~latbench.reports.page.write_page`."""
    write_page(path, [predictor_section(scores)])


def predictor_section(scores: PredictorScores) -> Section:
    """Return the scores as a section of a page."""
    rows = {scores.kind: scores.scores, **scores.baselines}
    return Section(
        title=f"Predictor {scores.kind} for {scores.space}",
        lead=joined([tag("p", headline(scores), class_="headline"), _facts(scores)]),
        origin=Origin(scores.target, scores.space, scores.device_facts),
        parts=(Part("Beside simpler predictors", joined([_figure(rows, scores), _table(rows)])),),
        terms=(
            "target",
            "predicted latency",
            "interval",
            "MAPE",
            "bias",
            "RMSE",
            "within 5 %",
            "Spearman",
            "Kendall",
            "measurement noise",
            "interval coverage",
        ),
        notes=tuple(scores.notes),
    )


def headline(scores: PredictorScores) -> str:
    """Return the error in words, beside the noise and the best of the baselines."""
    own = finite(scores.scores.get("mape"))
    error = (
        f"{scores.kind} was not scored."
        if own is None
        else f"On {count(scores.n_test, 'network')} it had not seen, {scores.kind} is off by "
        f"{percent(own)} on average."
    )
    noise = (
        "What a perfect predictor would score is not known: too few networks were measured twice."
        if finite(scores.noise_mape) is None
        else f"A perfect predictor would score {percent(scores.noise_mape)}, because measurements "
        "vary."
    )
    others = {
        name: mape
        for name, row in scores.baselines.items()
        if (mape := finite(row.get("mape"))) is not None
    }
    if not others or own is None:
        return f"{error} {noise}"
    best = min(others, key=lambda name: others[name])
    beaten = others[best] < own
    rest = f"{best}, which is simpler, does better" if beaten else f"the best baseline, {best}"
    return f"{error} {noise} Beside it {rest}: {percent(others[best])}."


def _facts(scores: PredictorScores) -> Markup:
    pairs = {
        "Mean error (MAPE)": percent(scores.scores.get("mape")),
        "Within 5 %": percent(scores.scores.get("within_5")),
        "Measurement noise": percent(scores.noise_mape),
        f"Interval coverage (nominal {percent(scores.nominal_coverage)})": percent(
            scores.interval_coverage, "too few networks"
        ),
        "Fitted on": count(scores.n_train, "network"),
        "Scored on": count(scores.n_test, "other network"),
    }
    return definitions(pairs.items(), class_="facts")


def _figure(rows: Mapping[str, Scores], scores: PredictorScores) -> Markup | None:
    errors = {
        name: mape for name, row in rows.items() if (mape := finite(row.get("mape"))) is not None
    }
    if not errors:
        return None
    drawn = chart("mean absolute percentage error (%)", "", 140 + 34 * len(errors))
    drawn.add_bar(
        x=list(errors.values()),
        y=[label(name) for name in errors],
        orientation="h",
        marker={"color": [BLUE if name == scores.kind else PALE for name in errors]},
        text=[percent(error) for error in errors.values()],
        textposition="outside",
        cliponaxis=False,
        showlegend=False,
        hovertemplate="%{y}: %{x:.3g} %<extra></extra>",
    )
    noise = finite(scores.noise_mape)
    if noise is not None:
        mark(drawn, noise, f"noise {percent(noise)}")
    drawn.update_yaxes(autorange="reversed", showgrid=False, ticks="")
    line = "" if noise is None else " The dashed line is what a perfect predictor would score."
    return figure(
        drawn,
        f"Mean absolute percentage error on the same unseen networks; shorter is better.{line}",
        "Bar chart of mean errors: "
        + ", ".join(f"{name} {percent(error)}" for name, error in errors.items())
        + ".",
    )


def _table(rows: Mapping[str, Scores]) -> Markup:
    def column(name: str) -> list[float | None]:
        return [row.get(name) for row in rows.values()]

    rmse = column("rmse_ms")
    return table(
        "Scores on networks that none of these had seen",
        [
            text_column("Predictor", rows),
            number_column("MAPE", column("mape"), percent),
            number_column("Bias", column("bias"), percent),
            latency_column("RMSE", rmse, Unit.of(rmse)),
            *(
                number_column(f"Within {band} %", column(f"within_{band}"), percent)
                for band in (1, 5, 10)
            ),
            number_column("Spearman", column("spearman"), correlation),
            number_column("Kendall", column("kendall"), correlation),
        ],
    )
