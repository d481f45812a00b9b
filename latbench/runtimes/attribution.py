"""Which kernel a node went into that no kernel names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onnx import ModelProto, NodeProto

from latbench.runtimes.dataflow import fixed, reads


def attributed(
    model: ModelProto, kernels: Sequence[Iterable[str]]
) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return the nodes of each kernel, complete, and the nodes that nothing executes.

    An engine that merges a node into the next one, or finds that it changes nothing, may drop its
    name. Such a node belongs to the kernel of the first node that reads what it gives, or, where
    only an output of the model does, to the kernel that it reads from. What depends on constants
    alone, or is read by nobody, is not executed.

    Args:
        model: the model, its nodes in order and named.
        kernels: names of the nodes that each kernel tells of; other names are left out.
    """
    nodes = list(model.graph.node)
    place: dict[str, list[int]] = {node.name: [] for node in nodes}
    for number, told in enumerate(kernels):
        for name in dict.fromkeys(told):
            if name in place:
                place[name].append(number)
    constant = fixed(model.graph)
    readers: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for tensor in reads(node):
            readers.setdefault(tensor, []).append(node)
    live = {output.name for output in model.graph.output}
    for node in reversed(nodes):
        if live.isdisjoint(node.output):
            continue
        live.update(reads(node))
        if not place[node.name] and node.name not in constant:
            after = (reader for tensor in node.output for reader in readers.get(tensor, ()))
            found = (place[reader.name][:1] for reader in after if place[reader.name])
            place[node.name] = next(found, [])
    made_by = {tensor: node for node in nodes for tensor in node.output if tensor}
    for node in nodes:
        if not place[node.name] and node.name not in constant and not live.isdisjoint(node.output):
            before = (made_by[tensor] for tensor in reads(node) if tensor in made_by)
            found = (place[source.name][-1:] for source in before if place[source.name])
            place[node.name] = next(found, [])
    complete: list[list[str]] = [[] for _ in kernels]
    for name, numbers in place.items():
        for number in numbers:
            complete[number].append(name)
    folded = [name for name, numbers in place.items() if not numbers]
    return [tuple(names) for names in complete], folded
