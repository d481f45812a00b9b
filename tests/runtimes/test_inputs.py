"""Inputs of workloads: ordinary values, because zeros run at another speed."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from latbench.runtimes import random_inputs
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
