"""The mixed forward of a supernet: each place gives a weighted sum of its candidates.

With one distribution a choice it is the relaxation of DARTS (Liu et al., arXiv 1806.09055, eq. 2),
with one-hot weights it is one path, and with candidates that run without learning it gives the
gradient of ProxylessNAS's binary gates (Cai et al., arXiv 1812.00332, eq. 4), which is the inner
product of each candidate's output with the gradient of the sum.

Weights of exactly zero can cut an operation off, as ``none`` does along a path. Then it gives
nothing, whatever it would make of zeros with a shift that it has learned.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from latbench.spaces.graph import INPUT, BoolArray, Candidate, Node, StaticGraph

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

        An operation that nothing reaches, or only what has a weight of zero, gives nothing, as
        along a path. If it has weights of its own, no gradient passes it there; and where nothing
        reaches it for any image, it does not run.

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
        self._fed = _fed(graph, weights, running)
        self._values: dict[str, Tensor | None] = {}

    def run(self, images: Tensor) -> Tensor:
        """Return the logits (n, classes) of ``images``."""
        self._images = images
        self._values = {INPUT: images}
        for number, node in enumerate(self._graph.nodes):
            self._values[node.name] = self._value(number, node)
        logits = self._values[self._graph.output]
        assert logits is not None  # it runs in any case
        return logits

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
        if number == len(self._graph.nodes) - 1:
            # The output runs in any case, on zeros if it must, as in a single path.
            return self._apply(number, option, self._or_zeros(values, candidate))
        present = [value for value in values if value is not None]
        if candidate.operation.joins:
            if len(present) < 2:
                return present[0] if present else None
            return self._apply(number, option, present)
        fed = self._where_fed(candidate)
        if len(present) < len(values) or (fed is not None and not fed.any()):
            return None
        output = self._apply(number, option, present)
        if fed is None or fed.all():
            return output
        return output * _by_image(torch.from_numpy(fed).to(output), output)

    def _where_fed(self, candidate: Candidate) -> BoolArray | None:
        """Return which images feed a candidate, () or (n,); None where it makes no difference."""
        # Without weights it makes nothing of nothing, and gates before it have a slope through it.
        if self._fed is None or (candidate.operation.params() == 0 and len(candidate.inputs) == 1):
            return None
        return _reached(candidate, self._fed)

    def _or_zeros(self, values: Sequence[Tensor | None], candidate: Candidate) -> list[Tensor]:
        shapes = self._graph.input_shapes(candidate)
        return [
            self._images.new_zeros((len(self._images), *shape)) if value is None else value
            for value, shape in zip(values, shapes, strict=True)
        ]

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


def _fed(
    graph: StaticGraph, weights: Sequence[Tensor], running: Options | None
) -> dict[str, BoolArray] | None:
    """Return where anything reaches the values, by name: (), or (n,) if images have own weights.

    None where all that runs is reached.
    """
    # One look at all weights, because a GPU is waited for.
    if not graph.prunes or bool(torch.cat([given.flatten() for given in weights]).all()):
        return None
    taken = [given.ne(0).cpu().numpy() for given in weights]
    each = np.broadcast_shapes(*(given.shape[:-1] for given in taken))
    fed: dict[str, BoolArray] = {INPUT: np.ones(each, dtype=np.bool_)}
    for node in graph.nodes:
        found = np.zeros(each, dtype=np.bool_)
        for option, candidate in enumerate(node.candidates):
            if candidate.operation.is_zero:
                continue
            if node.choice is None:
                found |= _reached(candidate, fed)
            elif _among(running, node.choice, option):
                found |= taken[node.choice][..., option] & _reached(candidate, fed)
        fed[node.name] = found
    return fed


def _reached(candidate: Candidate, fed: dict[str, BoolArray]) -> BoolArray:
    combine = np.logical_or if candidate.operation.joins else np.logical_and
    reached: BoolArray = combine.reduce([fed[name] for name in candidate.inputs], axis=0)
    return reached


def _plus(total: Tensor | None, value: Tensor | None, weight: Tensor) -> Tensor | None:
    if value is None:
        return total
    if weight.ndim:
        weight = _by_image(weight, value)
    return value * weight if total is None else torch.addcmul(total, value, weight)


def _by_image(factors: Tensor, value: Tensor) -> Tensor:
    """Return ``factors`` (n,) in a form that multiplies ``value`` (n, ...)."""
    return factors.reshape(-1, *(1,) * (value.ndim - 1))
