"""Outputs against fp32: how far they are, and that they are numbers at all."""

from __future__ import annotations

import math

import numpy as np
import pytest

import latbench
from latbench.errors import MeasurementError
from latbench.runtimes import random_inputs
from latbench.runtimes.numerics import difference, require_finite


def test_errors_are_relative_to_all_outputs_together() -> None:
    """A small output beside a large one does not make a large error."""
    want = [np.array([3.0, 4.0]), np.array([[0.0]])]
    got = [np.array([3.0, 4.0]), np.array([[0.5]])]
    assert difference(got, want) == {"max_abs": 0.5, "relative_l2": pytest.approx(0.1)}
    assert difference(want, want) == {"max_abs": 0.0, "relative_l2": 0.0}


def test_zeros_are_compared_as_they_are() -> None:
    """Of a reference that is zero there are no percents."""
    zeros = [np.zeros(2)]
    assert difference(zeros, zeros)["relative_l2"] == 0.0
    assert difference([np.array([0.0, 2.0])], zeros)["relative_l2"] == 2.0


@pytest.mark.parametrize("other", [[], [np.zeros(3)], [np.zeros(2), np.zeros(2)]])
def test_other_shapes_are_refused(
    other: list[np.ndarray[tuple[int], np.dtype[np.float64]]],
) -> None:
    """What has another shape is another network."""
    with pytest.raises(MeasurementError, match="its outputs have the shapes"):
        difference(other, [np.zeros(2)])


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_are_refused(wrong: float) -> None:
    """They are counted over all outputs; whole numbers are always finite."""
    require_finite([np.zeros(2), np.zeros(3, np.int64)])
    with pytest.raises(MeasurementError, match="1 of 4 values that it gives are NaN or infinite"):
        require_finite([np.zeros(2, np.float16), np.array([0.0, wrong], np.float32)])


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "torch"])
def test_a_reference_has_the_weights_of_its_runtime(name: str) -> None:
    """In fp32 a runtime agrees with its own reference."""
    runtime = latbench.runtime(name)()
    if runtime.available() is not None:
        pytest.skip(f"{name}: {runtime.available()}")
    space = latbench.space("digits-mobilenet", image_size=16)
    workload = space.network_workload([0] * 8)
    target = runtime.target("cpu")
    inputs = random_inputs(workload.inputs)
    sides = runtime.compile(workload, target), runtime.reference(workload, target)
    got, want = (session.outputs(inputs) for session in sides)
    assert difference(got, want)["relative_l2"] < 1e-4
