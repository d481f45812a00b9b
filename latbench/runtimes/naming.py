"""Names that every runtime leaves alone, and the way back to those that people know."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from onnx import GraphProto, ModelProto

from latbench.runtimes.dataflow import subgraphs


def named(model: ModelProto) -> tuple[ModelProto, dict[str, str]]:
    """Return a copy of ``model`` with plain unique node names, and the name to show for each.

    The nodes of the main graph are called ``n0``, ``n1``, … in their order (``nn0``, … where the
    model has such a name already); nodes inside ``If``, ``Loop`` and ``Scan`` keep theirs.

    A node is shown by its own name. One without a name is shown as ``OpType:output``, and several
    of one name as ``name:output``, because names of outputs are unique.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    prefix = "n"
    taken = set(_names(model.graph))
    while any(re.fullmatch(rf"{prefix}\d+", name) for name in taken):
        prefix += "n"
    counts = Counter(node.name for node in model.graph.node)
    shown = {}
    for number, node in enumerate(copy.graph.node):
        own = node.name
        if not own or counts[own] > 1:
            own = f"{own or node.op_type}:{next(filter(None, node.output), '')}"
        node.name = f"{prefix}{number}"
        shown[node.name] = own
    return copy, shown


def as_shown(name: str, shown: Mapping[str, str]) -> str:
    """Return an engine's name of a kernel with the plain names in it as people know them."""
    return re.sub(r"(?<![A-Za-z0-9])n+\d+", lambda found: shown.get(found[0], found[0]), name)


def _names(graph: GraphProto) -> Iterator[str]:
    """Yield every name in ``graph`` and its subgraphs, but those of the outermost nodes."""
    yield from (value.name for value in (*graph.input, *graph.output, *graph.initializer))
    for node in graph.node:
        yield from node.output
        for body in subgraphs(node):
            yield from _names(body)
            yield from (inside.name for inside in body.node)
