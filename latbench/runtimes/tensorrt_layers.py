"""What TensorRT's engine inspector says of an engine: its layers, and the nodes they come from.

Two generations of its JSON are read, those of TensorRT 8.5 to 10 and of 11, which writes the type
of a tensor apart from its format and the engine's tensors as objects. The nodes of the model must
have plain names (:func:`latbench.runtimes.naming.named`), by which they are found again:

- in ``Metadata`` (from 8.6), as ``[ONNX Layer: name]`` for each node that was fused;
- else in the name of the layer, which is that of its nodes joined by ``+``, perhaps inside
  ``PWN(…)`` (pointwise operations) or ``{ForeignNode[first...last]}`` (compiled by Myelin).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx import ModelProto

from latbench.errors import MeasurementError
from latbench.runtimes.attribution import attributed
from latbench.runtimes.kernel import CompiledGraph, Kernel
from latbench.runtimes.naming import as_shown

_ORIGIN = re.compile(r"\[ONNX Layer: ([^\]\x1e\x1f]+)\]")
# A node that became several layers names them n5, n5_1, and so on.
_PLAIN = re.compile(r"(?<![A-Za-z0-9_])(n+\d+)(?:_\w+)?(?![A-Za-z0-9])")
_TYPES = (
    (re.compile(r"bfloat16|bf16", re.IGNORECASE), "bf16"),
    (re.compile(r"half|float16|fp16", re.IGNORECASE), "fp16"),
    (re.compile(r"fp8|fp4|float8|float4", re.IGNORECASE), None),
    (re.compile(r"float|fp32", re.IGNORECASE), "fp32"),
    (re.compile(r"int8", re.IGNORECASE), "int8"),
)
_TYPE_KEYS = ("format/datatype", "datatype")
_INSERTED = {"reformat"}
"""Kinds of layers that no node asked for, although they are named after their neighbours."""
_COMPUTING = re.compile(r"conv|gemm|matmul|matrixmultiply|matrix_multiply|fully", re.IGNORECASE)
"""Kinds of layers that the time goes to; others follow the precision of those around them."""
_MOST_NAMES = 3


@dataclass(frozen=True)
class Layer:
    """One layer of an engine.

    Attributes:
        name: TensorRT's name of it, which the profiler reports too.
        kind: its ``LayerType``; ``Layer`` where the engine was built without details.
        origins: plain names of the nodes that it says it computes.
        precision: of its first input with a precision, else of its outputs; None without either.
    """

    name: str
    kind: str
    origins: tuple[str, ...]
    precision: str | None


def layers_of(text: str) -> list[Layer]:
    """Return the layers in the JSON that an engine inspector gives, in the order of execution.

    Raises:
        MeasurementError: it is none of the known schemas.
    """
    try:
        # Names may hold control characters, which TensorRT does not always escape.
        document = json.loads(text, strict=False)
        return [_layer(entry) for entry in document["Layers"]]
    except (ValueError, KeyError, TypeError) as failure:
        raise MeasurementError(
            "TensorRT describes the engine in a way that latbench does not know "
            f"({type(failure).__name__}: {failure}); it knows that of TensorRT 8.5 to 11"
        ) from failure


def _layer(entry: Any) -> Layer:
    if isinstance(entry, str):
        return Layer(entry, "Layer", tuple(_PLAIN.findall(entry)), None)
    name, kind = str(entry["Name"]), str(entry.get("LayerType") or "Layer")
    told = _ORIGIN.findall(str(entry.get("Metadata") or "")) or _PLAIN.findall(name)
    origins = () if kind.lower() in _INSERTED else tuple(dict.fromkeys(told))
    tensors = [*_tensors(entry.get("Inputs")), *_tensors(entry.get("Outputs"))]
    precisions = (_precision(tensor) for tensor in tensors)
    return Layer(name, kind, origins, next(filter(None, precisions), None))


def _tensors(told: Any) -> list[Mapping[str, Any]]:
    return [one for one in told or () if isinstance(one, dict)]


def _precision(tensor: Mapping[str, Any]) -> str | None:
    by_key = {key.lower(): str(value) for key, value in tensor.items()}
    text = next((by_key[key] for key in _TYPE_KEYS if key in by_key), "")
    return next((name for pattern, name in _TYPES if pattern.search(text)), None)


def precision_run(layers: Sequence[Layer], asked: str) -> str:
    """Return the precision of the computing layers: ``amp`` if several, ``asked`` if none says."""
    computing = [layer for layer in layers if _COMPUTING.search(layer.kind)] or layers
    run = {layer.precision for layer in computing} - {None}
    if len(run) > 1:
        return "amp"
    return str(run.pop()) if run else asked


def compiled_graph(
    layers: Sequence[Layer],
    times_ms: Mapping[str, float],
    whole_ms: float,
    model: ModelProto,
    shown: Mapping[str, str],
) -> CompiledGraph:
    """Return the kernels that ``layers`` are, with the nodes of ``model`` that each computes.

    A group that Myelin compiled is one kernel of all its nodes: how its time divides is not known.

    Args:
        layers: in the order of execution.
        times_ms: typical time of each layer by its name, for those that the profiler reported.
        whole_ms: the same kind of average of the whole run.
        model: the model, with plain names.
        shown: the name of each node that people know.

    Raises:
        MeasurementError: a node was lost, or a time is that of none of the layers.
    """
    unknown = sorted(times_ms.keys() - {layer.name for layer in layers})
    if unknown:
        told = ", ".join(repr(as_shown(name, shown)) for name in unknown[:_MOST_NAMES])
        raise MeasurementError(
            f"TensorRT tells times of {len(unknown)} layers that its description of the engine "
            f"does not hold ({told}), so those of the kernels are not known"
        )
    nodes, folded = attributed(model, [layer.origins for layer in layers])
    repeated = _repeated(layer.name for layer in layers)
    kernels = [
        Kernel(
            name=as_shown(layer.name, shown),
            kind=layer.kind,
            nodes=tuple(shown[node] for node in computed),
            time_ms=None if layer.name in repeated else times_ms.get(layer.name),
            precision=layer.precision,
        )
        for layer, computed in zip(layers, nodes, strict=True)
    ]
    graph = CompiledGraph(tuple(kernels), tuple(shown[node] for node in folded), whole_ms)
    return graph.check(shown.values())


def _repeated(names: Iterable[str]) -> set[str]:
    """Return the names that occur more than once: their times cannot be told apart."""
    return {name for name, times in Counter(names).items() if times > 1}
