"""Which nodes of a model each node of ONNX Runtime's optimised graph computes.

The optimised model keeps no list of what it was made from, so this is read off names. An
optimised node is *anchored* to source nodes by its name (``n3``, ``n3/MatMulAddFusion``), by the
tensor that its name holds (``<tensor>_nchwc``), and by its outputs. What lies between its anchors
and the anchors of others belongs to it. Operators that ONNX Runtime has no kernel for, such as
``HardSwish``, become several nodes without a name, which count as one here. Observed with ONNX
Runtime 1.31 on a processor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from onnx import GraphProto, ModelProto, NodeProto, defs

from latbench.runtimes.dataflow import fixed, reads

_RENAMED = re.compile(r"(?:_bn)?_nchwc$")
_INNER = ("_inlfunc_", "reorder_token")
"""Tensors between the parts of one source node: ``_inlfunc_HardSwish_HS_X``, or blocked ones."""


@dataclass(eq=False)
class OptimisedNode:
    """A node of the optimised graph.

    Attributes:
        proto: the node, or what several parts of one source node do together.
        parts: the nodes that are executed; ``proto`` alone but for operators without a kernel.
        sources: names of the source nodes it computes; empty if none asked for it.
    """

    proto: NodeProto
    parts: list[NodeProto]
    sources: list[str] = field(default_factory=list)


def mapped(source: ModelProto, optimised: ModelProto) -> tuple[list[OptimisedNode], list[str]]:
    """Return the optimised nodes with what they compute, and the names of folded nodes.

    Args:
        source: a model whose nodes have unique names, see :func:`latbench.runtimes.naming.named`.
        optimised: what ONNX Runtime saved for it.

    Returns:
        A source node is in one optimised node, or folded, or, where this did not find it, nowhere.
    """
    return _Mapping(source.graph, optimised.graph).run()


class _Mapping:
    """One source graph against one optimised graph."""

    def __init__(self, source: GraphProto, optimised: GraphProto) -> None:
        self._source = source
        self._optimised = _with_parts_joined(optimised)
        self._by_name = {node.name: node for node in source.node}
        self._made_by = {name: node for node in source.node for name in node.output if name}
        self._readers: dict[str, list[NodeProto]] = {}
        for node in source.node:
            for name in set(reads(node)):
                self._readers.setdefault(name, []).append(node)
        self._same: dict[str, str] = {}
        self._twins = self._equal_nodes()
        self._owner: dict[str, OptimisedNode] = {}
        # What a tensor of the optimised graph holds, as a tensor of the source graph.
        self._value: dict[str, str] = {}

    def run(self) -> tuple[list[OptimisedNode], list[str]]:
        for one in self._optimised:
            self._anchor(one)
        # Only now: ReorderOutput gives its output the name of a tensor that another node computes.
        for one in self._optimised:
            for name in one.proto.output:
                if name in self._made_by:
                    self._own(one, self._made_by[name])
                    self._value[name] = name
        folded = fixed(self._source) - set(self._owner)
        for twins in self._twins:
            self._join(twins)
        for one in self._optimised:
            self._walk_back(one, folded)
        unread = self._unread() - set(self._owner)
        order = [node.name for node in self._source.node]
        for one in self._optimised:
            one.sources.sort(key=order.index)
        return self._optimised, [name for name in order if name in folded | unread]

    def _own(self, one: OptimisedNode, node: NodeProto) -> bool:
        if node.name in self._owner:
            return False
        self._owner[node.name] = one
        one.sources.append(node.name)
        return True

    def _anchor(self, one: OptimisedNode) -> None:
        """Claim what the name of ``one`` tells, and what follows that and must be in it too."""
        name = one.proto.name
        inlined = None if name else self._inlined(one)
        tensor = _RENAMED.sub("", name)
        if tensor != name and tensor in self._made_by:
            node = self._made_by[tensor]
        elif inlined is not None:
            node, tensor = inlined, inlined.output[0]
        else:
            known = (self._by_name.get(part) for part in re.split(r"[/ ]", name))
            found = next(filter(None, known), None)
            if found is None:
                return
            node, tensor = found, found.output[0]
        self._own(one, node)
        if not any(output in self._made_by for output in one.proto.output):
            tensor = self._epilogue(one, tensor)
            if one.proto.output:
                self._value[one.proto.output[0]] = tensor

    def _inlined(self, one: OptimisedNode) -> NodeProto | None:
        """Return the source node whose parts ``one`` holds, told by its input."""
        for read in one.proto.input:
            for node in self._readers.get(self._value.get(read, read), ()):
                if node.name not in self._owner and _is_function(node):
                    return node
        return None

    def _epilogue(self, one: OptimisedNode, tensor: str) -> str:
        """Claim the nodes behind ``tensor`` that ``one`` holds; return what it really computes.

        Additions and activations are fused into the node before them, which keeps its name.
        """
        while self._lacks(one, tensor):
            readers = [node for node in self._readers.get(tensor, ()) if node.output]
            if len(readers) != 1 or not self._own(one, readers[0]):
                break
            tensor = readers[0].output[0]
        return tensor

    def _lacks(self, one: OptimisedNode, tensor: str) -> bool:
        """Return whether ``one`` computes more than what leads to ``tensor``."""
        held = [node for node in self._between(one, tensor)]
        operators = {node.op_type for node in held}
        adds = len(one.proto.input) > 3 and one.proto.op_type in {"Conv", "FusedConv"}
        if adds and not operators & {"Add", "Sum"}:
            return True
        for attribute in one.proto.attribute:
            if attribute.name == "activation" and attribute.s.decode() not in operators:
                return True
        read = {self._same.get(name, name) for node in held for name in reads(node)}
        known = [self._value.get(name, name) for name in one.proto.input]
        return any(
            name in self._readers and self._same.get(name, name) not in read for name in known
        )

    def _between(self, one: OptimisedNode, tensor: str) -> Iterator[NodeProto]:
        """Yield the source nodes from ``tensor`` back to what ``one`` or others read."""
        stops = {self._value.get(name, name) for name in one.proto.input}
        waiting, seen = [tensor], set()
        while waiting:
            name = waiting.pop()
            node = self._made_by.get(name)
            if node is None or name in stops or node.name in seen:
                continue
            if self._owner.get(node.name, one) is not one:
                continue
            seen.add(node.name)
            yield node
            waiting += reads(node)

    def _walk_back(self, one: OptimisedNode, folded: set[str]) -> None:
        """Claim what leads to the anchors of ``one``, as far as no other node has it."""
        for name in list(one.sources):
            for tensor in self._by_name[name].output:
                for node in self._between(one, tensor):
                    if node.name not in folded:
                        self._own(one, node)

    def _equal_nodes(self) -> list[list[NodeProto]]:
        """Return groups of nodes that compute the same from the same tensors."""
        groups: dict[tuple[object, ...], list[NodeProto]] = {}
        for node in self._source.node:
            inputs = tuple(self._same.get(name, name) for name in node.input)
            if node.op_type == "Identity":
                self._same[node.output[0]] = inputs[0]
                continue
            attributes = sorted(one.SerializeToString(deterministic=True) for one in node.attribute)
            group = groups.setdefault((node.op_type, node.domain, *attributes, inputs), [])
            group.append(node)
            self._same.update(zip(node.output, group[0].output, strict=False))
        return [group for group in groups.values() if len(group) > 1]

    def _join(self, twins: list[NodeProto]) -> None:
        """Give nodes that were merged with an equal one to whoever computes that."""
        owner = next(filter(None, (self._owner.get(node.name) for node in twins)), None)
        if owner is not None:
            for node in twins:
                self._own(owner, node)

    def _unread(self) -> set[str]:
        """Return the nodes that no output of the model needs."""
        needed: set[str] = set()
        waiting = [value.name for value in self._source.output]
        while waiting:
            node = self._made_by.get(waiting.pop())
            if node is not None and node.name not in needed:
                needed.add(node.name)
                waiting += reads(node)
        return set(self._by_name) - needed


def _with_parts_joined(graph: GraphProto) -> list[OptimisedNode]:
    """Return the nodes of ``graph``, those that an operator without a kernel became as one."""
    found: list[OptimisedNode] = []
    made_by: dict[str, OptimisedNode] = {}
    for node in graph.node:
        one = OptimisedNode(node, [node])
        before = {id(made_by[name]): made_by[name] for name in node.input if name in made_by}
        if not node.name and before:
            found = [other for other in found if id(other) not in before]
            parts = [*(part for other in before.values() for part in other.parts), node]
            one = OptimisedNode(_joined(parts), parts)
        if not node.name:
            within = [name for part in one.parts for name in part.output]
            made_by.update((name, one) for name in within if name.startswith(_INNER))
        found.append(one)
    return found


def _joined(parts: list[NodeProto]) -> NodeProto:
    within = {name for part in parts for name in part.output}
    return NodeProto(
        op_type=" + ".join(part.op_type for part in parts),
        input=dict.fromkeys(name for part in parts for name in part.input if name not in within),
        output=parts[-1].output,
    )


def _is_function(node: NodeProto) -> bool:
    """Return whether ONNX defines the operator by others, so that it needs no kernel."""
    if not defs.has(node.op_type, node.domain):
        return False
    schema: Any = defs.get_schema(node.op_type, domain=node.domain)
    return bool(schema.has_function or schema.has_context_dependent_function)
