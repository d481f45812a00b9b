"""Blocks exported to ONNX once, and networks stitched from them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from latbench.spaces.blocks import Block
from latbench.spaces.graph import INPUT, IntArray, Step
from latbench.spaces.identity import graph_id
from latbench.spaces.operation import Operation, Shape
from latbench.spaces.weights import is_weight, without_weights
from latbench.spaces.workload import TensorSpec, Workload

if TYPE_CHECKING:
    from torch import nn

    from latbench.spaces.space import SearchSpace

OPSET = 17
"""The ONNX operator set of every export: read by every runtime that latbench names."""

_OUTPUT = "output"


def export_module(module: nn.Module, input_shapes: tuple[tuple[int, ...], ...]) -> ModelProto:
    """Return ``module`` in evaluation mode as ONNX, batch norms folded, inputs and output named.

    Args:
        module: any module that torch can trace.
        input_shapes: of its arguments, with the batch.
    """
    import torch

    training = module.training
    buffer = io.BytesIO()
    images = tuple(torch.zeros(shape) for shape in input_shapes)
    names = [INPUT] if len(images) == 1 else [f"{INPUT}{n}" for n in range(len(images))]
    try:
        with warnings.catch_warnings():
            # The tracing exporter warns of its age; it folds batch norms and is 30 times faster.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(),
                images,
                cast("Any", buffer),  # a buffer is taken too, its type is not declared
                dynamo=False,
                opset_version=OPSET,
                input_names=names,
                output_names=[_OUTPUT],
            )
    finally:
        module.train(training)
    return _tidied(onnx.load_model_from_string(buffer.getvalue()))


def _tidied(model: ModelProto) -> ModelProto:
    """Turn Constant nodes into initialisers and give every reader of a shared one its own copy."""
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[NodeProto] = []
    alias: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Constant":
            tensor = TensorProto()
            tensor.CopyFrom(node.attribute[0].t)
            tensors[node.output[0]] = tensor
        elif node.op_type == "Identity" and alias.get(node.input[0], node.input[0]) in tensors:
            alias[node.output[0]] = alias.get(node.input[0], node.input[0])
        else:
            nodes.append(node)
    initializers: list[TensorProto] = []
    for number, node in enumerate(nodes):
        for slot, name in enumerate(node.input):
            source = alias.get(name, name)
            if source in tensors:
                tensor = TensorProto()
                tensor.CopyFrom(tensors[source])
                tensor.name = node.input[slot] = f"weight{number}.{slot}"
                initializers.append(tensor)
    tidy = helper.make_graph(nodes, "latbench", graph.input, graph.output, initializers)
    return _model(tidy)


def _model(graph: GraphProto) -> ModelProto:
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8, producer_name="latbench")


class Exporter:
    """Exports the blocks of one space at one batch, each once, and stitches networks of them."""

    def __init__(self, space: SearchSpace, batch: int) -> None:
        """Export for ``batch`` images; nothing happens before it is asked for."""
        self._space = space
        self._batch = batch
        self._parts: dict[str, GraphProto] = {}

    def _with_batch(self, shape: Shape) -> tuple[int, ...]:
        return (self._batch, *shape)

    def _part(self, operation: Operation, shapes: tuple[Shape, ...]) -> GraphProto:
        from latbench.spaces.network import drawn_from

        key = Block(operation, shapes).key
        if key not in self._parts:
            batched = tuple(self._with_batch(shape) for shape in shapes)
            with drawn_from(0):
                model = export_module(operation.module(), batched)
            self._parts[key] = without_weights(model).graph
        return self._parts[key]

    def block(self, block: Block) -> Workload:
        """Return one block alone."""
        graph = self._part(block.operation, block.input_shapes)
        recipe = {"kind": "block", "space": self._space.spec, "block": block.key}
        return self._workload(_model(graph), block.key, recipe, block.macs, block.params)

    def network(self, x: IntArray) -> Workload:
        """Return the architecture ``x`` (choices,), stitched."""
        space = self._space
        plan = space.graph.plan(x)
        parts = [self._part(step.operation, step.input_shapes) for step in plan]
        recipe = {"kind": "network", "space": space.spec, "arch": [int(value) for value in x]}
        return self._workload(
            self.stitch(plan, parts),
            f"{space.name} {space.decode(x)}",
            recipe,
            sum(step.operation.macs(step.input_shapes) for step in plan),
            sum(step.operation.params() for step in plan),
        )

    def stitch(self, plan: list[Step], parts: list[GraphProto]) -> ModelProto:
        """Return one model of the exported ``parts``, one a step of ``plan``.

        Initialisers are copied for each place: shared ones would stay in cache, and a network of
        equal blocks would be timed too fast. What two places compute alike from the same tensor,
        without weights, is computed once, as in torch's export of the whole network.
        """
        graph = GraphProto(name="latbench")
        shape = self._with_batch(self._space.input_shape)
        graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape))
        made: dict[str, str] = {INPUT: INPUT}
        computed: dict[_Computation, list[str]] = {}
        for number, (step, part) in enumerate(zip(plan, parts, strict=True)):
            prefix = f"b{number}."
            inputs = [
                self._zeros(graph, f"{prefix}zeros{slot}", step.input_shapes[slot])
                if source is None
                else made[source]
                for slot, source in enumerate(step.inputs)
            ]
            made[step.name] = _append(graph, part, prefix, inputs, computed)
        _rename(graph, made[plan[-1].name], _OUTPUT)
        out = self._with_batch(self._space.graph.shapes[self._space.graph.output])
        graph.output.append(helper.make_tensor_value_info(_OUTPUT, TensorProto.FLOAT, out))
        return _model(graph)

    def _zeros(self, graph: GraphProto, name: str, shape: Shape) -> str:
        dims = np.array(self._with_batch(shape), dtype=np.int64)
        graph.initializer.append(numpy_helper.from_array(dims, f"{name}.shape"))
        graph.node.append(helper.make_node("ConstantOfShape", [f"{name}.shape"], [name]))
        return name

    def _workload(
        self, model: ModelProto, name: str, recipe: Mapping[str, object], macs: int, params: int
    ) -> Workload:
        inputs = tuple(
            TensorSpec(
                value.name,
                tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim),
                "float32",
            )
            for value in model.graph.input
        )
        return Workload(
            id=graph_id(model),
            name=name,
            inputs=inputs,
            model=model.SerializeToString(deterministic=True),
            recipe={**recipe, "batch": self._batch},
            nodes=len(model.graph.node),
            macs=float(macs * self._batch),
            params=float(params),
        )


_Computation = tuple[str, str, tuple[bytes, ...], tuple[str | bytes, ...]]
"""Operator, domain, attributes and inputs of a node: names of tensors, and values of constants."""


def _append(
    graph: GraphProto,
    part: GraphProto,
    prefix: str,
    inputs: list[str],
    computed: dict[_Computation, list[str]],
) -> str:
    """Add to ``graph`` what of ``part`` is not ``computed`` yet; return the name of its output."""
    tensors = {tensor.name: tensor for tensor in part.initializer}
    renamed = {"": ""} | dict(zip((value.name for value in part.input), inputs, strict=True))
    renamed |= {name: prefix + name for name in tensors}
    read: set[str] = set()
    for node in part.node:
        names = [renamed[name] for name in node.input]
        attributes = sorted(value.SerializeToString(deterministic=True) for value in node.attribute)
        operands = tuple(
            _value(tensors[name])
            if name in tensors and not is_weight(node, slot, tensors[name])
            else renamed[name]
            for slot, name in enumerate(node.input)
        )
        outputs = [name and prefix + name for name in node.output]
        known = computed.setdefault(
            (node.op_type, node.domain, tuple(attributes), operands), outputs
        )
        renamed |= zip(node.output, known, strict=True)
        if known is outputs:
            read.update(node.input)
            added = graph.node.add()
            added.CopyFrom(node)
            added.name = prefix + node.name
            added.input[:] = names
            added.output[:] = outputs
    for tensor in part.initializer:
        if tensor.name in read:
            copy = graph.initializer.add()
            copy.CopyFrom(tensor)
            copy.name = renamed[tensor.name]
    return renamed[part.output[0].name]


def _value(tensor: TensorProto) -> bytes:
    nameless = TensorProto()
    nameless.CopyFrom(tensor)
    nameless.ClearField("name")
    value: bytes = nameless.SerializeToString(deterministic=True)
    return value


def _rename(graph: GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
