"""Workload identity ``g1``: equal for graphs that compute alike, whatever their names or weights.

Every tensor gets a hash of how it is made (forward, from the inputs) and of how it is used
(backward, from the outputs); the identity is the hash of the sorted list of both over all nodes
and weights. Nodes of which no output has need do not count. Two graphs that share a weight, or a
subtree, differ from two that hold copies, because each node and each weight is listed once.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, numpy_helper

from latbench.spaces.weights import is_weight

_COMMUTATIVE = frozenset({"Add", "Mul", "Sum", "Max", "Min", "Mean", "And", "Or", "Xor", "Equal"})
_WINDOWED = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"})
_ABSENT = "absent"


def graph_id(model: ModelProto) -> str:
    """Return ``g1:<sha256>`` of a model whose input shapes are all fixed."""
    graph = _Graph(model)
    made, heads = graph.forward()
    used, nodes = graph.backward(heads)
    leaves = [_digest(made[name], *sorted(used[name])) for name in graph.leaves]
    inputs = [made[name] for name in graph.inputs]
    outputs = [made[name] for name in graph.outputs]
    lines = sorted([*leaves, *nodes])
    return "g1:" + _digest("inputs", *inputs, "outputs", *outputs, "tensors", *lines)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


class _Graph:
    """The part of a model that its outputs need, without Identity and Constant nodes."""

    def __init__(self, model: ModelProto) -> None:
        graph = model.graph
        self._opsets = {_domain(entry.domain): entry.version for entry in model.opset_import}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._alias: dict[str, str] = {}
        nodes: list[NodeProto] = []
        for node in graph.node:
            constant = _constant(node)
            if constant is not None:
                self._constants[node.output[0]] = constant
            elif node.op_type == "Identity":
                self._alias[node.output[0]] = self._source(node.input[0])
            else:
                nodes.append(node)
        self.outputs = [self._source(value.name) for value in graph.output]
        needed = set(self.outputs)
        kept = []
        for node in reversed(nodes):
            if needed.intersection(node.output):
                read = [self._source(name) for name in (*node.input, *_captured(node))]
                kept.append((node, read))
                needed.update(name for name in read if name)
        self.nodes = kept[::-1]
        self.inputs = [value.name for value in graph.input if value.name not in self._constants]
        self.leaves = [name for name in self._constants if name in needed]
        self._values = {value.name: value for value in graph.input}
        self._weights = {
            name
            for node, read in self.nodes
            for slot, name in enumerate(read)
            if name in self._constants and is_weight(node, slot, self._constants[name])
        }

    def _source(self, name: str) -> str:
        return self._alias.get(name, name)

    def forward(self) -> tuple[dict[str, str], list[str]]:
        """Return how each tensor is made, by name, and each node, in order, as hashes."""
        made = {
            name: _digest("input", str(position), _type_of(self._values[name]))
            for position, name in enumerate(self.inputs)
        }
        made |= {name: self._leaf(name) for name in self.leaves}
        heads = []
        for node, read in self.nodes:
            inputs = [made[name] if name else _ABSENT for name in read]
            if node.op_type in _COMMUTATIVE:
                inputs.sort()
            while inputs and inputs[-1] == _ABSENT:
                inputs.pop()
            heads.append(_digest(*self._operator(node), "inputs", *inputs))
            for position, name in enumerate(node.output):
                if name:
                    made[name] = _digest(heads[-1], str(position))
        return made, heads

    def _leaf(self, name: str) -> str:
        tensor = self._constants[name]
        if name in self._weights:
            return _digest("weight", str(tensor.data_type), _shape(tensor.dims))
        return _digest("constant", _tensor(tensor))

    def _operator(self, node: NodeProto) -> list[str]:
        domain = _domain(node.domain)
        since, defaults = _schema(node.op_type, domain, self._opsets.get(domain, 0))
        return [domain, node.op_type, str(since), *_attributes(node, defaults)]

    def backward(self, heads: list[str]) -> tuple[dict[str, list[str]], list[str]]:
        """Return how each tensor is used, by name, and each node, as hashes."""
        used: dict[str, list[str]] = defaultdict(list)
        for position, name in enumerate(self.outputs):
            used[name].append(_digest("output", str(position)))
        nodes = []
        for (node, read), head in zip(reversed(self.nodes), reversed(heads), strict=True):
            users = [
                f"{position}:{use}"
                for position, name in enumerate(node.output)
                for use in sorted(used[name])
            ]
            nodes.append(_digest(head, *users))
            for slot, name in enumerate(read):
                if name:
                    place = "any" if node.op_type in _COMMUTATIVE else str(slot)
                    used[name].append(_digest(nodes[-1], place))
        return used, nodes


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _captured(node: NodeProto) -> list[str]:
    """Return the names that the subgraphs of ``node`` take from the graph around it."""
    names: set[str] = set()
    for attribute in node.attribute:
        if attribute.type not in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
            continue
        for graph in (attribute.g, *attribute.graphs):
            own = {value.name for value in (*graph.input, *graph.initializer)}
            read = {value.name for value in graph.output}
            for inner in graph.node:
                own.update(inner.output)
                read.update(inner.input, _captured(inner))
            names |= read - own
    return sorted(names - {""})


@cache
def _schema(operator: str, domain: str, version: int) -> tuple[int, Mapping[str, str]]:
    """Return the operator-set version that last changed ``operator``, and its defaults."""
    try:
        schema = onnx.defs.get_schema(operator, version, domain)
    except onnx.defs.SchemaError:
        return version, {}  # an operator outside the standard: its set's version is all there is
    defaults = {
        name: _attribute(attribute.default_value)
        for name, attribute in schema.attributes.items()
        if attribute.default_value.type != AttributeProto.UNDEFINED
    }
    return int(schema.since_version), defaults


def _attributes(node: NodeProto, defaults: Mapping[str, str]) -> list[str]:
    """Return what ``node`` says beyond the defaults of its operator."""
    written = {attribute.name: _attribute(attribute) for attribute in node.attribute}
    said = {name: value for name, value in written.items() if value != defaults.get(name)}
    if node.op_type in _WINDOWED:
        # Their defaults depend on the rank, so the standard has them in words only.
        for name, default in (("strides", "1"), ("dilations", "1"), ("pads", "0")):
            if set(said.get(name, default).split(",")) == {default}:
                said.pop(name, None)
        if node.op_type.startswith("Conv"):
            said.pop("kernel_shape", None)  # the shape of the weights says it
    return [f"{name}={said[name]}" for name in sorted(said)]


def _attribute(attribute: AttributeProto) -> str:
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.type == AttributeProto.TENSOR:
        return _tensor(value)
    if attribute.type == AttributeProto.GRAPH:
        return hashlib.sha256(value.SerializeToString(deterministic=True)).hexdigest()
    if attribute.type in (AttributeProto.INTS, AttributeProto.FLOATS):
        return ",".join(map(str, value))
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _tensor(tensor: TensorProto) -> str:
    values = np.ascontiguousarray(numpy_helper.to_array(tensor))
    # Strings come as an array of objects, whose bytes are addresses.
    content = repr(values.tolist()).encode() if values.dtype == object else values.tobytes()
    return f"{tensor.data_type}:{_shape(tensor.dims)}:{hashlib.sha256(content).hexdigest()}"


def _type_of(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    return f"{tensor.elem_type}:{_shape(dim.dim_value for dim in tensor.shape.dim)}"


def _shape(dims: Iterable[int]) -> str:
    return "x".join(map(str, dims))


def _constant(node: NodeProto) -> TensorProto | None:
    """Return the dense value of a Constant node; None for any other node."""
    if node.op_type != "Constant":
        return None
    (attribute,) = node.attribute
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.name == "value":
        tensor: TensorProto = value
        return tensor
    if attribute.name in ("value_float", "value_floats"):
        return numpy_helper.from_array(np.asarray(value, dtype=np.float32))
    if attribute.name in ("value_int", "value_ints"):
        return numpy_helper.from_array(np.asarray(value, dtype=np.int64))
    return None
