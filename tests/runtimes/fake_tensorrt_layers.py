"""What the engines of the fake ``tensorrt`` are made of, and how its inspector describes them.

The two generations of JSON follow NVIDIA's documentation (the developer guide's example of a
detailed layer, and "Migrating IEngineInspector Usage from TensorRT 10.x to 11.x"); no real engine
has been described yet.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from onnx import ModelProto, NodeProto

_KINDS = {
    "Conv": "CaskConvolution",
    "Gemm": "MatrixMultiply",
    "MatMul": "MatrixMultiply",
    "Add": "ElementWise",
    "Mul": "ElementWise",
    "GlobalAveragePool": "Reduce",
    "ReduceMean": "Reduce",
    "Cast": "Cast",
}
_PASSED_ON = {"Identity", "Dropout"}
_ACTIVATIONS = {"Relu", "Clip", "HardSwish"}


@dataclass(frozen=True)
class FakeLayer:
    """A layer with the names of the nodes that it computes."""

    name: str
    kind: str
    nodes: tuple[str, ...]


def fused(model: ModelProto) -> list[FakeLayer]:
    """Return the layers of an engine: convolutions take in the activation behind them."""
    running = _running(model)
    reads = Counter(name for node in running for name in node.input)
    reads.update(value.name for value in model.graph.output)
    by_input = {node.input[0]: node for node in running if node.input}
    layers: list[FakeLayer] = []
    taken: set[str] = set()
    for node in running:
        if node.name in taken or node.op_type in _PASSED_ON:
            continue
        group = [node]
        after = by_input.get(node.output[0])
        if node.op_type == "Conv" and after is not None and reads[node.output[0]] == 1:
            group += [after] if after.op_type in _ACTIVATIONS else []
        names = tuple(one.name for one in group)
        taken.update(names)
        kind = _KINDS.get(node.op_type, "PointWise")
        layers.append(FakeLayer(" + ".join(names), kind, names))
    if layers:
        first = layers[0].name
        name = f"Reformatting CopyNode for Input Tensor 0 to {first}"
        layers.insert(0, FakeLayer(name, "Reformat", ()))
    return layers


def has_branches(model: ModelProto) -> bool:
    """Return whether some tensor is read by several nodes, which could run side by side."""
    reads = Counter(name for node in _running(model) for name in set(node.input))
    return any(times > 1 for times in reads.values())


def _running(model: ModelProto) -> list[NodeProto]:
    """Return the nodes whose results are not known when building, and are read."""
    known = {tensor.name for tensor in model.graph.initializer} | {""}
    dynamic = []
    for node in model.graph.node:
        if known.issuperset(node.input):
            known.update(node.output)
        else:
            dynamic.append(node)
    needed = {value.name for value in model.graph.output}
    alive = []
    for node in reversed(dynamic):
        if not needed.isdisjoint(node.output):
            needed.update(node.input)
            alive.append(node)
    return alive[::-1]


def described(model: ModelProto, head: dict[str, Any], release: tuple[int, int]) -> str:
    """Return the JSON of an engine inspector of ``release``."""
    half = "FP16" in head["flags"] or any(node.op_type == "Cast" for node in model.graph.node)
    layers: list[Any] = [_layer(layer, half, release) for layer in fused(model)]
    if not head["detailed"]:
        layers = [layer["Name"] for layer in layers]
    names = [value.name for value in (*model.graph.input, *model.graph.output)]
    if release >= (11, 0):
        tensors = [{"Name": name, "IOMode": "Input", "DataType": "Float"} for name in names]
        return json.dumps({"Layers": layers, "I/O Tensors": tensors})
    return json.dumps({"Layers": layers, "Bindings": names})


def _layer(layer: FakeLayer, half: bool, release: tuple[int, int]) -> dict[str, Any]:
    tensor: dict[str, Any] = {"Name": "t", "Location": "Device", "Dimensions": [1]}
    if release >= (11, 0):
        tensor |= {"Format": "Row major linear (kLINEAR)", "DataType": "Half" if half else "Float"}
    elif release >= (10, 0):
        tensor |= {"Format/Datatype": "Half" if half else "Float"}
    else:
        tensor |= {"Format/Datatype": f"Row major linear FP{16 if half else 32} format"}
    told = {
        "Name": layer.name,
        "LayerType": layer.kind,
        "Inputs": [tensor],
        "Outputs": [tensor],
        "TacticName": "a_tactic",
    }
    if release >= (8, 6):
        told["Metadata"] = "\x1f".join(f"[ONNX Layer: {name}]" for name in layer.nodes)
    return told
