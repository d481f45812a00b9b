"""The protocol nb201-900: which cells are alike, what bounds a score, and what is scored."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import latbench
from latbench.errors import UsageError
from latbench.prediction import metrics
from latbench.spaces import FloatArray, IntArray
from latbench.spaces.nasbench201 import EDGES, NASBench201Space
from latbench.workflows.evaluate import evaluate
from latbench.workflows.protocols import ceiling, cell_classes, nb201_900, public_tables
from latbench.workflows.protocols.rows import Request

DATA = os.environ.get("LATBENCH_EVAL_DATA") or None
needs_data = pytest.mark.skipif(DATA is None, reason="LATBENCH_EVAL_DATA names no data")

NONE, SKIP, SMALL, LARGE = 0, 1, 2, 3


def cell(**edges: int) -> list[int]:
    """Return a cell from its operations, such as ``e01``; the other edges have none."""
    return [edges.get(f"e{start}{end}", NONE) for start, end in EDGES]


def alike(pruned: bool, *cells: list[int]) -> bool:
    """Return whether all of ``cells`` are of one class."""
    return len(set(cell_classes.classes(np.array(cells), pruned))) == 1


@pytest.mark.parametrize("pruned", [False, True])
def test_inner_nodes_have_no_names(pruned: bool) -> None:
    """Two branches are the same in either order; what hangs between the nodes keeps them apart."""
    branches = cell(e01=SMALL, e13=LARGE, e02=LARGE, e23=SMALL)
    assert alike(pruned, branches, cell(e02=SMALL, e23=LARGE, e01=LARGE, e13=SMALL))
    crossed = cell(e01=SMALL, e13=LARGE, e02=LARGE, e23=SMALL, e12=SKIP)
    assert not alike(pruned, crossed, cell(e02=SMALL, e23=LARGE, e01=LARGE, e13=SMALL, e12=SKIP))
    assert not alike(pruned, branches, crossed)


def test_a_lone_connection_is_no_operation_once_pruned() -> None:
    """A chain is the same wherever its connection stands, but not where it is summed."""
    short = cell(e03=LARGE)
    longer = cell(e01=LARGE, e13=SKIP), cell(e01=SKIP, e12=SKIP, e23=LARGE)
    assert alike(True, short, *longer)
    assert not any(alike(False, short, one) for one in longer)
    assert not alike(True, short, cell(e03=LARGE, e01=SKIP, e13=SKIP))
    assert not alike(True, cell(e03=SKIP), short)


def test_dead_operations_count_unless_pruned() -> None:
    """What nobody reads, and what nothing feeds, tell cells apart only where they are kept."""
    plain = cell(e03=LARGE)
    for dead in (cell(e03=LARGE, e01=SMALL), cell(e03=LARGE, e13=SMALL)):
        assert not alike(False, plain, dead)
        assert alike(True, plain, dead)


def test_classes_keep_what_is_the_same_in_all_of_them() -> None:
    """Cells that are alike once pruned compute as much."""
    space = NASBench201Space(image_size=8, width=4, cells=1)
    X = space.sample(np.random.default_rng(0), 3000)
    macs = space.macs(X)
    for pruned in (True, False):
        classes = cell_classes.classes(X, pruned)
        for number in np.unique(classes):
            assert np.ptp(macs[classes == number]) == 0


def test_ceilings_by_hand() -> None:
    """Of 10, 12 and 13 ms one prediction has two within 10 %; a network alone is within."""
    y, classes = np.array([13.0, 10.0, 500.0, 12.0]), np.array([0, 0, 1, 0])
    assert ceiling.within(y, classes, 10) == 75
    assert ceiling.within(y, classes, 20) == 100
    assert ceiling.within(y, classes, 1) == 50
    # 12 ms is the weighted median: errors of 2/10 and 1/13.
    assert ceiling.mape(y, classes) == pytest.approx(100 * (0.2 + 1 / 13) / 4)
    # Ranks 3, 1, 4, 2 and their means 2, 2, 4, 2.
    assert ceiling.spearman(y, classes) == pytest.approx(
        np.corrcoef([3, 1, 4, 2], [2, 2, 4, 2])[0, 1]
    )


def test_no_prediction_passes_its_ceiling() -> None:
    """Whatever a predictor says of each class, it scores no more; the best value reaches it."""
    rng = np.random.default_rng(1)
    y, classes = rng.lognormal(1, 0.2, 60), rng.integers(0, 8, 60)
    tried = rng.lognormal(1, 0.2, (300, 8))[:, classes]
    for percent in (1, 5, 10, 20):
        most = ceiling.within(y, classes, percent)
        for score in (metrics.within, metrics.within_predicted):
            assert max(score(y, p, percent) for p in tried) <= most
        assert _most_by_search(y, classes, percent) == pytest.approx(most)
    assert min(metrics.mape(y, p) for p in tried) >= ceiling.mape(y, classes)
    assert max(metrics.spearman(y, p) for p in tried) <= ceiling.spearman(y, classes)


def _most_by_search(y: FloatArray, classes: IntArray, percent: float) -> float:
    """Return what the best of the predictions scores that reach down to one of the latencies."""
    reached = y / (1 - percent / 100) * (1 - 1e-9)
    best = [
        max(
            (metrics.within_predicted(y[classes == one], np.full(n, p), percent) * n)
            for p in reached[classes == one]
        )
        for one, n in enumerate(np.bincount(classes))
    ]
    return float(sum(best) / len(y))


def test_scores_by_hand() -> None:
    """The bands are relative to the prediction, ``within_10`` and MAPE to the measurement."""
    found = nb201_900.scores(np.array([110.5, 104.0, 100.0]), np.array([100.0, 100.0, 85.0]))
    assert found["within_predicted_1"] == 0
    assert found["within_predicted_5"] == pytest.approx(100 / 3)
    assert found["within_predicted_10"] == pytest.approx(100 / 3)
    assert found["within_predicted_20"] == 100
    assert found["within_10"] == pytest.approx(200 / 3)
    assert found["within_5"] == pytest.approx(100 / 3)
    assert found["within_1"] == 0
    assert found["rmse_ms"] == pytest.approx(np.sqrt((10.5**2 + 4**2 + 15**2) / 3))
    assert found["spearman"] == pytest.approx(np.sqrt(0.75))
    assert found["kendall"] == pytest.approx(np.sqrt(2 / 3))
    assert found["mape"] == pytest.approx(100 * (10.5 / 110.5 + 4 / 104 + 0.15) / 3)


def test_cells_without_a_path_are_left_out() -> None:
    """341 of the 15,625 cells have no path from input to output, as the table's authors count."""
    space = latbench.space("nasbench201")
    every = np.indices(space.sizes).reshape(len(space.sizes), -1).T
    cells = nb201_900.connected(space, every)
    assert len(cells) == 15_625 - 341
    assert not np.isin(np.flatnonzero((every[:, [0, 1, 3]] == NONE).all(axis=1)), cells).any()


@needs_data
def test_more_labels_than_there_are_is_refused() -> None:
    """At least one cell is left to score, beside the hundred that are set aside."""
    with pytest.raises(UsageError, match="3 to 15183"):
        evaluate("nb201-900", Request(Path(DATA or ""), labels=(15_184,)))


@needs_data
def test_the_bars_are_met() -> None:
    """gbdt has 95 % of cells within 10 % on Gold 6226, 68 on RasPi 4, 72 and 47 on the Pixels."""
    read = public_tables.load(public_tables.HELP_NB201, Path(DATA or ""), nb201_900.DEVICES, 15_625)
    cells = nb201_900.connected(read.space, read.X)
    found = nb201_900.draw("gbdt, tolerance 0.1", read, cells, 900, seed=0)
    for device, bar in {"gold_6226": 95, "raspi4": 68, "pixel3": 72, "pixel2": 47}.items():
        assert (found[device]["within_predicted_10"] or 0) > bar
