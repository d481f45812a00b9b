"""What the nodes of an ONNX graph read, and which of them need no input of the model."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, NodeProto

_SHAPES = {"Shape", "Size"}
"""Operators whose result is known when compiling, because every shape is."""


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the branches and loop bodies directly inside ``node``."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def reads(node: NodeProto) -> list[str]:
    """Return the tensors that ``node`` reads, those that only its subgraphs read included."""
    names = [name for name in node.input if name]
    for graph in subgraphs(node):
        names += [name for inner in graph.node for name in reads(inner)]
        names += [value.name for value in graph.output]
    return names


def fixed(graph: GraphProto) -> set[str]:
    """Return the names of the nodes that depend on constants and shapes alone."""
    # A weight that is an input too is only its default value.
    given = {value.name for value in graph.input}
    known = {tensor.name for tensor in graph.initializer} - given
    names = set()
    for node in graph.node:
        if node.op_type in _SHAPES or known.issuperset(reads(node)):
            known.update(node.output)
            names.add(node.name)
    return names
