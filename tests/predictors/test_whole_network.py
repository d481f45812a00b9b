"""The columns of whole networks: what they tell apart, and what they do not."""

from __future__ import annotations

import numpy as np

import latbench
from latbench_predictors import one_hot
from latbench_predictors.gbdt import GBDT
from latbench_predictors.whole_network import WholeNetwork

# Edges 0-1, 0-2, 1-2, 0-3, 1-3 and 2-3; none, skip, 1x1, 3x3 and pooling.
BRANCHES = [[2, 3, 0, 1, 4, 2], [3, 3, 0, 0, 2, 0], [0, 3, 0, 2, 4, 0]]
SWAPPED = [[3, 2, 0, 1, 2, 4], [3, 3, 0, 0, 0, 2], [3, 0, 0, 2, 0, 4]]


def test_isomorphic_cells_are_described_alike() -> None:
    """The two inner nodes of a cell may change places; dead operations are told apart."""
    network = WholeNetwork(latbench.space("nasbench201"), None)
    found, swapped = network(np.array(BRANCHES)), network(np.array(SWAPPED))
    np.testing.assert_allclose(swapped.every, found.every)
    assert found.every.shape[1] + found.kernels.shape[1] == len(network.names)
    pruned = np.array([[0, 3, 0, 2, 0, 0], [0, 0, 0, 2, 0, 0]])
    assert not np.allclose(*network(pruned).options)


def test_isomorphic_cells_are_predicted_alike() -> None:
    """What gbdt learned of one cell it says of every cell that is the same graph."""
    space = latbench.space("nasbench201")
    rng = np.random.default_rng(0)
    X = space.sample(rng, 300)
    y = (1 + space.one_hot(X) @ rng.uniform(0, 1, 30)) * rng.lognormal(0, 0.05, 300)
    fitted = GBDT(space, rounds=40).fit(X, y, calibrate=False)
    np.testing.assert_allclose(fitted.predict(SWAPPED), fitted.predict(BRANCHES), rtol=1e-9)


def test_places_of_a_chain_are_told_apart() -> None:
    """Where nothing is pruned, each option of each place has a column of its own."""
    space = latbench.space("digits-mobilenet")
    np.testing.assert_array_equal(one_hot.own(space), np.eye(sum(space.sizes)))


def test_like_choices_have_no_columns_of_their_own() -> None:
    """All edges of a cell choose among the same blocks; the columns of a table are no edges."""
    assert one_hot.own(latbench.space("nasbench201")).shape == (30, 0)
    column = {"values": ["x", "y"]}
    table = latbench.space("table", columns=[{"name": "a", **column}, {"name": "b", **column}])
    np.testing.assert_array_equal(one_hot.own(table), np.eye(4))
