"""The drawing reads kernels and expansions from the names, and copes with any others."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import latbench
from latbench.reports.architecture_drawing import drawing

BAR = re.compile(r'<rect x="[\d.]+" y="[\d.]+" width="([\d.]+)" height="15" rx="3" fill="(#\w+)"/>')


def bars(choices: dict[str, str]) -> list[tuple[float, str]]:
    """Return (length, colour) of each bar, without the legend."""
    rows = re.findall(r"<g>.*?</g>", drawing(choices))
    return [(float(m[1]), m[2]) for row in rows if (m := BAR.search(row))]


@pytest.mark.parametrize("names", [("mb3k3", "mb6k3", "mb6k5"), ("k3_e3", "k3_e6", "k5_e6_g2")])
def test_kernel_is_colour_and_expansion_length(names: tuple[str, str, str]) -> None:
    """Twice the expansion is twice the length; the same kernel is the same colour."""
    (short, blue), (long, also_blue), (equal, orange) = bars(dict(zip("abc", names, strict=True)))
    assert long == equal == 2 * short
    assert blue == also_blue != orange


def test_skip_has_no_bar() -> None:
    """An option without operation is a dashed line."""
    assert bars({"a": "skip", "b": "none", "c": "mb3k3"}) == bars({"c": "mb3k3"})
    assert drawing({"a": "skip", "b": "none"}).count("stroke-dasharray") == 2


def test_no_expansion_at_all() -> None:
    """An expansion of 0 is drawn like any other name, not divided by."""
    assert bars({"a": "mb0k3"}) == bars({"a": "other"})


def test_a_kernel_keeps_its_colour() -> None:
    """Kernel 5 looks the same whether or not there is a kernel 3 beside it."""
    assert bars({"a": "mb3k5"})[0][1] == bars({"a": "mb3k3", "b": "mb3k5"})[1][1]


def test_other_names_have_a_colour_each() -> None:
    """Operations of cells, whose names tell no expansion, are told apart by colour."""
    names = ["nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    found = bars({f"edge{n}": name for n, name in enumerate([*names, names[0]])})
    assert len({colour for _, colour in found}) == 3
    assert found[0] == found[3]


@pytest.mark.parametrize("name", ["mobilenet", "fbnet", "nasbench201", "darts", "digits-mobilenet"])
def test_every_space_is_drawn(name: str, objections: Callable[[str], list[str]]) -> None:
    """Each choice of every bundled space is in its drawing, which is sound."""
    choices = {choice.name: choice.options[-1] for choice in latbench.space(name).choices}
    drawn = drawing(choices)
    assert objections(drawn) == []
    for choice, option in choices.items():
        assert f"<title>{choice}: {option}</title>" in drawn


@given(st.dictionaries(st.text(max_size=40), st.text(max_size=60), max_size=5))
def test_any_names_are_drawn(choices: dict[str, str]) -> None:
    """No name breaks the drawing: there is one row for each choice."""
    drawn = drawing(choices)
    assert drawn.count("<g>") == len(choices)
    assert drawn.count("<text") == drawn.count("</text>")
