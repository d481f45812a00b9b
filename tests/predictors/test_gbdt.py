"""Boosted trees behind a ridge: what they add, when they stay away, and what they read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import latbench
from latbench.errors import ArtefactError, MissingMeasurementsError, UsageError
from latbench.prediction import artefact, metrics
from latbench.prediction.inputs import FloatArray, IntArray
from latbench.predictor import Predictor
from latbench.spaces.space import SearchSpace
from latbench.testing.predictors import CARD, TARGET
from latbench_predictors import boosting
from latbench_predictors.boosting import Huber, Loss, Within
from latbench_predictors.gbdt import GBDT
from latbench_predictors.lut import LUT
from latbench_predictors.ridge import Ridge
from latbench_predictors.whole_network import WholeNetwork


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """A chain of eight places."""
    return latbench.space("digits-mobilenet")


@pytest.fixture(scope="module")
def X(space: SearchSpace) -> IntArray:
    """Networks to fit on, then a thousand to test on."""
    return space.sample(np.random.default_rng(0), 1400)


@pytest.fixture(scope="module")
def block_ms(space: SearchSpace) -> dict[str, float]:
    """A latency for every block that nothing else tells of."""
    rng = np.random.default_rng(1)
    return {block.key: float(rng.uniform(0.1, 2)) for block in space.blocks}


@pytest.fixture(scope="module")
def sums(space: SearchSpace, X: IntArray, block_ms: dict[str, float]) -> FloatArray:
    """Latencies of ``X`` that are sums of blocks."""
    return LUT(space, block_ms).accumulated(X)


@pytest.fixture(scope="module")
def together(X: IntArray, sums: FloatArray) -> FloatArray:
    """The same where two neighbours cost 30 % more if both options have odd numbers."""
    y: FloatArray = sums * np.where((X[:, 0] % 2 == 1) & (X[:, 1] % 2 == 1), 1.3, 1.0)
    return y


def fitted(gbdt: GBDT, X: IntArray, y: FloatArray) -> GBDT:
    """Return ``gbdt`` fitted without the further fits that intervals take."""
    gbdt._learn(X, y)
    gbdt.scores_ = np.zeros(1)
    return gbdt


def test_the_same_seed_gives_the_same_bits(
    space: SearchSpace, X: IntArray, together: FloatArray
) -> None:
    """The text of the trees is equal; another seed draws other rows and columns."""
    first, same, other = (
        fitted(GBDT(space, rounds=20, seed=seed), X[:300], together[:300]) for seed in (1, 1, 2)
    )
    assert first.model_ == same.model_ != other.model_
    np.testing.assert_array_equal(first.predict(X), same.predict(X))
    assert not np.array_equal(first.predict(X), other.predict(X))


def test_it_learns_what_options_cost_together(
    space: SearchSpace, X: IntArray, together: FloatArray
) -> None:
    """A sum over options cannot."""
    gbdt = fitted(GBDT(space), X[:400], together[:400])
    ridge = Ridge(space, alpha="auto").fit(X[:400], together[:400])
    own, other = (metrics.mape(together[400:], one.predict(X[400:])) for one in (gbdt, ridge))
    assert other > 4
    assert own < other / 3
    assert gbdt.expected_ms_refusal() is not None


def test_an_exact_sum_needs_no_trees(space: SearchSpace, X: IntArray, sums: FloatArray) -> None:
    """The base has it to a millionth."""
    gbdt = fitted(GBDT(space), X[:300], sums[:300])
    assert gbdt.model_ == ""
    assert np.abs(gbdt.predict(X[400:]) / sums[400:] - 1).max() < 1e-6


def test_noise_grows_no_trees(space: SearchSpace, X: IntArray, sums: FloatArray) -> None:
    """Cross-validation finds nothing in it."""
    noisy = sums[:200] * np.exp(np.random.default_rng(2).normal(0, 0.05, 200))
    assert fitted(GBDT(space), X[:200], noisy).model_ == ""


def test_few_networks_grow_no_trees(space: SearchSpace, X: IntArray, together: FloatArray) -> None:
    """Not even where they were ordered, and a network counts once."""
    few = slice(0, boosting.FEWEST - 1)
    assert fitted(GBDT(space, rounds=20), X[few], together[few]).model_ == ""
    twice, y = np.concatenate([X[few]] * 2), np.concatenate([together[few]] * 2)
    assert fitted(GBDT(space, rounds=20), twice, y).model_ == ""


def test_accumulated_latency_is_used_if_every_block_is_known(
    space: SearchSpace, X: IntArray, block_ms: dict[str, float], sums: FloatArray
) -> None:
    """It makes up for networks; one block short, it stays away, and what it would miss is told."""
    y = 0.5 + 1.2 * sums
    holed = dict(list(block_ms.items())[1:])
    whole, partial = (GBDT.for_table(space, table) for table in (block_ms, holed))
    assert whole.blocks == block_ms
    assert partial.blocks is None
    own, other = (
        metrics.mape(y[400:], fitted(one, X[:20], y[:20]).predict(X[400:]))
        for one in (whole, partial)
    )
    assert own < other / 4
    assert WholeNetwork(space, block_ms).names[-1] == "accumulated"
    assert "accumulated" not in WholeNetwork(space, None).names
    with pytest.raises(MissingMeasurementsError, match="all blocks or of none, and 1 have none"):
        fitted(GBDT(space, blocks=holed), X[:20], y[:20])


def test_a_tolerance_puts_more_networks_within_it(
    space: SearchSpace, X: IntArray, sums: FloatArray
) -> None:
    """Where noise has two levels, it settles on the more frequent one."""
    slow = np.random.default_rng(3).random(len(X)) < 0.35
    y = sums * np.where(slow, 1.4, 1.0)
    within = [
        metrics.within(y[400:], fitted(gbdt, X[:400], y[:400]).predict(X[400:]), 10)
        for gbdt in (GBDT(space, rounds=20), GBDT(space, rounds=20, tolerance=0.1))
    ]
    assert within[1] > 60
    assert within[1] > within[0] + 5


@pytest.mark.parametrize("loss", [Huber(0.3), Within(0.2)])
def test_slopes_are_those_of_the_loss(loss: Loss) -> None:
    """Up to a factor that all errors share; and what boosting divides by is never negative."""
    errors, step = np.linspace(-1, 1, 81) + 1e-3, 1e-6
    slopes, curvatures = loss.slopes(errors)
    differences = (loss(errors + step) - loss(errors - step)) / (2 * step)
    factor = (slopes @ differences) / (differences @ differences)
    np.testing.assert_allclose(slopes, factor * differences, atol=1e-6)
    assert factor > 0
    assert (curvatures > 0).all()


def test_costs_that_all_networks_share_are_left_alone(space: SearchSpace, X: IntArray) -> None:
    """A column without spread gets no weight, and none is infinite."""
    network = WholeNetwork(space, None)
    one = network(X[:1])
    weights = network.weights(one)
    assert np.isfinite(weights).all()
    assert not weights[one.options.shape[1] :].any()


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"tolerance": 0.0}, "the tolerance is 0.0; give a share such as 0.1"),
        ({"tolerance": 10}, "the tolerance is 10"),
        ({"rounds": -1}, 'rounds is -1; give a whole number, or "auto"'),
        ({"rounds": "some"}, "rounds is 'some'"),
        ({"leaves": 1}, "leaves is 1; a tree has at least 2"),
        ({"seed": "x"}, "seed is 'x'; give a whole number from 0"),
    ],
)
def test_what_cannot_be_is_refused(
    space: SearchSpace, X: IntArray, sums: FloatArray, params: dict[str, object], says: str
) -> None:
    """The hyperparameter is named with its value."""
    with pytest.raises(UsageError, match=says):
        fitted(GBDT(space, **params), X[:70], sums[:70])  # type: ignore[arg-type]


@pytest.fixture
def saved(space: SearchSpace, X: IntArray, together: FloatArray, tmp_path: Path) -> Path:
    """The folder of one with trees."""
    fitted(GBDT(space, rounds=20), X[:100], together[:100]).save(tmp_path / "g", TARGET, CARD)
    return tmp_path / "g"


def rewrite(folder: Path, **arrays: object) -> None:
    """Replace arrays in ``folder`` and give everything a fitting checksum."""
    read = artefact.read(folder)
    changed = {name: np.array(value) for name, value in arrays.items()}
    artefact.write(
        folder, artefact.Artefact(**{**vars(read), "arrays": {**read.arrays, **changed}})
    )


def test_changed_trees_are_refused(saved: Path) -> None:
    """They are a text of their own under the checksum of the document."""
    text = (saved / "model.txt").read_text(encoding="utf-8")
    (saved / "model.txt").write_text(text.replace("shrinkage=0.05", "shrinkage=0.50"))
    with pytest.raises(ArtefactError, match=r"model\.txt does not match its checksum"):
        Predictor.load(saved)
    (saved / "model.txt").unlink()
    with pytest.raises(ArtefactError, match=r"model\.txt is missing"):
        Predictor.load(saved)


def test_what_is_no_tree_is_refused(saved: Path) -> None:
    """Even with a fitting checksum, and before it predicts anything."""
    rewrite(saved, model="tree\nversion=v4\nnonsense")
    with pytest.raises(ArtefactError, match="LightGBM cannot read the trees"):
        Predictor.load(saved)


def test_other_columns_are_refused(saved: Path) -> None:
    """Trees ask for columns by number: they must mean what they meant."""
    columns = artefact.read(saved).arrays["columns"]
    rewrite(saved, columns=columns[::-1])
    with pytest.raises(ArtefactError, match="other columns than this latbench makes"):
        Predictor.load(saved)
    assert json.loads((saved / artefact.DOCUMENT).read_text(encoding="utf-8"))["kind"] == "gbdt"


@pytest.fixture(scope="module")
def cells() -> SearchSpace:
    """A space of cells, in which a compiler can fuse."""
    return latbench.space("nasbench201", cells=1)


def test_a_compiled_cell_is_told_by_its_kernels(cells: SearchSpace) -> None:
    """What kernels cost together no sum over options tells."""
    X = cells.sample(np.random.default_rng(0), 400)
    found = WholeNetwork(cells, None)(cells.check(X)).kernels
    sized = found / found.max(axis=0)
    y = 0.1 + sized.sum(axis=1) * (1 + sized[:, 0]) + 0.3 * sized[:, 3] * sized[:, 5]
    gbdt = fitted(GBDT(cells), X[:100], y[:100])
    assert gbdt.products_ is not None
    ridge = Ridge(cells, alpha="auto").fit(X[:100], y[:100], calibrate=False)
    own, other = (metrics.mape(y[100:], one.predict(X[100:])) for one in (gbdt, ridge))
    assert own < 1 < 5 < other


def test_a_cell_that_runs_as_it_stands_is_told_by_its_options(cells: SearchSpace) -> None:
    """Where nothing is pruned or fused, kernels would mislead."""
    X = cells.sample(np.random.default_rng(0), 400)
    y = 1 + cells.one_hot(X) @ np.tile(np.random.default_rng(1).uniform(0, 1, 5), 6)
    gbdt = fitted(GBDT(cells), X[:100], y[:100])
    assert gbdt.products_ is None
    assert metrics.mape(y[100:], gbdt.predict(X[100:])) < 0.1


def test_kernels_and_their_products_are_saved(cells: SearchSpace) -> None:
    """What comes back predicts the same bits."""
    X = cells.sample(np.random.default_rng(0), 100)
    found = WholeNetwork(cells, None)(cells.check(X)).kernels
    gbdt = fitted(GBDT(cells), X, 1 + (found / found.max(axis=0)).sum(axis=1) ** 2)
    assert gbdt.products_ is not None
    again = GBDT(cells)
    again._relearn(gbdt._learned())
    np.testing.assert_array_equal(again.predict(X), gbdt.predict(X))


def test_a_tolerance_prefers_the_base_that_holds_it_more_often(cells: SearchSpace) -> None:
    """Not the one whose typical error is less."""
    y, often_right, never_far = np.ones(5), np.array([1, 1, 1, 0.8, 0.8]), np.full(5, 0.95)
    preferred = []
    for tolerance in (None, 0.1):
        gbdt = GBDT(cells, tolerance=tolerance)
        gbdt.least_ms_ = 0.25
        preferred.append(gbdt._error(often_right, y) < gbdt._error(never_far, y))
    assert preferred == [True, False]


def test_cells_without_a_path_have_a_latency_of_their_own(cells: SearchSpace) -> None:
    """That of those it was fitted on; without any it can only go by the others."""
    X = cells.sample(np.random.default_rng(0), 60)
    y = 1 + 1e-6 * cells.macs(X)
    idle = np.array([[0, 0, 0, 0, 0, 0], [3, 3, 3, 0, 0, 0], [0, 0, 3, 0, 0, 0]])
    told = fitted(GBDT(cells), np.vstack([X, idle[:2]]), np.append(y, [0.002, 0.003]))
    assert told.predict(idle).tolist() == [0.0025] * 3
    assert metrics.mape(y, told.predict(X)) < 1
    assert (fitted(GBDT(cells), X, y).predict(idle) > 0.5).all()
