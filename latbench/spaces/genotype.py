"""The text in which DARTS publishes its cells (Liu et al., arXiv 1806.09055), read and written.

A genotype lists two edges for each of the four nodes of a cell, as (operation, input): inputs 0 and
1 are the outputs of the two cells before, the older one first, and 2 to 5 the nodes.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from latbench.errors import UsageError
from latbench.registry import nearest

OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""What may be on an edge, in the order of the paper's code; ``none`` leaves the edge out."""

KEPT = OPERATIONS[1:]
"""What may be on an edge that is kept."""

NODES = (2, 3, 4, 5)
"""The nodes of a cell; node n may take the inputs 0 to n - 1."""

Edge = tuple[str, int]
"""Operation and input."""

Cell = tuple[tuple[Edge, ...], ...]
"""For each node its two edges, the smaller input first."""

_FORM = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ...], normal_concat=range(2, 6), "
    "reduce=[...], reduce_concat=range(2, 6)) with two edges for each of the nodes 2 to 5"
)
_FIELDS = ["normal", "normal_concat", "reduce", "reduce_concat"]
_CONCAT = ("range(2, 6)", "[2, 3, 4, 5]", "(2, 3, 4, 5)")
_LONGEST = 10_000  # characters; much longer expressions can overflow the stack of Python's parser
_SHOWN = 60


@dataclass(frozen=True)
class Genotype:
    """A normal and a reduction cell."""

    normal: Cell
    reduce: Cell

    def __str__(self) -> str:
        """Return the published form, on one line."""
        normal, reduce = (
            [edge for node in cell for edge in node] for cell in (self.normal, self.reduce)
        )
        return (
            f"Genotype(normal={normal}, normal_concat=range(2, 6), "
            f"reduce={reduce}, reduce_concat=range(2, 6))"
        )

    @classmethod
    def parse(cls, text: str) -> Genotype:
        """Return the genotype that ``text`` writes down; nothing in it is run.

        Raises:
            UsageError: another form, an unknown operation, an input that the node does not have or
                takes twice, or an output that is not made of all four nodes.
        """
        fields = _fields(text)
        for kind in ("normal", "reduce"):
            concat = fields[f"{kind}_concat"]
            if concat not in _CONCAT:
                raise UsageError(
                    f"{kind}_concat is {_cut(concat)}; a cell of this space joins all four nodes: "
                    f"{kind}_concat=range(2, 6)"
                )
        return cls(_cell("normal", fields["normal"]), _cell("reduce", fields["reduce"]))


def _fields(text: str) -> dict[str, Any]:
    """Return the lists of edges, and what is joined as text."""
    try:
        if len(text) > _LONGEST:
            raise ValueError
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or ast.unparse(call.func) != "Genotype" or call.args:
            raise ValueError
        fields = {str(field.arg): field.value for field in call.keywords}
        if sorted(fields) != _FIELDS or len(call.keywords) != len(_FIELDS):
            raise ValueError
        return {
            name: ast.unparse(field) if name.endswith("concat") else ast.literal_eval(field)
            for name, field in fields.items()
        }
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as failure:
        raise _another_form(text) from failure


def _cell(kind: str, edges: object) -> Cell:
    if (
        not isinstance(edges, list)
        or len(edges) != 2 * len(NODES)
        or any(not isinstance(edge, tuple) or len(edge) != 2 for edge in edges)
    ):
        raise _another_form(f"{kind}={edges!r}")
    return tuple(
        _node(f"node {node} of the cell {kind!r}", node, edges[2 * place : 2 * place + 2])
        for place, node in enumerate(NODES)
    )


def _node(name: str, node: int, edges: list[Edge]) -> tuple[Edge, ...]:
    for operation, source in edges:
        if operation not in KEPT:
            raise UsageError(
                f"{name} has the operation {operation!r}; known: {', '.join(KEPT)}"
                f"{nearest(str(operation), KEPT)}"
            )
        if type(source) is not int or not 0 <= source < node:
            raise UsageError(
                f"{name} takes the input {source!r}; it has the inputs 0 to {node - 1}"
            )
    if edges[0][1] == edges[1][1]:
        raise UsageError(f"{name} takes the input {edges[0][1]} twice; give it two different ones")
    return tuple(sorted(edges, key=itemgetter(1)))


def _another_form(text: str) -> UsageError:
    return UsageError(f"{_cut(text)!r} is no genotype of DARTS; the form is {_FORM}")


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
