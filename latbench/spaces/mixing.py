"""The mixed forward of a supernet: each place gives a weighted sum of its candidates.

With one distribution a choice it is the relaxation of DARTS (Liu et al., arXiv 1806.09055, eq. 2),
with one-hot weights it is one path, and with candidates that run without learning it gives the
gradient of ProxylessNAS's binary gates (Cai et al., arXiv 1812.00332, eq. 4), which is the inner
product of each candidate's output with the gradient of the sum.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from latbench.spaces.graph import INPUT, Candidate, Node, StaticGraph

if TYPE_CHECKING:
    from latbench.spaces.space import SearchSpace

Options = Sequence[Collection[int]]
"""Some options of each choice."""


class MixedNetwork(nn.Module, ABC):
    """A network with every candidate, which a one-shot search trains.

    Attributes:
        space: of its architectures.
    """

    space: SearchSpace

    @abstractmethod
    def forward(self, images: Tensor, x: npt.ArrayLike) -> Tensor:
        """Return the logits (n, classes) along the path of the architecture ``x`` (choices,)."""

    @abstractmethod
    def mixed(
        self,
        images: Tensor,
        weights: Sequence[Tensor],
        running: Options | None = None,
        learning: Options | None = None,
    ) -> Tensor:
        """Return the logits (n, classes) where places give weighted sums of their candidates.

        Args:
            images: (n, channels, height, width).
            weights: one tensor a choice, (options,) or (n, options); not necessarily a
                distribution.
            running: options that run, all by default; what does not run adds nothing and has no
                gradient, whatever its weight.
            learning: options whose own weights learn, all by default. The others run without
                gradient and leave batch-norm statistics as they are; only their weight in the sum
                has a gradient.
        """


class Mixture:
    """One mixed forward through the modules of a graph."""

    def __init__(
        self,
        graph: StaticGraph,
        modules: nn.ModuleDict,
        weights: Sequence[Tensor],
        running: Options | None,
        learning: Options | None,
    ) -> None:
        """Bind the graph, its modules by :func:`slot`, and the arguments of the forward."""
        self._graph = graph
        self._modules = modules
        self._weights = [given.unbind(-1) for given in weights]
        self._running = running
        self._learning = learning
        self._values: dict[str, Tensor | None] = {}

    def run(self, images: Tensor) -> Tensor:
        """Return the logits (n, classes) of ``images``."""
        self._values = {INPUT: images}
        for number, node in enumerate(self._graph.nodes):
            self._values[node.name] = self._value(number, node)
        logits = self._values[self._graph.output]
        if logits is not None:
            return logits
        # Nothing alive reaches the output, which then runs on zeros, as in a single path.
        last = self._graph.nodes[-1]
        (candidate,) = last.candidates
        zeros = [
            images.new_zeros((len(images), *shape)) for shape in self._graph.input_shapes(candidate)
        ]
        return self._apply(len(self._graph.nodes) - 1, 0, zeros)

    def _value(self, number: int, node: Node) -> Tensor | None:
        """Return what a place gives; None for nothing at all, which is zero."""
        if node.choice is None:
            return self._output(number, 0, node.candidates[0])
        total: Tensor | None = None
        passing: dict[str, Tensor] = {}
        for option, candidate in enumerate(node.candidates):
            if candidate.operation.is_zero or not _among(self._running, node.choice, option):
                continue
            weight = self._weights[node.choice][option]
            if candidate.operation.passes_through:
                # What several options pass through is multiplied once, by all of their weights.
                (name,) = candidate.inputs
                passing[name] = passing[name] + weight if name in passing else weight
                continue
            if _among(self._learning, node.choice, option):
                output = self._output(number, option, candidate)
            else:
                with torch.no_grad(), untracked(self._modules[slot(number, option)]):
                    output = self._output(number, option, candidate)
            total = _plus(total, output, weight)
        for name, weight in passing.items():
            total = _plus(total, self._values[name], weight)
        return total

    def _output(self, number: int, option: int, candidate: Candidate) -> Tensor | None:
        values = [self._values[name] for name in candidate.inputs]
        present = [value for value in values if value is not None]
        if candidate.operation.joins:
            if len(present) < 2:
                return present[0] if present else None
            return self._apply(number, option, present)
        if len(present) < len(values):
            return None
        return self._apply(number, option, present)

    def _apply(self, number: int, option: int, inputs: Sequence[Tensor]) -> Tensor:
        output: Tensor = self._modules[slot(number, option)](*inputs)
        return output


def slot(node: int, option: int) -> str:
    """Return the name of the module of a node's option."""
    return f"node{node}-option{option}"


@contextmanager
def untracked(module: nn.Module) -> Iterator[None]:
    """Leave the running statistics of ``module`` as they are inside."""
    norms = [one for one in module.modules() if isinstance(one, _BatchNorm)]
    tracked = [one.track_running_stats for one in norms]
    try:
        for norm in norms:
            norm.track_running_stats = False
        yield
    finally:
        for norm, was in zip(norms, tracked, strict=True):
            norm.track_running_stats = was


def _among(options: Options | None, choice: int, option: int) -> bool:
    return options is None or option in options[choice]


def _plus(total: Tensor | None, value: Tensor | None, weight: Tensor) -> Tensor | None:
    if value is None:
        return total
    if weight.ndim:
        weight = weight.reshape(-1, *(1,) * (value.ndim - 1))
    return value * weight if total is None else torch.addcmul(total, value, weight)
