"""A page is one whole file that loads nothing, or the old file stays."""

import errno
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from latbench.errors import LatbenchError, UsageError
from latbench.reports import (
    Comparison,
    MeasurementOverview,
    PredictorScores,
    SearchSummary,
    Section,
    comparison_section,
    measurement_section,
    predictor_section,
    search_section,
    write_page,
)

DRAWN = 'class="plot"'


@pytest.fixture
def sections(
    overview: MeasurementOverview,
    scores: PredictorScores,
    comparison: Comparison,
    search: SearchSummary,
) -> list[Section]:
    """One section of each kind, all on one target."""
    return [
        measurement_section(overview),
        predictor_section(scores),
        comparison_section(comparison),
        search_section(search),
    ]


@pytest.fixture
def page(sections: list[Section], tmp_path: Path) -> str:
    """The page of all sections."""
    write_page(tmp_path / "report.html", sections, "latbench demo", ["From blocks to a network."])
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_page_is_sound(page: str, objections: Callable[[str], list[str]]) -> None:
    """Elements are balanced, ids unique, images described, and nothing is loaded."""
    assert objections(page) == []


@pytest.mark.parametrize(
    "piece",
    [
        '<script src="https://x.org/a.js"></script>',
        '<img src="a.png" alt="x"></img>',
        "<p>",
        "<b></p></b>",
        '<div role="img"></div>',
        "<style>@import 'x'</style>",
        '<p onclick="x()"></p>',
        "<th></th>",
    ],
)
def test_the_check_notices(piece: str, objections: Callable[[str], list[str]]) -> None:
    """Each kind of fault is objected to, so that the check above can fail."""
    assert objections(piece) != []


def test_browsers_are_told_to_load_nothing(page: str) -> None:
    """The page's policy forbids any load, whatever a script in it may ask for."""
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src &#x27;none&#x27;" in policy
    assert "http" not in policy


def test_language_and_title(page: str) -> None:
    """The page names its language and has a title, as screen readers need."""
    assert '<html lang="en">' in page
    assert "<title>latbench demo</title>" in page
    assert page.count("<h1>") == 1


def test_plotly_is_embedded_once(page: str) -> None:
    """One copy of the library draws all charts."""
    from plotly.offline import get_plotlyjs

    assert page.count(get_plotlyjs()) == 1
    assert page.count(DRAWN) == 8


def test_page_without_charts_has_no_library(sections: list[Section], tmp_path: Path) -> None:
    """A page of tables stays small."""
    words = replace(sections[0], parts=())
    write_page(tmp_path / "small.html", [words])
    assert (tmp_path / "small.html").stat().st_size < 50_000


def test_every_section_is_linked(page: str, sections: list[Section]) -> None:
    """The contents lead to each section."""
    for number, section in enumerate(sections, start=1):
        assert f'<a href="#section-{number}">{section.title}</a>' in page
        assert f'<h2 id="section-{number}">{section.title}</h2>' in page


def test_origin_is_told_once(page: str, sections: list[Section]) -> None:
    """Sections of one target share the box that describes it; the others refer to it."""
    assert page.count('<dl class="origin">') == 1
    assert page.count("as described above") == 3


def test_another_origin_is_told_again(sections: list[Section], tmp_path: Path) -> None:
    """A section of another target has its own box: latencies are never taken for another's."""
    origin = sections[1].origin
    other = replace(origin, target=replace(origin.target, threads=2))
    write_page(tmp_path / "two.html", [sections[0], replace(sections[1], origin=other)], "two")
    assert (tmp_path / "two.html").read_text().count('<dl class="origin">') == 2


def test_terms_are_explained_once(page: str) -> None:
    """Words that several sections use are explained in one place."""
    assert page.count("<dt>true latency</dt>") == 1
    assert page.count("<dt>accumulated latency</dt>") == 1


def test_origin_names_the_whole_target(page: str, visible: Callable[[str], str]) -> None:
    """Device, runtime with version and options, precision, batch, threads, timing, identity."""
    text = visible(page)
    for fact in (
        "Device cpu",
        "Runtime onnxruntime 1.31.0",
        "Precision fp32",
        "Batch 1",
        "Threads 1",
        "spinning=0",
        "wall time",
        "Example CPU 3000",
        "Governor not known",
        "t1:",
    ):
        assert fact in text


def test_missing_folder_is_a_usage_error(sections: list[Section], tmp_path: Path) -> None:
    """A folder that does not exist is named, with what to do."""
    with pytest.raises(UsageError, match=r"no folder .*nowhere.*make it"):
        write_page(tmp_path / "nowhere" / "report.html", sections, "x")


def test_folder_as_file_is_a_usage_error(sections: list[Section], tmp_path: Path) -> None:
    """A folder in the place of the file is refused."""
    with pytest.raises(UsageError, match="is a folder"):
        write_page(tmp_path, sections, "x")


def test_full_disk_leaves_the_old_page(
    sections: list[Section], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full the old page is still there, nothing else, and the error says why."""
    place = tmp_path / "report.html"
    place.write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LatbenchError, match=r"cannot be written \(No space left on device\)"):
        write_page(place, sections, "x")
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]


def test_an_older_page_is_replaced(sections: list[Section], tmp_path: Path) -> None:
    """Writing again replaces the page and leaves nothing beside it."""
    place = tmp_path / "report.html"
    for title in ("one", "two"):
        write_page(place, sections[:1], title)
    assert "<h1>two</h1>" in place.read_text()
    assert list(tmp_path.iterdir()) == [place]


def test_single_section_heads_its_page(sections: list[Section], tmp_path: Path) -> None:
    """Without a title the only section gives it, and there are no contents."""
    write_page(tmp_path / "one.html", sections[2:3])
    text = (tmp_path / "one.html").read_text()
    assert f"<h1>{sections[2].title}</h1>" in text
    assert "<nav" not in text
    assert "<h3>" not in text
