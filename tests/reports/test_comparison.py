"""The comparison page says what the numbers say, and nothing more."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from latbench.errors import UsageError
from latbench.reports import Comparison, ComparisonRow, write_comparison
from latbench.reports.comparison import headline

EVIL = "<script>alert(1)</script>&\"'</td>"


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Comparison], str]:
    """A function that writes a comparison and returns the page."""

    def write(comparison: Comparison) -> str:
        write_comparison(tmp_path / "report.html", comparison)
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return write


def test_headline_below(comparison: Comparison) -> None:
    """A negative bias means that the sum is below what was measured."""
    text = headline(replace(comparison, bias=-5.1, noise_mape=0.6)).replace("\u00a0", " ")
    assert "The sum of the blocks is 5.1 % below the measured latency on average" in text
    assert "the measurements themselves repeat to 0.6 %" in text


def test_headline_above(comparison: Comparison) -> None:
    """A positive bias means that the sum is above it."""
    assert "3.2\u00a0% above" in headline(replace(comparison, bias=3.2))


def test_headline_without_bias(comparison: Comparison) -> None:
    """A bias of nothing is not called a side."""
    assert "neither above nor below" in headline(replace(comparison, bias=0.0))


def test_headline_without_repeats(comparison: Comparison) -> None:
    """Where nothing was measured twice, the noise is not given as a number."""
    text = headline(replace(comparison, noise_mape=None))
    assert "how well the measurements themselves repeat is not known" in text


def test_numbers_have_units(
    written: Callable[[Comparison], str], comparison: Comparison, visible: Callable[[str], str]
) -> None:
    """Scores and latencies are on the page, each with its unit."""
    text = visible(written(comparison))
    for fact in (
        "Mean error (MAPE) 5.2 %",
        "Within 5 % 37.5 %",
        "Measurement noise 0.6 %",
        "Mean error after calibration 0.9 %",
        "Networks compared 40",
        "True (ms)",
        "Accumulated (ms)",
        f"{comparison.rows[3].true_ms:.3f}",
        f"{comparison.rows[3].low_ms:.3f} to {comparison.rows[3].high_ms:.3f}",
        "unconverged",
        "One network was measured while the machine was busy.",
    ):
        assert fact in text


def test_attribution_is_called_one(
    written: Callable[[Comparison], str], comparison: Comparison, visible: Callable[[str], str]
) -> None:
    """The bars by stage are said to be a fit, with the stages it cannot tell apart."""
    text = visible(written(comparison))
    assert "This is an attribution, not a measurement" in text
    assert "ridge regression over 40 networks" in text
    assert "the same in every network (stem, head)" in text


def test_terms_are_defined(
    written: Callable[[Comparison], str], comparison: Comparison, visible: Callable[[str], str]
) -> None:
    """True and accumulated latency are explained on the page."""
    text = visible(written(comparison))
    assert "true latency The whole network compiled and measured end to end." in text
    assert "accumulated latency The sum of the measured latencies of the network's blocks" in text


def test_unknown_latencies_are_said(
    written: Callable[[Comparison], str],
    failed_comparison: Comparison,
    visible: Callable[[str], str],
) -> None:
    """A network without a true latency or without a sum is listed, counted, and not drawn as 0."""
    page = written(failed_comparison)
    text = visible(page)
    assert "2 of 40 networks could not be compared: 1 without a true latency, 1 with one" in text
    assert "failed: no memory" in text
    assert "not measured" in text
    assert "Networks compared 38" in text
    assert "0.000" not in text
    assert "null" not in page.split("<figcaption>")[0]


def test_nothing_to_compare(
    written: Callable[[Comparison], str],
    comparison: Comparison,
    visible: Callable[[str], str],
    objections: Callable[[str], list[str]],
) -> None:
    """Without one complete network the page says so instead of scoring."""
    row = ComparisonRow("mb3k3", None, None, None, None, None, "failed: no memory")
    nothing = Comparison(
        comparison.target, "mobilenet", {}, [row], None, None, None, None, None, None, None
    )
    page = written(nothing)
    assert "there is nothing to compare" in visible(page)
    assert "Mean error (MAPE) not measured" in visible(page)
    assert objections(page) == []


def test_names_stay_text(
    written: Callable[[Comparison], str],
    comparison: Comparison,
    visible: Callable[[str], str],
    objections: Callable[[str], list[str]],
) -> None:
    """Markup in the names of architectures, stages, facts, notes and the space is shown as text."""
    row = replace(comparison.rows[0], arch=EVIL, status=f"failed: {EVIL}")
    stages = {EVIL: comparison.stages["stage1"], **comparison.stages}
    page = written(
        replace(
            comparison,
            rows=[row, *comparison.rows[1:]],
            stages=stages,
            space=EVIL,
            device_facts={EVIL: EVIL},
            notes=[EVIL],
        )
    )
    assert "<script>alert" not in page
    assert objections(page) == []
    assert visible(page).count(EVIL.split("&")[0]) >= 6


def test_stages_must_match_the_rows(comparison: Comparison) -> None:
    """Sums of another number than there are networks are refused, by the name of the stage."""
    with pytest.raises(UsageError, match="stage 'stem' has 1\u00a0sum for 40\u00a0networks"):
        replace(comparison, stages={"stem": [1.0]})
