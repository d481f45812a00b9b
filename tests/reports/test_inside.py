"""One network from inside, as the comparison page shows it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from latbench.reports import BlockInside, Comparison, Inside, write_comparison

INSIDE = Inside(
    arch="mb3k3,skip",
    blocks=[
        BlockInside("stem", "conv-k3", 0.2, 0.1, 2, 0),
        BlockInside("stage1.1", "mb-e3-k3", 0.5, 0.3, 3, 1),
        BlockInside("head", "<script>", None, 0.05, 1, 1),
    ],
    across_ms=0.04,
    across=1,
    inserted_ms=0.01,
    inserted=2,
    whole_ms=0.6,
    true_ms=0.55,
    runs=20,
)


def test_parts_are_on_the_page(
    comparison: Comparison, tmp_path: Path, visible: Callable[[str], str]
) -> None:
    """The balance and each block, in one unit, with what was not measured said to be so."""
    write_comparison(tmp_path / "report.html", replace(comparison, inside=INSIDE))
    text = visible((tmp_path / "report.html").read_text(encoding="utf-8"))
    for fact in (
        "One network from inside",
        "The network with the median ratio",
        "kernels of one block 450.0",
        "kernels fused across blocks (1) 40.0",
        "inserted kernels, such as reorders (2) 10.0",
        "between kernels, the profiler's own cost included 100.0",
        "whole profiled run 600.0",
        "blocks, measured alone and added up not measured",
        "stage1.1 mb-e3-k3 500.0 300.0 200.0 3 1",
    ):
        assert fact in text


def test_why_there_are_none_is_a_sentence(
    comparison: Comparison, tmp_path: Path, visible: Callable[[str], str]
) -> None:
    """Without kernels the page says why, and without the question it says nothing."""
    page = tmp_path / "report.html"
    write_comparison(page, replace(comparison, inside="It does not tell."))
    assert "One network from inside It does not tell." in visible(page.read_text("utf-8"))
    write_comparison(page, comparison)
    assert "from inside" not in visible(page.read_text("utf-8"))
