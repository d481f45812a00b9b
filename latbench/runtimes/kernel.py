"""The compiled graph: which kernels a runtime made of a model's nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from latbench.errors import MeasurementError


@dataclass(frozen=True)
class Kernel:
    """One unit that a runtime executes.

    Attributes:
        name: the runtime's name of it.
        kind: what it computes, in the runtime's words, such as ``Conv`` or ``ReorderInput``.
        nodes: names of the source nodes it computes; empty for one that the runtime inserted.
        time_ms: typical time a run, where the runtime tells, from runs that are profiled and
            therefore slower than timed ones: the median, or the mean from a runtime that gives
            no more (OpenVINO).
        precision: the precision it computes in, where the runtime tells.
    """

    name: str
    kind: str
    nodes: tuple[str, ...]
    time_ms: float | None = None
    precision: str | None = None

    @property
    def inserted(self) -> bool:
        """Whether the runtime added it: no node of the model asked for it."""
        return not self.nodes


@dataclass(frozen=True)
class CompiledGraph:
    """Every kernel of a compiled model.

    Attributes:
        kernels: in the order of execution.
        folded: source nodes that nothing executes, because they were computed when compiling.
        whole_ms: time of a profiled run as a whole, the same kind of average, where there are
            times; above the sum of the kernels by what happens between them.
    """

    kernels: tuple[Kernel, ...]
    folded: tuple[str, ...] = ()
    whole_ms: float | None = None

    @property
    def sum_ms(self) -> float | None:
        """Sum of the kernels' times, None unless each of them is known."""
        times_ms = [kernel.time_ms for kernel in self.kernels]
        known = [time_ms for time_ms in times_ms if time_ms is not None]
        return sum(known) if known and len(known) == len(times_ms) else None

    def to_dict(self) -> dict[str, Any]:
        """Return the graph as what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> CompiledGraph:
        """Return the graph that :meth:`to_dict` wrote."""
        kernels = (
            Kernel(**{**kernel, "nodes": tuple(kernel["nodes"])}) for kernel in document["kernels"]
        )
        return cls(tuple(kernels), tuple(document["folded"]), document["whole_ms"])

    def check(self, nodes: Iterable[str], exactly_once: bool = False) -> CompiledGraph:
        """Return self if it accounts for every source node.

        Args:
            nodes: names of the model's nodes.
            exactly_once: whether a node may stand in one kernel only.

        Raises:
            MeasurementError: a node is lost, is both run and folded, stands in two kernels, or
                is none of the model's; the text names it.
        """
        known = list(nodes)
        counts = dict.fromkeys(known, 0)
        for name in [*self.folded, *(node for kernel in self.kernels for node in kernel.nodes)]:
            if name not in counts:
                raise MeasurementError(
                    f"the compiled graph holds {name!r}, which no node is called"
                )
            counts[name] += 1
        lost = [name for name in known if counts[name] == 0]
        if lost:
            raise MeasurementError(f"no kernel tells that it computes {', '.join(lost[:5])}")
        folded = set(self.folded)
        twice = [name for name in known if counts[name] > 1 and (exactly_once or name in folded)]
        if twice:
            raise MeasurementError(f"more than one kernel computes {', '.join(twice[:5])}")
        return self
