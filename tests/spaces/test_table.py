"""The space of a table: columns are choices, and nothing stands behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import latbench
from latbench.errors import UsageError
from latbench.spaces import SearchSpace
from latbench.spaces.table import TableSpace, describe
from latbench.testing.architectures import ArchitectureChecks

COLUMNS: list[dict[str, Any]] = [
    {"name": "depth", "values": [2, 3, 4]},
    {"name": "block, first", "values": ["a,b", 'a "b"', "mb3"]},
    {"name": "late", "values": ["x", "y"], "active": ["depth", [3, 4]]},
    {"name": "width", "values": [0.5, 0.75, 1.0], "between": True},
]
ROW: dict[str, list[Any]] = {
    "block, first": ["mb3"],
    "late": ["x"],
    "depth": [3],
    "width": [0.5],
}


class TestTableSpace(ArchitectureChecks):
    """Its architectures keep the contract of every space's."""

    def make_space(self) -> SearchSpace:
        return latbench.space("table", columns=COLUMNS)


@pytest.fixture
def space() -> TableSpace:
    """A space of two columns of numbers and two of texts."""
    return TableSpace(columns=COLUMNS)


def test_columns_are_read_by_name(space: TableSpace) -> None:
    """The order of the given columns does not matter, nor do others beside them."""
    columns: dict[str, list[Any]] = {
        "width": [0.5, 1.0],
        "late": ["y", "y"],
        "block, first": ["mb3", "a,b"],
        "depth": [2, "4"],
        "note": ["", ""],
    }
    np.testing.assert_array_equal(space.read(columns), [[0, 2, 0, 0], [2, 0, 1, 2]])


def test_numbers_between_are_taken_to_the_nearest(space: TableSpace) -> None:
    """A column that allows it rounds; one that does not refuses."""
    row: dict[str, list[Any]] = {**ROW, "width": [0.9]}
    assert space.read(row)[0, 3] == 2
    with pytest.raises(UsageError, match=r"2\.5 is no value of the column 'depth'; known: 2, 3, 4"):
        space.read({**row, "depth": [2.5]})


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("block, first", "mb9", "'mb9' is no value of the column 'block, first'; known: a,b"),
        ("depth", "deep", "'deep' is no value of the column 'depth'"),
        ("depth", True, "True is no value"),
        ("width", 1.1, "runs from 0.5 to 1: beyond that nothing was measured"),
        ("width", float("nan"), "nan is no value"),
    ],
)
def test_unknown_values_are_refused(
    space: TableSpace, column: str, value: object, says: str
) -> None:
    """The row, the value and the known ones are named."""
    with pytest.raises(UsageError, match="row 7: ") as refused:
        space.read({**ROW, column: [value]}, rows=[7])
    assert says in str(refused.value)


def test_a_missing_column_is_refused(space: TableSpace) -> None:
    """It is named with those that there should be."""
    with pytest.raises(UsageError, match="no column 'depth'; the predictor was fitted on depth"):
        space.read({"width": [0.5]})


@pytest.mark.parametrize(
    "ask",
    [
        lambda space, X: space.blocks,
        lambda space, X: space.additive,
        lambda space, X: space.path(X),
        lambda space, X: space.placed(X),
        lambda space, X: space.macs(X),
        lambda space, X: space.params(X),
        lambda space, X: space.option_counts(),
        lambda space, X: space.network(X[0]),
        lambda space, X: space.supernet(),
        lambda space, X: space.supernet(classes=3),
        lambda space, X: space.to_onnx(X[0]),
        lambda space, X: space.network_workload(X[0]),
        lambda space, X: space.input_shape,
        lambda space, X: space.classes,
    ],
)
def test_there_are_no_networks(space: TableSpace, ask: Callable[..., object]) -> None:
    """Whatever needs a graph is refused with that reason."""
    assert not space.has_networks
    with pytest.raises(UsageError, match="no network behind them"):
        ask(space, space.sample(np.random.default_rng(0), 2))


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ([], "columns is a list"),
        ("depth", "columns is a list"),
        ([{"name": "a"}], "the values of 'a' are None"),
        ([{"values": [1]}], "a column is"),
        ([{"name": "a", "values": []}], "the values of 'a'"),
        ([{"name": "a", "values": [1, "b"]}], "mixes them"),
        ([{"name": "a", "values": [1, float("nan")]}], "mixes them, or holds what is neither"),
        ([{"name": "a", "values": [2, 1]}], "not in order"),
        ([{"name": "a", "values": ["b", "b"]}], "a value twice"),
        ([{"name": "a", "values": ["b"], "between": True}], "holds texts"),
        ([{"name": "a", "values": [1], "step": 2}], "also has 'step'"),
        ([{"name": "a", "values": [1]}, {"name": "a", "values": [2]}], "'a' stands twice"),
        ([{"name": "a", "values": [1], "active": ["b", [1]]}], "an earlier column"),
    ],
)
def test_wrong_columns_are_refused(columns: Any, says: str) -> None:
    """A column that is none is named."""
    with pytest.raises(UsageError, match=says):
        TableSpace(columns=columns)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200))
def test_every_number_of_a_described_column_is_read(values: list[float]) -> None:
    """Few numbers are read as they are, many to within half a step of their range."""
    space = TableSpace(columns=[describe("x", values)])
    known = np.array(space.choices[0].values)
    read = known[space.read({"x": values})[:, 0]]
    exact = len(set(values)) <= 64
    slack = 0.0 if exact else (max(values) - min(values)) / 512 * (1 + 1e-9)
    assert np.abs(read - np.array(values)).max() <= slack


def test_a_column_that_names_rows_is_refused() -> None:
    """About as many texts as rows describe nothing."""
    with pytest.raises(UsageError, match="names rows and describes none"):
        describe("id", [f"network {number}" for number in range(100)])
