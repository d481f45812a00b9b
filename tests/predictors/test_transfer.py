"""Transfer: few labels of a target, and what other targets tell."""

from __future__ import annotations

import numpy as np
import pytest

import latbench
from latbench.errors import UsageError
from latbench.prediction import metrics
from latbench.prediction.inputs import FloatArray, IntArray
from latbench.spaces import SearchSpace
from latbench.spaces.table import TableSpace
from latbench.target import Target
from latbench_predictors import one_hot
from latbench_predictors.device_prior import CELLS, evidence, posterior
from latbench_predictors.option_design import Design
from latbench_predictors.sources import learn
from latbench_predictors.transfer import Transfer

LABELS = 12


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """A chain of eight places of one kind."""
    return latbench.space("digits-mobilenet")


@pytest.fixture(scope="module")
def X(space: SearchSpace) -> IntArray:
    """Networks that anything may be measured on."""
    return space.sample(np.random.default_rng(0), 400)


@pytest.fixture(scope="module")
def devices(space: SearchSpace, X: IntArray) -> list[FloatArray]:
    """Seven devices whose prices are mixtures of two, with noise of 1 %; the last is a target."""
    rng = np.random.default_rng(1)
    basis = rng.uniform(0.1, 1.0, (2, sum(space.sizes)))
    mixtures = rng.uniform(0.2, 1.0, (7, 2)) * rng.uniform(0.5, 20.0, (7, 1))
    clean = space.one_hot(X) @ (mixtures @ basis).T
    return list((clean * np.exp(rng.normal(0, 0.01, clean.shape))).T)


@pytest.fixture(scope="module")
def transfer(space: SearchSpace, X: IntArray, devices: list[FloatArray]) -> Transfer:
    """Unfitted, with six sources measured on the first 200 networks."""
    tables = {f"device {number}": (X[:200], y[:200]) for number, y in enumerate(devices[:6])}
    return Transfer.for_table(space, None, tables=tables)


def test_sources_make_up_for_labels(
    space: SearchSpace, X: IntArray, devices: list[FloatArray], transfer: Transfer
) -> None:
    """With 12 labels, sources bring the error in ms to that of noise; without it is far larger."""
    drawn, new, y = slice(200, 200 + LABELS), slice(300, 400), devices[-1]
    alone = Transfer(space).fit(X[drawn], y[drawn]).predict(X[new])
    helped = transfer.clone().fit(X[drawn], y[drawn]).predict(X[new])
    assert metrics.mape(y[new], helped) < 2
    assert metrics.mape(y[new], alone) > 3 * metrics.mape(y[new], helped)


