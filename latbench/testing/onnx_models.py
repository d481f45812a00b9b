"""What the suites read off an ONNX model, without asking the code under test."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto

Array = npt.NDArray[np.generic]


def run(model: ModelProto, inputs: Mapping[str, Array], every_tensor: bool = False) -> list[Array]:
    """Return the outputs of ``model`` by ONNX Runtime with all optimisation off.

    Args:
        model: with its weights.
        inputs: by name.
        every_tensor: whether to return what every node gives, too.
    """
    import onnxruntime

    if every_tensor:
        model = onnx.shape_inference.infer_shapes(model)
        model.graph.output.extend(model.graph.value_info)
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    outputs: list[Array] = session.run(None, dict(inputs))
    return outputs


def macs(model: ModelProto) -> int:
    """Return the multiply-accumulates of the convolutions and matrix products of ``model``.

    One for each element of an output and each weight that contributes to it.
    """
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*inferred.input, *inferred.value_info, *inferred.output)
    }
    shapes |= {tensor.name: list(tensor.dims) for tensor in inferred.initializer}
    total = 0
    for node in inferred.node:
        if node.op_type == "Conv":
            total += math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type in ("Gemm", "MatMul"):
            attributes: dict[str, Any] = {
                attribute.name: onnx.helper.get_attribute_value(attribute)
                for attribute in node.attribute
            }
            inner = shapes[node.input[0]][0 if attributes.get("transA") else -1]
            total += math.prod(shapes[node.output[0]]) * inner
    return total


def shared_initialisers(model: ModelProto) -> list[str]:
    """Return the names of initialisers that are read in more than one place."""
    read = Counter(name for node in model.graph.node for name in node.input)
    return [tensor.name for tensor in model.graph.initializer if read[tensor.name] > 1]


def unread_nodes(model: ModelProto) -> list[str]:
    """Return the names of nodes whose outputs nobody reads."""
    read = {name for node in model.graph.node for name in node.input}
    read |= {value.name for value in model.graph.output}
    return [node.name for node in model.graph.node if read.isdisjoint(node.output)]
