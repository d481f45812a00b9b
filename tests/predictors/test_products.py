"""Columns and their products."""

from __future__ import annotations

import numpy as np
import pytest

from latbench_predictors.products import PRODUCT, Products


def test_columns_are_sized_and_multiplied() -> None:
    """Mean 0 and spread 1, then each times itself and the others, shrunk more."""
    columns = np.array([[1.0, 100.0], [3.0, 300.0], [5.0, 200.0]])
    found = Products.over(columns)(columns)
    a, b = (columns - columns.mean(axis=0)).T / columns.std(axis=0)[:, None]
    expected = np.stack([a, b, PRODUCT * a * a, PRODUCT * a * b, PRODUCT * b * b], axis=1)
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("value", [0.0, 7.0, 1e9 + 0.1])
def test_what_all_have_tells_nothing(value: float) -> None:
    """Not even of a network where it is another."""
    products = Products.over(np.column_stack([np.full(3, value), np.arange(3.0)]))
    found = products(np.array([[2 * value + 1, 4.0]]))
    assert found[0, [0, 2, 3]].tolist() == [0, 0, 0]
    assert found[0, 1] > 0


def test_it_comes_back_from_an_array() -> None:
    """The two rows are all there is to it."""
    columns = np.random.default_rng(0).normal(size=(9, 4))
    products = Products.over(columns)
    again = Products(*products.to_array())
    np.testing.assert_array_equal(again(columns), products(columns))
