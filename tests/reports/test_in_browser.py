"""The pages in a real browser: charts are drawn, heads sort, nothing is complained about."""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from latbench.reports import (
    Comparison,
    MeasurementOverview,
    PredictorScores,
    SearchSummary,
    comparison_section,
    measurement_section,
    predictor_section,
    search_section,
    write_page,
)

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
Browse = Callable[[str], tuple[str, list[str]]]


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """A function that opens a page and returns its elements and the console's messages."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("none of chromium, chromium-browser, google-chrome is on the PATH")

    def open_page(page: str) -> tuple[str, list[str]]:
        place = tmp_path / "browsed.html"
        place.write_text(page, encoding="utf-8")
        done = subprocess.run(
            [
                found,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={tmp_path / 'profile'}",
                "--window-size=1100,2000",
                "--virtual-time-budget=10000",
                "--enable-logging=stderr",
                "--dump-dom",
                place.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout, re.findall(r"CONSOLE[^\n]*", done.stderr)

    return open_page


@pytest.fixture
def page(
    tmp_path: Path,
    overview: MeasurementOverview,
    scores: PredictorScores,
    failed_comparison: Comparison,
    search: SearchSummary,
    missed: SearchSummary,
) -> str:
    """A page with every kind of section, and with failures in it."""
    sections = [
        measurement_section(overview),
        predictor_section(scores),
        comparison_section(failed_comparison),
        search_section(search),
        search_section(missed),
    ]
    write_page(tmp_path / "report.html", sections, "latbench demo")
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_every_chart_is_drawn(browse: Browse, page: str) -> None:
    """Each chart becomes a drawing with marks in it, and the console stays silent.

    In the bars of the search, only the three intervals that are known are drawn.
    """
    dom, console = browse(page)
    assert console == []
    plots = re.split(r'<div class="plot ', dom)[1:]
    assert len(plots) == 11
    for plot in plots:
        assert 'class="main-svg"' in plot
        assert re.search(r'<path class="point|<g class="point', plot)
    bars, others = (plot for plot in plots if "The network found: predicted" in plot)
    assert len(re.findall(r'class="xerror"', bars)) == 3
    assert len(re.findall(r'class="xerror"', others)) == 4
    (course,) = (plot for plot in plots if "Line chart over" in plot)
    assert len(re.findall(r'class="js-line" d="M[^"]+L', course)) == 2


def test_heads_sort(browse: Browse, page: str) -> None:
    """A click on a head sorts its table up, another down; unknown latencies stay last."""
    clicks = """<script>
    const title = [...document.querySelectorAll("thead th.number > span")]
      .filter(one => one.textContent === "True (ms)")[0];
    const body = title.closest("table").tBodies[0];
    for (const name of ["first", "second"]) {
      title.click();
      document.body.dataset[name] = [...body.rows].map(row => row.cells[1].textContent).join(";");
    }
    </script></body>"""
    dom, console = browse(page.replace("</body>", clicks))
    assert console == []
    for name, sign in (("first", 1), ("second", -1)):
        (order,) = re.findall(rf'data-{name}="([^"]*)"', dom)
        *known, unknown = order.split(";")
        assert unknown == "not measured"
        values = [sign * float(value) for value in known]
        assert len(values) == 39
        assert values == sorted(values)


def test_the_console_is_heard(browse: Browse, tmp_path: Path, scores: PredictorScores) -> None:
    """A load that the page's policy forbids is reported, so that silence means something."""
    write_page(tmp_path / "small.html", [replace(predictor_section(scores), parts=())])
    small = (tmp_path / "small.html").read_text(encoding="utf-8")
    bad = '<img src="https://example.invalid/a.png" alt=""></body>'
    _, console = browse(small.replace("</body>", bad))
    assert any("Content Security Policy" in message for message in console)
