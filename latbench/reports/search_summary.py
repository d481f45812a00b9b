"""What a search found: its latency predicted, accumulated and true, and how it was found."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from latbench.errors import UsageError
from latbench.reports.markup import joined, tag
from latbench.reports.origin import Origin
from latbench.reports.page import Part, Section, write_page
from latbench.reports.search_charts import course_figure, history_figure, latency_figure
from latbench.reports.search_parts import architecture, choices, facts, latencies, nearest_network
from latbench.reports.wording import (
    NOT_PREDICTED,
    count,
    finite,
    latency,
    measured,
    percent,
    share,
)
from latbench.target import Target


@dataclass(frozen=True)
class HistoryRow:
    """One scored architecture: its number from 1, its score, its predicted latency."""

    n: int
    score: float
    predicted_ms: float


@dataclass(frozen=True)
class BaselineRow:
    """A network to stand beside the one found, such as the fastest, or one drawn at random.

    Latencies are None where they are not known; ``accuracy`` is in [0, 1].
    """

    name: str
    arch_text: str
    predicted_ms: float | None = None
    accumulated_ms: float | None = None
    true_ms: float | None = None
    true_low_ms: float | None = None
    true_high_ms: float | None = None
    accuracy: float | None = None
    predicted_low_ms: float | None = None
    predicted_high_ms: float | None = None

    def __post_init__(self) -> None:
        """Refuse an accuracy that is no share.

        Raises:
            UsageError: it is below 0 or above 1, as a percentage would be.
        """
        _check_share(self.name, self.accuracy)


@dataclass(frozen=True)
class CourseRow:
    """A report of a one-shot search: after how many steps, and what was learned by then.

    ``expected_ms`` is the mean since the last report; None where there was none, as in a warm-up.
    ``undecided`` is the entropy of the chances as a share of the largest possible, in [0, 1].
    """

    step: int
    expected_ms: float | None
    undecided: float


@dataclass(frozen=True)
class NearestNetwork:
    """The best network that was measured after the one found had missed the target.

    Attributes:
        row: its latencies and accuracy.
        arch_json: the architecture as the JSON document that commands read.
        choices: choice -> chosen option, in order.
        tries: how many networks were measured in search of it.
    """

    row: BaselineRow
    arch_json: str
    choices: Mapping[str, str]
    tries: int


@dataclass(frozen=True)
class SearchSummary:
    """The result of a search.

    Attributes:
        target: what the latencies belong to.
        space: the search space, for people.
        device_facts: see :class:`~latbench.reports.origin.Origin`.
        algorithm: registered name of the searcher.
        arch_text: the architecture found, in short form.
        arch_json: the same as the JSON document that commands read.
        choices: choice -> chosen option, in order.
        target_ms: the limit.
        predicted_ms: its predicted latency, in ms as all that follow.
        predicted_low_ms, predicted_high_ms: the prediction's interval.
        predicted_coverage: percentage of networks whose interval holds their latency.
        accumulated_ms: the sum of its blocks.
        true_ms: measured after the search; None if it was not, or that failed.
        true_low_ms, true_high_ms: the measurement's interval.
        true_status: of that measurement, with the reason if it failed.
        accuracy: in [0, 1].
        accuracy_note: on what data and with what weights; what the latency is for, if it differs.
        evaluations: how many architectures were scored.
        history: those, in order.
        score_name: what the search maximised.
        course: how the chances went, of a one-shot search.
        expected_ms: the expected latency at its end.
        most_likely_ms: predicted latency of the most likely architecture at its end.
        nearest: the network that is offered where the one found misses the target.
        baselines: other networks.
        notes: what a reader must know, in sentences.
        next_commands: what to run next.
    """

    target: Target
    space: str
    algorithm: str
    arch_text: str
    arch_json: str
    choices: Mapping[str, str]
    target_ms: float
    predicted_ms: float | None
    evaluations: int
    predicted_low_ms: float | None = None
    predicted_high_ms: float | None = None
    predicted_coverage: float | None = None
    accumulated_ms: float | None = None
    true_ms: float | None = None
    true_low_ms: float | None = None
    true_high_ms: float | None = None
    true_status: str = "ok"
    accuracy: float | None = None
    accuracy_note: str = ""
    history: Sequence[HistoryRow] = ()
    score_name: str = "validation accuracy"
    course: Sequence[CourseRow] = ()
    expected_ms: float | None = None
    most_likely_ms: float | None = None
    nearest: NearestNetwork | None = None
    baselines: Sequence[BaselineRow] = ()
    notes: Sequence[str] = ()
    next_commands: Sequence[str] = ()
    device_facts: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an accuracy that is no share.

        Raises:
            UsageError: it is below 0 or above 1, as a percentage would be.
        """
        _check_share("the network found", self.accuracy)

    @property
    def met(self) -> bool | None:
        """Whether the measured latency is within the limit; None if it was not measured."""
        true_ms = finite(self.true_ms)
        return None if true_ms is None else true_ms <= self.target_ms

    @property
    def found(self) -> BaselineRow:
        """The network found, as a row beside the baselines."""
        return BaselineRow(
            "found",
            self.arch_text,
            self.predicted_ms,
            self.accumulated_ms,
            self.true_ms,
            self.true_low_ms,
            self.true_high_ms,
            self.accuracy,
            self.predicted_low_ms,
            self.predicted_high_ms,
        )


