"""The overview of measurements counts failures and shows reasons."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from latbench.reports import MeasurementOverview, MeasurementRow
from latbench.reports.measurements import headline, write_measurements


@pytest.fixture
def written(tmp_path: Path) -> Callable[[MeasurementOverview], str]:
    """A function that writes an overview and returns the page."""

    def write(overview: MeasurementOverview) -> str:
        write_measurements(tmp_path / "report.html", overview)
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return write


def test_headline_counts(overview: MeasurementOverview) -> None:
    """What failed and what is doubtful is counted in the first sentence."""
    assert headline(overview.rows).replace("\u00a0", " ") == (
        "12 blocks and 2 networks: 13 have a latency (1 unconverged or unstable), 1 failed."
    )


def test_headline_when_all_is_well() -> None:
    """Nothing is made of failures that there are not."""
    row = MeasurementRow("a", "block", 1.0, 0.9, 1.1)
    assert headline([row]).replace("\u00a0", " ") == "1 block: all have a latency."


def test_headline_without_rows() -> None:
    """An empty overview says so."""
    assert headline([]) == "Nothing was measured."


def test_rows_are_complete(
    written: Callable[[MeasurementOverview], str],
    overview: MeasurementOverview,
    visible: Callable[[str], str],
    objections: Callable[[str], list[str]],
) -> None:
    """Each block has latency, interval, p90, status and the reason for it, with units."""
    page = written(overview)
    text = visible(page)
    first = overview.rows[0]
    assert first.latency_ms is not None
    assert first.low_ms is not None
    assert first.high_ms is not None
    for fact in (
        "Latency (µs)",
        "p90 (µs)",
        f"{1000 * first.latency_ms:.1f}",
        f"{1000 * first.low_ms:.1f} to {1000 * first.high_ms:.1f}",
        "unstable: 38 % of the rounds were disturbed",
        "failed: the worker ran out of memory",
        "not measured",
        "too few runs",
        "Took 3.1 min",
    ):
        assert fact in text
    for row in overview.rows:
        assert row.name.split(",")[0] in text
    assert objections(page) == []


def test_failures_are_not_drawn(
    written: Callable[[MeasurementOverview], str], overview: MeasurementOverview
) -> None:
    """A block without latency has no bar: not one of no length either."""
    rows = [replace(row, name=f"name{n}") for n, row in enumerate(overview.rows)]
    rows[5] = replace(rows[5], latency_ms=math.nan)
    page = written(replace(overview, rows=rows))
    chart = page.split('<script type="application/json">')[1].split("</script>")[0]
    assert "name4" in chart
    assert "name5" not in chart


def test_only_failures(
    written: Callable[[MeasurementOverview], str],
    overview: MeasurementOverview,
    objections: Callable[[str], list[str]],
) -> None:
    """When everything failed there is a table of reasons and no chart."""
    page = written(replace(overview, rows=[overview.rows[5]]))
    assert "ran out of memory" in page
    assert "<figure>" not in page
    assert objections(page) == []


def test_long_sweeps_draw_the_slowest(
    written: Callable[[MeasurementOverview], str],
    overview: MeasurementOverview,
    visible: Callable[[str], str],
) -> None:
    """Of very many blocks the slowest are drawn, which is said; all are in the table."""
    rows = [MeasurementRow(f"b{n:03}", "block", n + 1.0, None, None) for n in range(100)]
    text = visible(written(replace(overview, rows=rows)))
    assert "The slowest 40 of 100 blocks" in text
    assert "b000" in text