def test_a_target_like_no_source_is_learned_from_its_own_labels(
    space: SearchSpace, X: IntArray, transfer: Transfer
) -> None:
    """Sources that tell nothing are outvoted as labels come in."""
    prices = np.random.default_rng(9).uniform(0.1, 5.0, sum(space.sizes))
    y = space.one_hot(X) @ prices
    errors = [
        metrics.mape(y[300:], transfer.clone().fit(X[:n], y[:n]).predict(X[300:]))
        for n in (10, 40, 200)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.5


def test_a_quantity_between_two_is_known() -> None:
    """Of a column of numbers, values between measured ones are covered, and ordered."""
    space = TableSpace(columns=[{"name": "width", "values": [8, 16, 24, 32]}])
    fitted = Transfer(space).fit([[0], [1], [3]], [1.0, 2.0, 4.0])
    assert fitted.coverage_of([[2]])[0] == 1.0
    assert fitted.predict([[2]])[0] == pytest.approx(3.0, rel=0.2)


def test_what_places_share_needs_no_source(space: SearchSpace, X: IntArray) -> None:
    """Options that cost the same at every place are found from a label an option or two."""
    options = sorted({option for choice in space.choices for option in choice.options})
    cost_ms = {option: 1.0 + place for place, option in enumerate(options)}
    chosen = [
        [cost_ms[choice.options[value]] for choice, value in zip(space.choices, x, strict=True)]
        for x in X
    ]
    y = np.array(chosen).sum(axis=1)
    predicted = Transfer(space).fit(X[:LABELS], y[:LABELS]).predict(X[300:])
    assert metrics.mape(y[300:], predicted) < 0.5


def test_an_additive_target_like_a_source_is_recovered(
    space: SearchSpace, X: IntArray, devices: list[FloatArray]
) -> None:
    """Without noise, 12 labels do where one of eight sources has the target's prices, scaled."""
    prices = np.random.default_rng(7).uniform(0.1, 5.0, sum(space.sizes))
    alike, y = space.one_hot(X) @ prices, 3.0 + space.one_hot(X) @ (20 * prices)
    tables = {f"device {number}": (X[:200], other[:200]) for number, other in enumerate(devices)}
    tables["alike"] = (X[:200], alike[:200])
    fitted = Transfer.for_table(space, None, tables=tables)
    fitted.fit(X[200 : 200 + LABELS], y[200 : 200 + LABELS])
    assert metrics.mape(y[300:], fitted.predict(X[300:])) < 0.2


def test_a_useless_source_is_given_little_weight(
    space: SearchSpace, X: IntArray, devices: list[FloatArray], transfer: Transfer
) -> None:
    """One that has nothing to do with the target hardly spoils what the others tell."""
    drawn, new, y = slice(200, 200 + LABELS), slice(300, 400), devices[-1]
    tables = {f"device {number}": (X[:200], other[:200]) for number, other in enumerate(devices)}
    tables["device 6"] = (X[:200], np.random.default_rng(8).uniform(1.0, 9.0, 200))
    spoilt = Transfer.for_table(space, None, tables=tables).fit(X[drawn], y[drawn])
    helped = transfer.clone().fit(X[drawn], y[drawn])
    assert metrics.mape(helped.predict(X[new]), spoilt.predict(X[new])) < 2


def test_what_options_compute_needs_no_source(space: SearchSpace, X: IntArray) -> None:
    """Latencies in proportion to multiply-accumulates and values moved are found from 12 labels."""
    costs = np.array([[block.macs, block.moved] for block in space.blocks])
    macs, moved = (space.path(X) @ costs).T
    y = 1.0 + macs / macs.mean() + moved / moved.mean()
    predicted = Transfer(space).fit(X[:LABELS], y[:LABELS]).predict(X[300:])
    assert metrics.mape(y[300:], predicted) < 1


def test_costs_are_left_out_where_options_have_none_of_their_own(space: SearchSpace) -> None:
    """They are known where nothing is pruned; a table and a cell share names of options alone."""
    cell = latbench.space("nasbench201")
    table = TableSpace(columns=[{"name": "kernel", "values": ["3", "5"]}])
    for other in (cell, table):
        assert Design.of(other).shared.shape[1] == one_hot.shared(other).shape[1]
    assert Design.of(space).shared.shape[1] > one_hot.shared(space).shape[1]


def test_labels_and_sources_are_counted(
    X: IntArray, devices: list[FloatArray], transfer: Transfer
) -> None:
    """A network given twice is one measurement; every source is told with its networks."""
    again = np.concatenate([X[200:210], X[200:205]])
    y = np.concatenate([devices[-1][200:210], devices[-1][200:205]])
    told = transfer.clone().fit(again, y).provenance()
    assert told["measured on the target"] == "10 networks"
    counted = len(np.unique(X[:200], axis=0))
    assert told["other targets"].startswith(f"device 0 ({counted} networks, rank correlation")
    assert "device 5" in told["other targets"]


def test_without_sources_none_are_told(space: SearchSpace, X: IntArray) -> None:
    """The card of a transfer from nothing says so."""
    fitted = Transfer(space).fit(X[:10], np.linspace(1, 2, 10))
    assert fitted.provenance()["other targets"] == "none"


def test_networks_of_no_cost_do_not_rule_the_fit(
    X: IntArray, devices: list[FloatArray], transfer: Transfer
) -> None:
    """A label a thousand times below the others changes the predictions of others little."""
    y = devices[-1][200:230].copy()
    before = transfer.clone().fit(X[200:230], y).predict(X[300:])
    y[0] = 1e-3 * y[0]
    after = transfer.clone().fit(X[200:230], y).predict(X[300:])
    assert metrics.mape(before, after) < 10


def test_suggested_labels_beat_random_ones(
    X: IntArray, devices: list[FloatArray], transfer: Transfer
) -> None:
    """The networks to measure are chosen without a latency, and leave a smaller error."""
    y = devices[-1]
    chosen = transfer.suggest(X[:300], 6)
    assert len(set(chosen.tolist())) == 6

    def error(rows: IntArray) -> float:
        fitted = transfer.clone().fit(X[rows], y[rows])
        return metrics.mape(y[300:], fitted.predict(X[300:]))

    rng = np.random.default_rng(0)
    drawn = [error(rng.choice(300, 6, replace=False)) for _ in range(20)]
    assert error(chosen) < np.mean(drawn)


@pytest.mark.parametrize("n", [0, 401])
def test_more_suggestions_than_candidates_are_refused(
    X: IntArray, transfer: Transfer, n: int
) -> None:
    """One of them at least, and not more than there are."""
    with pytest.raises(UsageError, match="give more candidates"):
        transfer.suggest(X, n)


def test_saved_sources_are_what_was_learned(
    tmp_path: object, X: IntArray, devices: list[FloatArray], transfer: Transfer
) -> None:
    """A loaded predictor can be fitted anew, and predicts as the one that was never saved."""
    fitted = transfer.clone().fit(X[200:220], devices[-1][200:220])
    card = {"data": "-", "scores": {}, "baselines": {}, "made": "-"}
    fitted.save(f"{tmp_path}/saved", Target("cpu", "onnxruntime", "1.0"), card)
    loaded = Transfer.load(f"{tmp_path}/saved")
    assert loaded.get_params()["sources"] == transfer.sources
    refitted = loaded.clone().fit(X[220:250], devices[-1][220:250])
    expected = transfer.clone().fit(X[220:250], devices[-1][220:250])
    np.testing.assert_array_equal(refitted.predict(X), expected.predict(X))


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({"gpu": ([[0] * 8] * 4, [1.0] * 4)}, "the source gpu has fewer than three"),
        ({"gpu": ([[0] * 7] * 4, [1.0] * 4)}, "the source gpu: .* other space|made by another"),
        ({"gpu": (np.eye(8, dtype=int), [1.0] * 7 + [0.0])}, "the source gpu: row 7"),
    ],
)
def test_bad_sources_are_named(space: SearchSpace, tables: object, says: str) -> None:
    """What is wrong with a table is told with the name of its source."""
    with pytest.raises(UsageError, match=says):
        Transfer.for_table(space, None, tables=tables)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "sources", [{}, {"weights": [[1.0]], "belief": [1.0]}, {"weights": "x", "belief": []}]
)
def test_sources_of_another_space_are_refused(
    space: SearchSpace, X: IntArray, sources: dict[str, object]
) -> None:
    """What ``learn`` did not return for this space is refused when it is fitted."""
    with pytest.raises(UsageError, match="learn"):
        Transfer(space, sources).fit(X[:10], np.linspace(1, 2, 10))


