"""Weights: left out of workloads, and drawn again so that values keep their scale."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import latbench
from latbench.spaces.weights import is_weight, seeded, with_weights, without_weights
from latbench.testing import onnx_models


def chain(
    *nodes: onnx.NodeProto, shape: tuple[int, ...], weights: dict[str, tuple[int, ...]]
) -> ModelProto:
    """A model from ``x`` of ``shape`` through ``nodes``, its weights all zero."""
    tensors = [
        numpy_helper.from_array(np.zeros(dims, np.float32), n) for n, dims in weights.items()
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "chain", [x], [y], tensors)
    opset = [helper.make_opsetid("", 17)]
    return without_weights(helper.make_model(graph, opset_imports=opset, ir_version=8))


def test_workloads_travel_without_their_weights() -> None:
    """A network of millions of parameters is a few kilobytes."""
    space = latbench.space("mobilenet", image_size=64)
    workload = space.network_workload([0] * 21)
    assert workload.params is not None
    assert workload.params > 2e6
    assert len(workload.model) < 50_000
    drawn = seeded(onnx.load_model_from_string(workload.model))
    # Batch normalisations are folded into the biases of the convolutions.
    assert workload.params * 0.98 < sum(values.size for values in drawn.values()) < workload.params


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize(
    ("shape", "group"), [((64, 32, 3, 3), 1), ((128, 1, 5, 5), 128), ((96, 64, 1, 1), 1)]
)
def test_convolutions_keep_the_scale(
    shape: tuple[int, int, int, int], group: int, rectified: bool
) -> None:
    """Weights vary as 1/fan-in, or twice that after a rectifier, which halves the power."""
    nodes = [helper.make_node("Conv", ["r" if rectified else "x", "w"], ["y"], group=group)]
    if rectified:
        nodes.insert(0, helper.make_node("Relu", ["x"], ["r"]))
    images = (1, shape[1] * group, 8, 8)
    drawn = seeded(chain(*nodes, shape=images, weights={"w": shape}))["w"]
    expected = math.sqrt((2 if rectified else 1) / math.prod(shape[1:]))
    assert drawn.std() == pytest.approx(expected, rel=0.08)
    assert abs(drawn.mean()) < 0.1 * expected


def test_variances_of_normalisations_are_positive() -> None:
    """Scale and variance lie near one: a variance of zero would divide by nothing."""
    names = ["x", "scale", "shift", "mean", "variance"]
    node = helper.make_node("BatchNormalization", names, ["y"])
    model = chain(node, shape=(1, 512, 4, 4), weights={name: (512,) for name in names[1:]})
    drawn = seeded(model)
    for name in ("scale", "variance"):
        assert 0.7 < drawn[name].min() < drawn[name].max() < 1.3
    for name in ("shift", "mean"):
        assert 0 < np.abs(drawn[name]).max() < 0.3


def test_tensors_larger_than_the_pool_are_filled() -> None:
    """A matrix of more numbers than are kept drawn has no rest of other values."""
    rows, columns = 1500, 1000
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    drawn = seeded(chain(node, shape=(1, rows), weights={"w": (rows, columns)}))["w"]
    deviation = math.sqrt(1 / rows)
    for part in np.array_split(drawn.ravel(), 10):
        assert part.std() == pytest.approx(deviation, rel=0.02)


def test_equal_models_get_equal_values() -> None:
    """Values depend on the model alone, and no two tensors share memory."""
    space = latbench.space("digits-mobilenet")
    model = space.network_workload([0] * 8).model
    first, second = (seeded(onnx.load_model_from_string(model)) for _ in range(2))
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])
        assert not np.shares_memory(values, second[name])


def test_what_shapes_the_computation_stays_inside() -> None:
    """Shapes and clips are no weights: their values are part of the graph."""
    reshape = helper.make_node("Reshape", ["x", "s"], ["y"])
    clip = helper.make_node("Clip", ["x", "low", "high"], ["y"])
    resize = helper.make_node("Resize", ["x", "", "scales"], ["y"])
    for node, slot, values in (
        (reshape, 1, np.array([1, -1])),
        (clip, 2, np.array(6, np.float32)),
        (resize, 2, np.array([1, 1, 2, 2], np.float32)),
    ):
        assert not is_weight(node, slot, numpy_helper.from_array(values))
    scale = helper.make_node("Mul", ["x", "s"], ["y"])
    assert is_weight(scale, 1, numpy_helper.from_array(np.ones((1, 8, 1, 1), np.float32)))
    assert not is_weight(scale, 1, numpy_helper.from_array(np.array(0.5, np.float32)))


def test_weights_come_back_complete() -> None:
    """``with_weights`` fills in what was left out, and the model runs."""
    space = latbench.space("digits-mobilenet", image_size=16)
    workload = space.network_workload([1] * 8)
    model = with_weights(workload.model)
    onnx.checker.check_model(model, full_check=True)
    images = np.random.default_rng(0).standard_normal((1, 1, 16, 16)).astype(np.float32)
    (logits,) = onnx_models.run(model, {"input": images})
    assert float(np.abs(logits).max()) > 0