def write_search_summary(path: str | os.PathLike[str], summary: SearchSummary) -> None:
    """Write the page of one search; see :func:`~latbench.reports.page.write_page`."""
    write_page(path, [search_section(summary)])


def search_section(summary: SearchSummary) -> Section:
    """Return the summary as a section of a page."""
    nearest = [] if summary.nearest is None else [summary.nearest.row]
    networks = [summary.found, *nearest, *summary.baselines]
    parts = [
        Part(
            "Predicted, accumulated and true",
            joined([latency_figure(networks, summary.target_ms), latencies(networks)]),
        ),
    ]
    if summary.nearest is not None:
        parts.append(Part("The nearest network", nearest_network(summary.nearest)))
    if summary.course:
        parts.append(Part("What was learned", course_figure(summary)))
    if summary.history:
        parts.append(Part("The search", history_figure(summary)))
    parts += [
        Part("The architecture", architecture(summary)),
        Part("Choices", choices(summary.choices)),
    ]
    if summary.next_commands:
        commands = [tag("pre", tag("code", command)) for command in summary.next_commands]
        parts.append(Part("What to run next", joined(commands)))
    return Section(
        title=f"Search in {summary.space} for {latency(summary.target_ms)}",
        lead=joined(
            [
                tag("p", headline(summary), class_=f"headline {_verdict(summary)}"),
                facts(summary),
                tag("p", summary.accuracy_note, class_="aside") if summary.accuracy_note else None,
            ]
        ),
        origin=Origin(summary.target, summary.space, summary.device_facts),
        parts=tuple(parts),
        terms=(
            "target",
            "predicted latency",
            "accumulated latency",
            "true latency",
            "interval",
            "status",
            *(("expected latency", "undecided") if summary.course else ()),
        ),
        notes=tuple(summary.notes),
    )


def headline(summary: SearchSummary) -> str:
    """Return in words whether the limit is met, and by how much it is missed."""
    limit = latency(summary.target_ms)
    true_ms = finite(summary.true_ms)
    if true_ms is None:
        reason = "" if summary.true_status == "ok" else f" ({summary.true_status})"
        return (
            f"Whether the target of {limit} is met is not known: the network found was not "
            f"measured{reason}. Its predicted latency is "
            f"{latency(summary.predicted_ms, NOT_PREDICTED)}."
        )
    took = measured(true_ms, summary.true_low_ms, summary.true_high_ms)
    gap = f"{latency(abs(true_ms - summary.target_ms))} or "
    gap += percent(100 * abs(true_ms - summary.target_ms) / summary.target_ms)
    verdict = (
        f"The target of {limit} is met: the network found takes {took}, {gap} less."
        if summary.met
        else f"The target of {limit} is missed: the network found takes {took}, {gap} more."
        f"{_offer(summary)}"
    )
    low, high = finite(summary.true_low_ms), finite(summary.true_high_ms)
    if low is not None and high is not None and low <= summary.target_ms < high:
        verdict += (
            " The target lies within the interval: measured again, it may come out the other way."
        )
    if summary.true_status != "ok":
        verdict += f" The measurement is {summary.true_status}."
    return verdict


def _offer(summary: SearchSummary) -> str:
    """Return what there is instead of a network that misses the limit."""
    if summary.nearest is None:
        return ""
    row, tries = summary.nearest.row, summary.nearest.tries
    took = measured(row.true_ms, row.true_low_ms, row.true_high_ms)
    true_ms = finite(row.true_ms)
    if true_ms is not None and true_ms <= summary.target_ms:
        return (
            f" The nearest network that meets it takes {took}; its accuracy is "
            f"{share(row.accuracy)}."
        )
    others = count(tries, "network")
    return f" None of {others} measured after it meets the target; the fastest takes {took}."


def _verdict(summary: SearchSummary) -> str:
    return {None: "open", True: "met", False: "missed"}[summary.met]


def _check_share(name: str, accuracy: float | None) -> None:
    known = finite(accuracy)
    if known is not None and not 0 <= known <= 1:
        raise UsageError(f"the accuracy of {name} is {known}; give a share from 0 to 1")
