"""Drawings of a search under way: a file a pass, one for each new best."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import latbench
from latbench.errors import LatbenchError
from latbench.reports import Drawings, write_drawing
from latbench.spaces import SearchSpace

SPACE: SearchSpace = latbench.space("digits-mobilenet")
X = SPACE.sample(np.random.default_rng(0), 3)


def texts(path: Path) -> list[str]:
    """Return what is written in a drawing, which must be an SVG that stands alone."""
    root = ElementTree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return [one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}text")]


def test_a_pass_is_drawn_with_its_chances(tmp_path: Path) -> None:
    """The likeliest option of each choice, with its chance."""
    chances = {}
    for choice in SPACE.choices:
        given = np.full(len(choice.options), 0.25 / (len(choice.options) - 1))
        given[1] = 0.75
        chances[choice.name] = given
    Drawings(tmp_path, SPACE).on_pass(340, chances)
    found = texts(tmp_path / "step-000340.svg")
    for choice in SPACE.choices:
        assert f"{choice.options[1]} 75%" in found


def test_equal_passes_leave_one_file(tmp_path: Path) -> None:
    """Before anything is learned, and once it is settled, nothing changes."""
    drawings = Drawings(tmp_path, SPACE)
    even = {choice.name: np.full(len(choice.options), 0.2) for choice in SPACE.choices}
    for step in (20, 40):
        drawings.on_pass(step, even)
    drawings.on_pass(60, {**even, SPACE.choices[0].name: np.array([0.0, 1.0, 0.0, 0.0, 0.0])})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-000020.svg",
        "step-000060.svg",
    ]


def test_edges_that_are_not_taken_are_left_out(tmp_path: Path) -> None:
    """Of the likeliest cells as of those that were found."""
    cells = latbench.space("darts")
    x = cells.sample(np.random.default_rng(0), 1)[0]
    (taken,) = cells.active(x[np.newaxis])
    assert not taken.all()
    chances = {
        choice.name: np.eye(len(choice.options))[option]
        for choice, option in zip(cells.choices, x, strict=True)
    }
    Drawings(tmp_path, cells).on_pass(7, chances)
    write_drawing(tmp_path / "found.svg", cells, x)
    names = [choice.name for choice in cells.choices]
    for name in ("step-000007.svg", "found.svg"):
        drawn = [text for text in texts(tmp_path / name) if text in names]
        assert drawn == [choice for choice, one in zip(names, taken, strict=True) if one]


def test_each_new_best_is_drawn(tmp_path: Path) -> None:
    """A network that is worse than one before is not."""
    drawings = Drawings(tmp_path, SPACE)
    for n, (x, score) in enumerate(zip(X, (0.5, 0.4, 0.6), strict=True), 1):
        drawings.on_evaluation(n, x, score, 1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "evaluation-0001.svg",
        "evaluation-0003.svg",
    ]


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    """With the file that cannot be written."""
    with pytest.raises(LatbenchError, match=r"gone/found\.svg cannot be written"):
        write_drawing(tmp_path / "gone" / "found.svg", SPACE, X[0])