def test_evidence_is_that_of_a_gaussian(space: SearchSpace, X: IntArray) -> None:
    """The log evidence is the density of all contrasts of the labels, their scale profiled out."""
    design = Design.of(space)
    y = np.random.default_rng(3).normal(5.0, 1.0, 9)
    grams = design.grams(design.columns(X[:9]))
    found = evidence(grams, y)
    # An orthonormal basis of what is orthogonal to a constant.
    contrasts = np.linalg.svd(np.ones((1, 9)))[2][1:]
    for number in (0, 17, len(CELLS) - 1):
        cell = CELLS[number]
        covariance = np.einsum("p,pij->ij", cell[:3], grams) + cell.noise * np.eye(9)
        reduced = contrasts @ covariance @ contrasts.T
        z = contrasts @ y
        expected = -4.0 * np.log(z @ np.linalg.solve(reduced, z))
        expected -= 0.5 * np.linalg.slogdet(reduced)[1]
        other = CELLS[5]
        reference = np.einsum("p,pij->ij", other[:3], grams) + other.noise * np.eye(9)
        reduced = contrasts @ reference @ contrasts.T
        expected -= -4.0 * np.log(z @ np.linalg.solve(reduced, z))
        expected += 0.5 * np.linalg.slogdet(reduced)[1]
        assert found[number] - found[5] == pytest.approx(expected, abs=1e-6)


def test_parts_of_the_prior_have_unit_variance(
    space: SearchSpace, transfer: Transfer, X: IntArray
) -> None:
    """Over random architectures each part varies by 1, so that the cells' numbers compare."""
    assert transfer.sources is not None
    design = Design.of(space, np.array(transfer.sources["weights"]).T)
    many = design.columns(space.sample(np.random.default_rng(5), 20_000))
    for part in np.split(many, np.cumsum(design.counts)[:-1], axis=1):
        assert part.var(axis=0).sum() == pytest.approx(1, rel=0.05)


def test_belief_and_evidence_multiply() -> None:
    """Equal evidence leaves the belief, softened; strong evidence overrules it."""
    belief = np.zeros(len(CELLS))
    belief[3] = 1.0
    assert posterior(np.zeros(len(CELLS)), belief)[3] == pytest.approx(0.7 + 0.3 / len(CELLS))
    strong = np.zeros(len(CELLS))
    strong[8] = 30.0
    assert posterior(strong, belief)[8] > 0.99


def test_learning_is_repeatable(space: SearchSpace, X: IntArray) -> None:
    """Nothing is drawn that does not follow from the tables."""
    y = space.one_hot(X[:100]) @ np.linspace(1, 2, sum(space.sizes))
    tables = {"a": (X[:100], y), "b": (X[:90], y[:90] ** 2)}
    assert learn(space, tables) == learn(space, tables)
