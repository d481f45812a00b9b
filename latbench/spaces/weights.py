"""Weights of workloads: left out of the model, and drawn again wherever it is compiled.

A latency does not depend on the values of weights, as long as they are ordinary: zeros, NaN,
infinities and subnormal numbers run at another speed. So weights are drawn from a fixed seed with
a variance that carries the scale of activations through the network (He et al., arXiv
1502.01852), every place gets a copy of its own, and models travel without them.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, load_model_from_string

_LOCATION = "latbench:seeded"
_LINEAR = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (1, 2),
    "MatMul": (0, 1),
    "BatchNormalization": (1, 2, 3, 4),
    "LayerNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "GroupNormalization": (1, 2),
    "PRelu": (1,),
    "LSTM": (1, 2, 3, 7),
    "GRU": (1, 2, 3),
    "RNN": (1, 2, 3),
    "DequantizeLinear": (0, 1, 2),
    "QuantizeLinear": (1, 2),
    "QLinearConv": (1, 2, 3, 4, 5, 6, 7, 8),
    "QLinearMatMul": (1, 2, 3, 4, 5, 6, 7),
    "ConvInteger": (1, 2, 3),
    "MatMulInteger": (0, 1, 2, 3),
}
"""Input slots whose values a trained network learns, by operator."""
_SHAPING = {"Resize", "Upsample", "Clip", "Pad", "Range", "ConstantOfShape", "Dropout", "OneHot"}
"""Operators whose constant inputs say what is computed, whatever their type."""
_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
_RECTIFIERS = {"Relu", "Clip", "LeakyRelu", "HardSwish", "Sigmoid"}
_POOL_SIZE = 1 << 20
_SMALL = 0.05
"""Deviation of biases and shifts: small beside the activations."""


def is_weight(node: NodeProto, slot: int, tensor: TensorProto) -> bool:
    """Return whether input ``slot`` of ``node`` is learned: known by shape and type, not by value.

    Elsewhere a constant of floats with more than one element counts as learned too (a scale or a
    shift), and everything else by value: shapes, axes, clips.
    """
    if node.op_type in _LINEAR:
        return slot in _LINEAR[node.op_type]
    if node.op_type in _SHAPING:
        return False
    return tensor.data_type in _FLOATS and math.prod(tensor.dims) > 1


def without_weights(model: ModelProto) -> ModelProto:
    """Take the values of all float weights out of ``model``, in place, and return it."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        for slot, name in enumerate(node.input):
            tensor = tensors.get(name)
            if tensor is not None and is_weight(node, slot, tensor):
                _take_out(tensor)
    return model


def _take_out(tensor: TensorProto) -> None:
    if tensor.data_type != TensorProto.FLOAT or _is_seeded(tensor):
        return
    tensor.ClearField("raw_data")
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=_LOCATION)


def _is_seeded(tensor: TensorProto) -> bool:
    return any(
        entry.key == "location" and entry.value == _LOCATION for entry in tensor.external_data
    )


def seeded(model: ModelProto) -> dict[str, npt.NDArray[np.float32]]:
    """Return values for every weight that was left out of ``model``, by name.

    Equal models get equal values, and every initialiser memory of its own.
    """
    scales = _scales(model)
    return {
        tensor.name: _draw(tensor.name, tuple(tensor.dims), *scales[tensor.name])
        for tensor in model.graph.initializer
        if _is_seeded(tensor)
    }


def _scales(model: ModelProto) -> dict[str, tuple[float, float]]:
    """Return by weight the mean and the standard deviation of its values."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    readers: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    return {
        name: _scale(node, slot, shapes[name], made_by, readers)
        for node in model.graph.node
        for slot, name in enumerate(node.input)
        if name in shapes
    }


def _scale(
    node: NodeProto,
    slot: int,
    shape: tuple[int, ...],
    made_by: dict[str, NodeProto],
    readers: dict[str, list[NodeProto]],
) -> tuple[float, float]:
    if node.op_type == "BatchNormalization" and slot in (1, 4):
        return 1.0, _SMALL  # scale and variance: near one, and positive
    if node.op_type not in {"Conv", "Gemm", "MatMul"} or slot != 1:
        return 0.0, _SMALL
    transposed = node.op_type == "MatMul" or (
        node.op_type == "Gemm"
        and not any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    )
    fan_in = shape[0] if transposed else math.prod(shape[1:])
    source = made_by.get(node.input[0])
    rectified = source is not None and source.op_type in _RECTIFIERS
    # A rectifier halves the second moment; a sum of k branches adds k variances.
    branches = _branches(node.output[0], readers)
    return 0.0, math.sqrt((2.0 if rectified else 1.0) / (fan_in * branches))


def _branches(name: str, readers: dict[str, list[NodeProto]]) -> int:
    users = readers.get(name, [])
    return 2 if len(users) == 1 and users[0].op_type in {"Add", "Sum"} else 1


@lru_cache(maxsize=1)
def _normals() -> npt.NDArray[np.float32]:
    return np.random.default_rng(20).standard_normal(_POOL_SIZE, dtype=np.float32)


def _draw(
    name: str, shape: tuple[int, ...], mean: float, deviation: float
) -> npt.NDArray[np.float32]:
    """Return a scaled copy of a stretch of one pool of normal numbers, chosen by ``name``.

    The pool is drawn once a process: drawing millions of numbers for each network would take
    longer than compiling it.
    """
    size = math.prod(shape)
    pool = _normals()
    offset = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % _POOL_SIZE
    values = np.empty(size, dtype=np.float32)
    filled = 0
    while filled < size:
        stretch = pool[offset : offset + size - filled]
        values[filled : filled + len(stretch)] = stretch
        filled += len(stretch)
        offset = 0
    values *= np.float32(deviation)
    values += np.float32(mean)
    return values.reshape(shape)


def with_weights(model: bytes) -> ModelProto:
    """Return the model with values for all weights that were left out."""
    proto = load_model_from_string(model)
    values = seeded(proto)
    for tensor in proto.graph.initializer:
        if tensor.name in values:
            del tensor.external_data[:]
            tensor.data_location = TensorProto.DEFAULT
            tensor.raw_data = values[tensor.name].tobytes()
    return proto
