"""The shapes of a model's inputs: what the file leaves open is what the user says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from onnx import TensorShapeProto, ValueInfoProto

from latbench.errors import UsageError
from latbench.registry import nearest

Shapes = Mapping[str, tuple[int, ...]]
"""Whole shapes, the batch with them, by the name of the input."""

NO_SHAPES: Shapes = MappingProxyType({})


def fix_shapes(path: Path, inputs: Sequence[ValueInfoProto], batch: int, shapes: Shapes) -> None:
    """Write the shapes that are open in the ``inputs`` of the model ``path`` into them.

    An open first dimension is the batch, unless a shape says another.

    Raises:
        UsageError: a dimension stays open; a shape contradicts the file, or is of no input of it;
            the first dimension of the first input is not ``batch``.
    """
    names = [value.name for value in inputs]
    for name in shapes:
        if name not in names:
            raise UsageError(
                f"{path} has no input {name!r}, of which a shape is given; its inputs: "
                f"{', '.join(map(repr, names)) or 'none'}{nearest(name, names)}"
            )
    for value in inputs:
        _fix(path, value, batch, shapes.get(value.name))
    _refuse_another_batch(path, inputs, batch, shapes)


def _fix(path: Path, value: ValueInfoProto, batch: int, shape: tuple[int, ...] | None) -> None:
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        raise UsageError(
            f"{path}: the input {value.name!r} has no tensor shape; export it with one"
        )
    dims = value.type.tensor_type.shape.dim
    declared = _joined(dim.dim_param or (dim.dim_value if _fixed(dim) else "?") for dim in dims)
    if shape is not None and len(shape) != len(dims):
        raise UsageError(
            f"{path}: the input {value.name!r} has {len(dims)} dimensions ({declared}), and the "
            f"shape {_joined(shape)} has {len(shape)}; give one size for each"
        )
    for position, dim in enumerate(dims):
        if not _fixed(dim):
            if shape is not None:
                dim.dim_value = shape[position]
            elif position == 0:
                dim.dim_value = batch
        elif shape is not None and shape[position] != dim.dim_value:
            raise UsageError(
                f"{path}: dimension {position} of the input {value.name!r} is fixed at "
                f"{dim.dim_value}, and the shape {_joined(shape)} says {shape[position]}; give "
                f"{dim.dim_value}, or export the model with an open one"
            )
    left = [str(position) for position, dim in enumerate(dims) if not _fixed(dim)]
    if left:
        sizes = _joined(dim.dim_value if _fixed(dim) else "SIZE" for dim in dims)
        raise UsageError(
            f"{path}: the input {value.name!r} ({declared}) is open in dimension "
            f"{' and '.join(left)}; say --input-shape {value.name}={sizes}"
        )


def _refuse_another_batch(
    path: Path, inputs: Sequence[ValueInfoProto], batch: int, shapes: Shapes
) -> None:
    dims = inputs[0].type.tensor_type.shape.dim if inputs else ()
    # A latency at the file's own batch must not pass for one at the batch asked for.
    if dims and dims[0].dim_value != batch:
        first, name = dims[0].dim_value, inputs[0].name
        how, other = "fixed at", ", or export the model with an open batch"
        if name in shapes:
            how, other = "given as", ""
        raise UsageError(
            f"{path}: the first dimension of the input {name!r} is {how} {first}, not {batch}; "
            f"say --batch {first}{other}"
        )


def _fixed(dim: TensorShapeProto.Dimension) -> bool:
    return bool(dim.HasField("dim_value") and dim.dim_value > 0)


def _joined(shape: Iterable[object]) -> str:
    return ",".join(map(str, shape)) or "none"
