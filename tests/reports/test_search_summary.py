"""The search page: met or missed in plain words, three latencies side by side."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from latbench.errors import UsageError
from latbench.reports import BaselineRow, HistoryRow, SearchSummary, write_search_summary
from latbench.reports.search_summary import headline

EVIL = "<script>alert(1)</script>&\"'</pre>"


def said(summary: SearchSummary) -> str:
    return headline(summary).replace("\u00a0", " ")


@pytest.fixture
def written(tmp_path: Path) -> Callable[[SearchSummary], str]:
    """A function that writes a summary and returns the page."""

    def write(summary: SearchSummary) -> str:
        write_search_summary(tmp_path / "report.html", summary)
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return write


def test_met(search: SearchSummary) -> None:
    """A network within the limit meets it, with how much is left."""
    assert search.met is True
    assert said(search) == (
        "The target of 5 ms is met: the network found takes 4.87 ms (4.83 ms to 4.92 ms), "
        "130 µs or 2.6 % less."
    )


def test_missed(search: SearchSummary) -> None:
    """A network beyond the limit misses it, and by how much is said first."""
    slow = replace(search, true_ms=5.21, true_low_ms=5.16, true_high_ms=5.27)
    assert slow.met is False
    assert said(slow) == (
        "The target of 5 ms is missed: the network found takes 5.21 ms (5.16 ms to 5.27 ms), "
        "210 µs or 4.2 % more."
    )


def test_what_is_offered_instead(missed: SearchSummary) -> None:
    """The nearest network that meets the limit stands behind the miss, with what it costs."""
    assert said(missed) == (
        "The target of 5 ms is missed: the network found takes 5.21 ms (5.16 ms to 5.27 ms), "
        "210 µs or 4.2 % more. The nearest network that meets it takes 4.91 ms (4.86 ms to "
        "4.96 ms); its accuracy is 93.8 %."
    )


def test_nothing_that_was_tried_meets_it(missed: SearchSummary) -> None:
    """A network that misses the limit is never offered as one that meets it."""
    assert missed.nearest is not None
    slow = replace(missed.nearest, row=replace(missed.nearest.row, true_ms=5.08, true_low_ms=None))
    text = said(replace(missed, nearest=slow))
    assert "None of 2 networks measured after it meets the target" in text
    assert "the fastest takes 5.08 ms (interval not known)." in text


def test_a_one_shot_search_shows_what_was_learned(
    written: Callable[[SearchSummary], str],
    missed: SearchSummary,
    visible: Callable[[str], str],
    objections: Callable[[str], list[str]],
) -> None:
    """Expected latency, the most likely network, the nearest, and the words for them."""
    page = written(missed)
    text = visible(page)
    for fact in (
        "Expected latency 4.8 ms the mean under the learned chances",
        "Most likely network 5.3 ms predicted",
        "The nearest network",
        "2 networks measured for it",
        "What was learned",
        '{"format": "latbench-architecture", "version": 2}',
        "undecided How far a search is from having chosen",
    ):
        assert fact in text, fact
    assert objections(page) == []


def test_the_course_of_a_search_without_an_expected_latency(
    written: Callable[[SearchSummary], str], missed: SearchSummary
) -> None:
    """A search by rewards has none: the chances alone are drawn."""
    rows = [replace(row, expected_ms=None) for row in missed.course]
    page = written(replace(missed, course=rows))
    assert "expected latency (ms)" not in page
    assert "undecided (%)" in page


def test_too_close_to_tell(search: SearchSummary) -> None:
    """A limit within the interval is said to be open to another measurement."""
    assert "may come out the other way" in said(replace(search, true_high_ms=5.01))
    assert "may come out the other way" not in said(search)


def test_exactly_on_the_limit(search: SearchSummary) -> None:
    """A latency equal to the limit is within it."""
    assert replace(search, true_ms=5.0).met is True
    assert replace(search, true_ms=math.nextafter(5.0, 6.0)).met is False


@pytest.mark.parametrize("true_ms", [None, math.nan])
def test_not_measured(search: SearchSummary, true_ms: float | None) -> None:
    """Without a measurement the limit is neither met nor missed, and the reason is given."""
    unknown = replace(search, true_ms=true_ms, true_status="failed: the runtime is gone")
    assert unknown.met is None
    text = said(unknown)
    assert "is not known" in text
    assert "failed: the runtime is gone" in text
    assert "predicted latency is 4.91 ms" in text


def test_doubtful_measurement(search: SearchSummary) -> None:
    """A measurement that did not converge is not passed over."""
    assert "The measurement is unstable." in said(replace(search, true_status="unstable"))


def test_numbers_have_units(
    written: Callable[[SearchSummary], str],
    search: SearchSummary,
    visible: Callable[[str], str],
    objections: Callable[[str], list[str]],
) -> None:
    """Latencies, intervals, accuracy and its conditions, evaluations, and what to run next."""
    page = written(search)
    text = visible(page)
    for fact in (
        "Predicted latency 4.91 ms 4.79 ms to 5.02 ms, 90 % coverage",
        "Accumulated latency 4.62 ms",
        "True latency 4.87 ms 4.83 ms to 4.92 ms",
        "Accuracy 95.1 %",
        "digits upscaled to 32×32; the latency is for 224×224",
        "Architectures scored 200",
        "fastest",
        "latbench train --arch found.json --data digits",
        '{"format": "latbench-architecture", "version": 1}',
        "21 choices",
    ):
        assert fact in text
    for choice in search.choices:
        assert choice in text
    assert objections(page) == []


def test_unknown_is_said(
    written: Callable[[SearchSummary], str],
    search: SearchSummary,
    visible: Callable[[str], str],
    objections: Callable[[str], list[str]],
) -> None:
    """A summary with hardly a number is a page without invented ones."""
    bare = SearchSummary(
        target=search.target,
        space="mobilenet",
        algorithm="random",
        arch_text="mb3k3",
        arch_json="{}",
        choices={"stage1.1": "mb3k3"},
        target_ms=5.0,
        predicted_ms=None,
        evaluations=0,
    )
    page = written(bare)
    text = visible(page)
    assert "Predicted latency not predicted" in text
    assert "Accumulated latency not measured" in text
    assert "True latency not measured" in text
    assert "Accuracy not measured" in text
    assert objections(page) == []


def test_scores_that_are_no_shares(
    written: Callable[[SearchSummary], str], search: SearchSummary
) -> None:
    """A score outside [0, 1] is drawn as it is, not as a percentage."""
    rewards = [HistoryRow(1, -3.5, 4.0), HistoryRow(2, 7.25, 5.5)]
    page = written(replace(search, history=rewards, score_name="reward"))
    assert '"y":[-3.5,7.25]' in page
    assert "reward (%)" not in page


def test_names_stay_text(
    written: Callable[[SearchSummary], str],
    search: SearchSummary,
    visible: Callable[[str], str],
    objections: Callable[[str], list[str]],
) -> None:
    """Markup in architectures, choices, baselines, commands and notes is shown as text."""
    page = written(
        replace(
            search,
            arch_text=EVIL,
            arch_json=EVIL,
            choices={EVIL: EVIL},
            baselines=[BaselineRow(EVIL, EVIL, 4.0)],
            notes=[EVIL],
            next_commands=[EVIL],
            accuracy_note=EVIL,
            score_name=EVIL,
            algorithm=EVIL,
        )
    )
    assert "<script>alert" not in page
    assert objections(page) == []
    assert visible(page).count("<script>alert(1)</script>") >= 9


@pytest.mark.parametrize("accuracy", [95.1, -0.1])
def test_accuracy_is_a_share(search: SearchSummary, accuracy: float) -> None:
    """A percentage given as a share is refused rather than shown as 9510 %."""
    with pytest.raises(UsageError, match="give a share from 0 to 1"):
        replace(search, accuracy=accuracy)
    with pytest.raises(UsageError, match="accuracy of fastest"):
        BaselineRow("fastest", "mb3k3", accuracy=accuracy)
