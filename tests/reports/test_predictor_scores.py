"""A predictor's score stands beside its baselines and the noise."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from latbench.reports import PredictorScores, write_predictor_scores
from latbench.reports.predictor_scores import headline


def said(scores: PredictorScores) -> str:
    return headline(scores).replace("\u00a0", " ")


def test_headline(scores: PredictorScores) -> None:
    """Error, noise and the best baseline in words."""
    assert said(scores) == (
        "On 12 networks it had not seen, lut is off by 1.3 % on average. A perfect predictor would "
        "score 0.6 %, because measurements vary. Beside it the best baseline, ridge: 2.2 %."
    )


def test_beaten_by_a_baseline(scores: PredictorScores) -> None:
    """A simpler predictor that does better is named."""
    better = replace(scores, baselines={**scores.baselines, "flops": {"mape": 1.1}})
    assert "flops, which is simpler, does better: 1.1 %" in said(better)


def test_noise_not_known(scores: PredictorScores) -> None:
    """Without repeats there is no number for the noise."""
    text = said(replace(scores, noise_mape=None))
    assert "is not known: too few networks were measured twice" in text


@pytest.mark.parametrize("baselines", [{}, {"flops": {"mape": None}}])
def test_without_baselines(
    scores: PredictorScores, baselines: dict[str, dict[str, float | None]]
) -> None:
    """No baseline, or one without a score, is not compared with."""
    assert said(replace(scores, baselines=baselines)).endswith("because measurements vary.")


def test_page(
    scores: PredictorScores,
    tmp_path: Path,
    visible: Callable[[str], str],
    objections: Callable[[str], list[str]],
) -> None:
    """Every predictor has a row with its scores; what is not defined is called so."""
    write_predictor_scores(tmp_path / "report.html", scores)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    text = visible(page)
    for fact in (
        "Mean error (MAPE) 1.3 %",
        "Interval coverage (nominal 90 %) 91.7 %",
        "Fitted on 28 networks",
        "Scored on 12 other networks",
        "plain lut 5.1 %",
        "flops 11.7 %",
        "RMSE (µs)",
        "not defined",
    ):
        assert fact in text
    assert objections(page) == []


def test_too_few_for_intervals(
    scores: PredictorScores, tmp_path: Path, visible: Callable[[str], str]
) -> None:
    """A coverage that could not be told is not shown as 0."""
    write_predictor_scores(tmp_path / "report.html", replace(scores, interval_coverage=None))
    text = visible((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Interval coverage (nominal 90 %) too few networks" in text
