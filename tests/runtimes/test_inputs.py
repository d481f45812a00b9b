"""Inputs of workloads: ordinary values, because zeros run at another speed."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from latbench.errors import UsageError
from latbench.runtimes import random_inputs
from latbench.runtimes.inputs import check_inputs
from latbench.spaces import TensorSpec


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_floats_are_normal_numbers(dtype: str) -> None:
    """Floats of every width are neither zero nor subnormal, and vary around zero."""
    assert onnx.__version__  # whose types numpy knows once it is imported
    values = random_inputs((TensorSpec("x", (64, 64), dtype),))["x"]
    assert str(values.dtype) == dtype
    floats = values.astype(np.float64)
    assert (floats != 0).mean() > 0.99
    assert abs(floats.mean()) < 0.1
    assert 0.9 < floats.std() < 1.1


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_whole_numbers_are_zero(dtype: str) -> None:
    """Whole numbers may be indices, of which only zero is always one."""
    values = random_inputs((TensorSpec("x", (3,), dtype),))["x"]
    assert str(values.dtype) == dtype
    assert not values.any()


def test_equal_specs_get_equal_inputs() -> None:
    """The same workload gets the same inputs in every process; two inputs of one differ."""
    specs = (TensorSpec("a", (4, 4), "float32"), TensorSpec("b", (4, 4), "float32"))
    first, second = random_inputs(specs), random_inputs(specs)
    for name in "ab":
        np.testing.assert_array_equal(first[name], second[name])
    assert (first["a"] != first["b"]).all()


SPECS = (TensorSpec("image", (1, 3), "float32"), TensorSpec("ids", (2,), "int64"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"image": np.zeros((1, 3))},
            r"'image' holds float64, and the workload reads float32; convert it with .astype\('fl",
        ),
        ({"image": np.zeros((1, 3), ">f4")}, "'image' holds >f4"),
        ({"ids": np.zeros(2, np.int32)}, "'ids' holds int32, and the workload reads int64"),
        ({"image": np.zeros((3,), np.float32)}, r"'image' has the shape \(3,\), .* reads \(1, 3\)"),
        ({"ids": [0, 1]}, "'ids' is a list; give a NumPy array of int64"),
        ({"idds": np.zeros(2)}, "are 'image', 'ids', not 'image', 'ids', 'idds'; give each"),
    ],
)
def test_what_the_workload_does_not_read_is_refused(changes: dict[str, Any], says: str) -> None:
    """The value is in the message, with what is read in its place."""
    right = random_inputs(SPECS)
    check_inputs(right, SPECS)
    with pytest.raises(UsageError, match=says) as refused:
        check_inputs({**right, **changes}, SPECS)
    assert "\n" not in str(refused.value)


def test_no_inputs_are_the_inputs_of_nothing() -> None:
    """What is missing is named; a workload without inputs takes none."""
    with pytest.raises(UsageError, match="are 'image', 'ids', not none"):
        check_inputs({}, SPECS)
    check_inputs({}, ())
