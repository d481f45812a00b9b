"""Models turned into fp16 compute the same within its precision, or are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

import latbench
from latbench.errors import MeasurementError
from latbench.runtimes import random_inputs
from latbench.runtimes.half_precision import CAST, in_half_precision
from latbench.runtimes.naming import named
from latbench.spaces.weights import with_weights
from latbench.testing.onnx_models import run


def model_of(nodes: list[Any], weights: dict[str, Any], outputs: str = "y") -> ModelProto:
    """Return a model of ``nodes`` from ``x`` to ``outputs``, of shape (1, 2, 4, 4)."""
    make = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [make("x", TensorProto.FLOAT, [1, 2, 4, 4])],
        [make(name, TensorProto.FLOAT, None) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def outputs_of(model: ModelProto, inputs: Any) -> list[Any]:
    """Return what ONNX Runtime computes without optimisation."""
    return list(run(model, inputs))


def node(kind: str, inputs: str, given: str, **attributes: Any) -> Any:
    return helper.make_node(kind, inputs.split(), given.split(), name=f"the {given}", **attributes)


X = np.random.default_rng(0).standard_normal((1, 2, 4, 4)).astype(np.float32)


@pytest.mark.parametrize("space", ["digits-mobilenet", "nasbench201"])
def test_networks_compute_the_same_in_half_precision(space: str) -> None:
    """Every float inside is fp16, inputs and outputs stay fp32, and the nodes keep their names."""
    made = latbench.space(space, image_size=16, **({"cells": 1} if space == "nasbench201" else {}))
    workload = made.network_workload([1] * len(made.choices))
    model, _ = named(with_weights(workload.model))
    half = in_half_precision(model)
    checker.check_model(half, full_check=True)
    assert TensorProto.FLOAT not in {tensor.data_type for tensor in half.graph.initializer}
    names = [one.name for one in half.graph.node]
    assert [name for name in names if not name.startswith(CAST)] == [
        one.name for one in model.graph.node
    ]
    inputs = random_inputs(workload.inputs)
    (want,), (got,) = outputs_of(model, inputs), outputs_of(half, inputs)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=0.02 * float(np.abs(want).max()))
    assert (got != want).any()


def test_the_model_that_was_given_stays() -> None:
    """It is built in fp32 as well, for comparison."""
    model = model_of([node("Relu", "x", "y")], {})
    before = model.SerializeToString()
    in_half_precision(model)
    assert model.SerializeToString() == before


def test_constants_of_every_kind_become_half() -> None:
    """Tensors, plain values, filled shapes, and types that a cast names."""
    model = model_of(
        [
            node("Constant", "", "two", value_float=2.0),
            node("Constant", "", "three", value=numpy_helper.from_array(np.array(3, np.float32))),
            node("ConstantOfShape", "shape", "zeros"),
            node("Cast", "whole", "some", to=TensorProto.FLOAT),
            node("Add", "x two", "a"),
            node("Mul", "a three", "b"),
            node("Add", "b zeros", "c"),
            node("Add", "c some", "y"),
        ],
        {"shape": np.array([1, 2, 4, 4]), "whole": np.array([1], dtype=np.int64)},
    )
    (got,) = outputs_of(in_half_precision(model), {"x": X})
    np.testing.assert_allclose(got, (X + 2) * 3 + 1, rtol=1e-2, atol=1e-2)


def test_numbers_beyond_its_range_become_the_largest() -> None:
    """A mask of -3e38 would be minus infinity in fp16, and times zero no number."""
    model = model_of([node("Max", "x least", "y")], {"least": np.array([-3e38], np.float32)})
    half = in_half_precision(model)
    (least,) = half.graph.initializer
    assert numpy_helper.to_array(least).tolist() == [-65504.0]
    (got,) = outputs_of(half, {"x": X})
    np.testing.assert_allclose(got, X, rtol=1e-3)


def test_scales_of_a_resize_stay() -> None:
    """ONNX wants them in fp32."""
    model = model_of(
        [node("Resize", "x  scales", "y", mode="nearest")],
        {"scales": np.array([1, 1, 2, 2], np.float32)},
    )
    model.graph.node[0].input[:] = ["x", "", "scales"]
    (got,) = outputs_of(in_half_precision(model), {"x": X})
    assert got.shape == (1, 2, 8, 8)


def test_an_output_that_others_read_is_cast_once_for_itself() -> None:
    """What goes on inside is the half; the output is cast behind it."""
    model = model_of([node("Relu", "x", "a"), node("Neg", "a", "y")], {}, "a y")
    got = outputs_of(in_half_precision(model), {"x": X})
    np.testing.assert_allclose(got[0], np.maximum(X, 0), rtol=1e-3)
    np.testing.assert_allclose(got[1], -np.maximum(X, 0), rtol=1e-3)


def test_branches_are_refused_by_name() -> None:
    """What is inside would have to be turned too."""
    make = helper.make_tensor_value_info
    inner = helper.make_graph(
        [node("Neg", "x", "n")], "branch", [], [make("n", TensorProto.FLOAT, None)]
    )
    model = model_of([node("If", "yes", "y", then_branch=inner, else_branch=inner)], {"yes": True})
    with pytest.raises(MeasurementError, match=r"node 'the y' \(If\) holds a graph.*fp16 already"):
        in_half_precision(model)


def test_operators_without_half_precision_are_refused() -> None:
    """ONNX knows which types an operator takes."""
    model = model_of([node("Celu", "x", "y")], {})
    with pytest.raises(MeasurementError, match=r"cannot be written in fp16 .*take fp32"):
        in_half_precision(model)
