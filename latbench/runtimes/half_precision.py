"""An ONNX model of fp32 as one that computes in fp16: for engines that take types from the model.

Inputs and outputs of the model keep their types, with a cast behind and before them. Numbers that
fp16 cannot hold become the largest that it can: models write minus infinity as -3e38.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
    shape_inference,
)

from latbench.errors import MeasurementError
from latbench.runtimes.dataflow import subgraphs
from latbench.runtimes.runtime import reason_of

CAST = "latbench_cast_"
"""Beginning of the names of the casts that are put in; no node of the model has it."""
_KEPT = {"Resize": (2,), "Upsample": (1,), "QuantizeLinear": (1,), "DequantizeLinear": (1,)}
"""Input slots that ONNX wants in fp32, by operator: scales."""
_TYPED = {"Cast": "to", "EyeLike": "dtype", "RandomNormal": "dtype", "RandomUniform": "dtype"}
"""Attributes that say the type of the result, by operator."""


def in_half_precision(model: ModelProto) -> ModelProto:
    """Return a copy of ``model`` (names of nodes unchanged) in which fp16 takes the place of fp32.

    Raises:
        MeasurementError: it has branches or loops, or an operator that ONNX does not have in fp16.
    """
    half = ModelProto()
    half.CopyFrom(model)
    graph = half.graph
    for node in graph.node:
        if any(True for _ in subgraphs(node)):
            raise MeasurementError(
                f"node {node.name!r} ({node.op_type}) holds a graph of its own, and latbench turns "
                "none into fp16; take fp32, or a model that is in fp16 already"
            )
    _convert_constants(graph)
    _cast_edges(graph)
    del graph.value_info[:]
    try:
        shape_inference.infer_shapes(half, check_type=True, strict_mode=True)
    except shape_inference.InferenceError as failure:
        raise MeasurementError(
            f"the model cannot be written in fp16 ({reason_of(failure)}); take fp32"
        ) from failure
    return half


def _convert_constants(graph: GraphProto) -> None:
    kept = _kept(graph)
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in kept:
            tensor.CopyFrom(_halved(tensor))
    for node in graph.node:
        if node.op_type in ("Constant", "ConstantOfShape") and kept.isdisjoint(node.output):
            _convert_value(node)
        for attribute in node.attribute:
            if attribute.name == _TYPED.get(node.op_type) and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16


def _convert_value(node: NodeProto) -> None:
    """Give a constant the type fp16, however its value is written."""
    for attribute in node.attribute:
        if attribute.name in ("value_float", "value_floats"):
            plain = attribute.f if attribute.name == "value_float" else list(attribute.floats)
            tensor = numpy_helper.from_array(np.asarray(plain, dtype=np.float32))
        elif attribute.type == AttributeProto.TENSOR:
            tensor = attribute.t
        else:
            continue
        if tensor.data_type == TensorProto.FLOAT:
            attribute.CopyFrom(helper.make_attribute("value", _halved(tensor)))
    if node.op_type == "ConstantOfShape" and not node.attribute:  # its value is 0.0 then, in fp32
        zero = numpy_helper.from_array(np.zeros(1, dtype=np.float16))
        node.attribute.append(helper.make_attribute("value", zero))


def _kept(graph: GraphProto) -> set[str]:
    """Return the tensors that stay in fp32."""
    return {
        node.input[slot]
        for node in graph.node
        for slot in _KEPT.get(node.op_type, ())
        if slot < len(node.input)
    }


def _halved(tensor: TensorProto) -> TensorProto:
    values = numpy_helper.to_array(tensor)
    largest = float(np.finfo(np.float16).max)
    held = np.where(np.isfinite(values), np.clip(values, -largest, largest), values)
    return numpy_helper.from_array(held.astype(np.float16), tensor.name)


def _cast_edges(graph: GraphProto) -> None:
    """Cast every fp32 input of the model to fp16, and back to fp32 what an output gives."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in _floats(graph.input) if value.name not in constants]
    outputs = [value.name for value in _floats(graph.output)]
    for value in graph.input:
        if value.name in constants and value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    inside = {name: f"{CAST}{name}" for name in (*inputs, *outputs)}
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [inside.get(name, name) for name in names]
    for tensor in graph.initializer:
        tensor.name = inside.get(tensor.name, tensor.name)
    into = [_cast(name, inside[name], TensorProto.FLOAT16) for name in inputs]
    # An output may be an input, passed on as it is: then the one cast is read by the other.
    out_of = [
        _cast(inside[name], name, TensorProto.FLOAT) for name in outputs if name not in inputs
    ]
    nodes = [*into, *graph.node, *out_of]
    del graph.node[:]
    graph.node.extend(nodes)


def _floats(values: Iterable[ValueInfoProto]) -> list[ValueInfoProto]:
    return [value for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT]


def _cast(source: str, given: str, to: int) -> NodeProto:
    return helper.make_node("Cast", [source], [given], name=f"{CAST}{source}", to=to)
