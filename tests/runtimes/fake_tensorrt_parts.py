"""What the fake ``tensorrt`` is made of: tables of its versions, strict objects, ONNX."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto

BUILDER_FLAGS = {
    (8, 5): {"FP16": 0, "INT8": 1, "REFIT": 5, "TF32": 7},
    (8, 6): {"FP16": 0, "INT8": 1, "REFIT": 5, "TF32": 7, "VERSION_COMPATIBLE": 15},
    (10, 0): {"FP16": 0, "INT8": 1, "REFIT": 4, "TF32": 6, "VERSION_COMPATIBLE": 13},
    (11, 0): {"REFIT": 4, "TF32": 6, "VERSION_COMPATIBLE": 12},
}
NETWORK_FLAGS = {
    (8, 5): {"EXPLICIT_BATCH": 0},
    (10, 0): {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1},
    (11, 0): {"STRONGLY_TYPED": 0},
}
TYPES = {
    (8, 5): ("FLOAT", "HALF", "INT8", "INT32", "BOOL", "UINT8"),
    (8, 6): ("FLOAT", "HALF", "INT8", "INT32", "BOOL", "UINT8", "FP8"),
    (10, 0): ("FLOAT", "HALF", "INT8", "INT32", "BOOL", "UINT8", "FP8", "BF16", "INT64"),
}
ONNX_TYPES = {
    TensorProto.FLOAT: "FLOAT",
    TensorProto.FLOAT16: "HALF",
    TensorProto.INT8: "INT8",
    TensorProto.UINT8: "UINT8",
    TensorProto.INT32: "INT32",
    TensorProto.INT64: "INT64",
    TensorProto.BOOL: "BOOL",
    TensorProto.BFLOAT16: "BF16",
}
BYTES = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}


def of_release(table: dict[tuple[int, int], Any], release: tuple[int, int]) -> Any:
    """Return the entry of the newest release that is not newer than ``release``."""
    return table[max(first for first in table if first <= release)]


NO_KERNEL = "Acosh"
"""An operator that is parsed, and then no kernel computes it."""
_SKIPPED = (
    "Skipping tactic 0x0000000000000000 due to exception [autotuner.cpp:get_best_tactics:1520] "
    "Autotuner: no tactics to implement operation: {name}"
)
_NONE_FOUND = "Internal Error (Could not find any implementation for node {group}.)"


def refusal(model: ModelProto, release: tuple[int, int]) -> list[str]:
    """Return the errors of a builder that has no kernel for a node, as each version tells them.

    The texts are those of github.com/NVIDIA/TensorRT/issues/2918, 3748 and 4511.
    """
    names = [node.name for node in model.graph.node]
    missing = [node.name for node in model.graph.node if node.op_type == NO_KERNEL]
    if not missing:
        return []
    skipped, group = _SKIPPED.format(name=missing[0]), f"{{ForeignNode[{names[0]}...{missing[0]}]}}"
    if release >= (10, 0):
        none_found = f"Error Code 10: {_NONE_FOUND.format(group=group)}"
        return [f"Error Code: 9: {skipped}", f"IBuilder::buildSerializedNetwork: {none_found}"]
    return [
        f"9: {skipped}",
        f"10: [optimizer.cpp::computeCosts::3728] Error Code 10: {_NONE_FOUND.format(group=group)}",
        "2: [builder.cpp::buildSerializedNetwork::751] Error Code 2: Internal Error (Assertion "
        "engine != nullptr failed. )",
    ]


class Native:
    """An object of the bindings: it takes no attribute that its class does not have."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        object.__setattr__(self, name, value)


class Property:
    """A property that takes values of one type."""

    def __init__(self, kind: Any, default: Any = None) -> None:
        self._kind, self._default = kind, default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else getattr(instance, self._name, self._default)

    def __set__(self, instance: Any, value: Any) -> None:
        if type(value) is not self._kind and not isinstance(value, self._kind):
            raise TypeError(f"incompatible function arguments: {self._name[1:]} = {value!r}")
        setattr(instance, self._name, value)


class Memory(bytearray):
    """Memory of the host that TensorRT allocated."""

    @property
    def nbytes(self) -> int:
        return len(self)


def objections(model: Any, release: tuple[int, int]) -> list[tuple[str, int]]:
    """Return what a parser says of a serialised model, with the node it is about."""
    try:
        proto = onnx.load_model_from_string(bytes(memoryview(model)))
    except DecodeError:
        return [("Failed to parse the ONNX model.", -1)]
    if not proto.graph.output or not proto.opset_import:
        return [("Assertion failed: the model\nhas no graph", -1)]
    unknown = [
        (f"No importer registered for op: {node.op_type}.\nIn node with name: {node.name}.", place)
        for place, node in enumerate(proto.graph.node)
        if not onnx.defs.has(node.op_type)
    ]
    if release >= (11, 0) and not unknown:
        onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    return unknown


def values_of(values: Any) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    for value in values:
        tensor = value.type.tensor_type
        shape = tuple(
            dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim
        )
        yield value.name, ONNX_TYPES[tensor.elem_type], shape


def computed_by(model: ModelProto) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 4
    return onnxruntime.InferenceSession(
        model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
