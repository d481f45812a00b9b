"""A user's ``.onnx`` file as a workload, checked before anything is compiled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import (
    FunctionProto,
    GraphProto,
    ModelProto,
    TensorProto,
    helper,
    inliner,
    numpy_helper,
)

from latbench.errors import UsageError
from latbench.spaces.identity import graph_id
from latbench.spaces.input_shapes import NO_SHAPES, Shapes, fix_shapes
from latbench.spaces.workload import TensorSpec, Workload

_LARGEST_BYTES = 2**31 - 1


def workload_from_file(path: Path, batch: int = 1, shapes: Shapes = NO_SHAPES) -> Workload:
    """Return the model in ``path`` with every shape of its inputs fixed.

    Args:
        path: the file.
        batch: what first dimensions become that are open.
        shapes: whole shapes of inputs that are open beyond that, by name.

    Raises:
        UsageError: no such file, not an ONNX model, an invalid one, weights that hold no data or
            lie in another file, a shape that stays open, contradicts the file or is of no input of
            it, or one of another batch.
    """
    model = _parsed(path)
    tensors = {tensor.name for tensor in model.graph.initializer}
    _refuse_missing_weights(path, model)
    inputs = [value for value in model.graph.input if value.name not in tensors]
    fix_shapes(path, inputs, batch, shapes)
    # Declared inner shapes may be wrong or belong to another batch; runtimes infer them again.
    del model.graph.value_info[:]
    try:
        onnx.checker.check_model(model)
    # Where the message itself holds bytes that are no text, it is lost, or a UnicodeDecodeError.
    except (onnx.checker.ValidationError, UnicodeDecodeError) as failure:
        reason = (str(failure).strip() or "a name in it is no text").splitlines()[0]
        raise UsageError(f"{path} is not a valid ONNX model: {reason}") from failure
    if model.functions:  # the name of a function says nothing of what it computes
        model = inliner.inline_local_functions(model)
    if not model.graph.output:
        raise UsageError(f"{path} has no output; export the model again")
    specs = tuple(_spec(path, value) for value in inputs)
    return Workload(
        id=graph_id(model),
        name=path.name,
        inputs=specs,
        model=model.SerializeToString(deterministic=True),
        recipe={"kind": "file", "batch": batch},
        nodes=len(model.graph.node),
    )


def _parsed(path: Path) -> ModelProto:
    try:
        size = path.stat().st_size
        if size > _LARGEST_BYTES:
            raise UsageError(f"{path} has {size} bytes; models above 2 GiB cannot be read")
        data = path.read_bytes()
    except OSError as failure:
        raise UsageError(f"{path} cannot be read: {failure.strerror}") from failure
    if not data:
        raise UsageError(f"{path} is empty; export the model again")
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as failure:
        raise UsageError(f"{path} is no ONNX model, or was cut short: {failure}") from failure
    if not model.graph.node or not model.ir_version:
        raise UsageError(f"{path} holds no ONNX graph; is it another kind of file?")
    return model


def _refuse_missing_weights(path: Path, model: ModelProto) -> None:
    if model.graph.sparse_initializer:
        name = model.graph.sparse_initializer[0].values.name
        raise UsageError(f"{path} keeps the weights of {name!r} sparse; export them dense")
    for part in (model.graph, *model.functions):
        for tensor in _tensors(part):
            if tensor.data_location == TensorProto.EXTERNAL:
                raise UsageError(
                    f"{path} keeps the weights of {tensor.name!r} in another file; save the model "
                    "as one file (onnx.save with save_as_external_data=False)"
                )
            try:
                onnx.checker.check_tensor(tensor)
                numpy_helper.to_array(tensor)
            except (onnx.checker.ValidationError, ValueError, TypeError, KeyError) as failure:
                raise UsageError(
                    f"{path} declares the weight {tensor.name!r} of shape {list(tensor.dims)} but "
                    "holds no data for it (or data of another size); export the model with its "
                    "weights"
                ) from failure


def _tensors(part: GraphProto | FunctionProto) -> Iterator[TensorProto]:
    """Yield every tensor of a graph or function: initialisers, constants, those of subgraphs."""
    if isinstance(part, GraphProto):
        yield from part.initializer
    for node in part.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for graph in (attribute.g, *attribute.graphs):
                yield from _tensors(graph)


def _spec(path: Path, value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    except KeyError as failure:
        raise UsageError(
            f"{path}: the input {value.name!r} has the unknown element type {tensor.elem_type}"
        ) from failure
    shape = tuple(dim.dim_value for dim in tensor.shape.dim)
    return TensorSpec(value.name, shape, str(dtype))
