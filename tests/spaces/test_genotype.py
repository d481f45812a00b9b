"""Genotypes: the published text is read and written, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.spaces.genotype import KEPT, NODES, Cell, Edge, Genotype

CELL = "[" + ", ".join(["('skip_connect', 0), ('sep_conv_3x3', 1)"] * 4) + "]"


def text(
    normal: str = CELL,
    normal_concat: str = "range(2, 6)",
    reduce: str = CELL,
    reduce_concat: str = "range(2, 6)",
) -> str:
    """Return a genotype of these fields."""
    return (
        f"Genotype(normal={normal}, normal_concat={normal_concat}, "
        f"reduce={reduce}, reduce_concat={reduce_concat})"
    )


def nodes(number: int) -> st.SearchStrategy[tuple[Edge, ...]]:
    """Return what a node may be: two operations, on two inputs in ascending order."""
    sources = st.sets(st.integers(0, number - 1), min_size=2, max_size=2).map(sorted)
    pairs = st.tuples(st.sampled_from(KEPT), st.sampled_from(KEPT))
    return st.tuples(pairs, sources).map(lambda drawn: tuple(zip(*drawn, strict=True)))


cells = st.tuples(*map(nodes, NODES))


@given(cells, cells)
def test_what_is_written_is_read(normal: Cell, reduce: Cell) -> None:
    """Any two cells survive their text."""
    genotype = Genotype(normal, reduce)
    assert Genotype.parse(str(genotype)) == genotype


def test_the_text_is_that_of_the_papers_code() -> None:
    """As Python prints a named tuple of lists and ranges."""
    node = (("skip_connect", 0), ("sep_conv_3x3", 1))
    assert str(Genotype((node,) * 4, (node,) * 4)) == text()


def test_forms_that_people_publish_are_read() -> None:
    """Lists for ranges, several lines, comments, another order of fields and of a node's edges."""
    other = ", ".join(["('sep_conv_3x3', 1), ('skip_connect', 0)"] * 4)
    forms = [
        text(normal_concat="[2, 3, 4, 5]", reduce_concat="(2,3,4,5)"),
        text().replace(", ", ",\n  "),
        text().replace("reduce=", "# found by chance\n reduce="),
        f"Genotype(reduce={CELL}, reduce_concat=range(2,6), normal=[{other}], "
        "normal_concat=range(2,6))",
    ]
    assert {Genotype.parse(form) for form in forms} == {Genotype.parse(text())}


@pytest.mark.parametrize(
    "wrong",
    [
        "Genotype()",
        "Genotype",
        f"DARTS = {text()}",
        text().replace("Genotype", "Other"),
        text().replace("normal_concat", "concat"),
        text().replace("reduce_concat=range(2, 6)", "reduce_concat=range(2, 6), more=1"),
        f"Genotype({CELL}, range(2, 6), {CELL}, range(2, 6))",
        f"Genotype(**{{'normal': {CELL}}})",
        text(normal="[]"),
        text(normal="None"),
        text(normal=CELL.replace("[(", "[(1, ", 1)),
        text(normal=CELL[:-1] + ", ('skip_connect', 0)]"),
        text(normal=f"list({CELL})"),
        text()[:-1],
        "\0",
        "(" * 9_000,
        "-" * 9_000 + "1",
        text(normal="-" * 5_000 + "1"),
        text(normal="{[]: 1}"),
        text(normal_concat="-" * 5_000 + "1"),
        "[" * 100_000,
    ],
)
def test_another_form_is_refused_with_the_form(wrong: str) -> None:
    """The message shows what a genotype looks like, and is no longer for a longer text."""
    with pytest.raises(UsageError, match=r"the form is Genotype\(normal=\[") as refused:
        Genotype.parse(wrong)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (text(normal_concat="range(3, 6)"), "normal_concat is range.3, 6.; a cell of this space"),
        (text(reduce_concat="[4, 5, 6]"), "reduce_concat is .4, 5, 6.; a cell of this space"),
        (text(reduce=CELL.replace("skip_connect", "none", 1)), "node 2 of the cell 'reduce' has"),
        (
            text(CELL.replace("sep_conv_3x3", "sep_conv_7x7")),
            "'sep_conv_7x7'; known: max_pool_3x3, ",
        ),
        (text(CELL.replace("'skip_connect', 0", "['skip_connect'], 0")), "the operation"),
        (text(CELL.replace(" 1)", " 2)", 1)), "node 2 of the cell 'normal' takes the input 2"),
        (text(CELL.replace(" 1)", " -1)", 1)), "takes the input -1; it has the inputs 0 to 1"),
        (text(CELL.replace(" 1)", " True)", 1)), "takes the input True"),
        (text(CELL.replace(" 1)", " 0)", 1)), "takes the input 0 twice"),
    ],
)
def test_what_the_space_does_not_have_is_refused(wrong: str, message: str) -> None:
    """Each message names the place and the value."""
    with pytest.raises(UsageError, match=message):
        Genotype.parse(wrong)


def test_nothing_in_the_text_is_run(tmp_path: Path) -> None:
    """A text may come from anybody."""
    path = tmp_path / "made"
    call = f"[__import__('pathlib').Path({str(path)!r}).touch()]"
    for wrong in (text(normal=call), text(normal_concat=call), call):
        with pytest.raises(UsageError):
            Genotype.parse(wrong)
    assert not path.exists()
