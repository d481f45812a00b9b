"""Torch networks of a space: one architecture, or the supernet with every candidate."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from latbench.spaces.entanglement import entangle, own_state
from latbench.spaces.graph import INPUT, IntArray, Step
from latbench.spaces.mixing import MixedNetwork, Mixture, Options, slot

if TYPE_CHECKING:
    from latbench.spaces.space import SearchSpace


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Initialise modules from ``seed`` inside, and leave torch's generators as they were."""
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reseed every GPU too.
        torch.default_generator.manual_seed(seed)
        yield


class _PathNetwork(nn.Module):
    """Modules by node and option, and the walk along one path through them."""

    def __init__(self, space: SearchSpace, slots: Iterable[tuple[int, int]], seed: int) -> None:
        super().__init__()
        self.space = space
        with drawn_from(seed):
            self.blocks = nn.ModuleDict(
                {
                    slot(node, option): space.graph.nodes[node]
                    .candidates[option]
                    .operation.module()
                    for node, option in slots
                }
            )

    def module_of(self, step: Step) -> nn.Module:
        """Return the module that runs ``step``."""
        return self.blocks[slot(step.node, step.option)]

    def walk(self, plan: list[Step], images: Tensor) -> Tensor:
        """Run ``plan`` on ``images`` (n, channels, height, width); return logits (n, classes)."""
        values: dict[str, Tensor] = {INPUT: images}
        for step in plan:
            inputs = [
                images.new_zeros((len(images), *shape)) if name is None else values[name]
                for name, shape in zip(step.inputs, step.input_shapes, strict=True)
            ]
            values[step.name] = self.module_of(step)(*inputs)
        return values[plan[-1].name]


class ArchitectureNetwork(_PathNetwork):
    """One architecture, pruned: only what runs has weights."""

    def __init__(self, space: SearchSpace, x: IntArray, seed: int) -> None:
        """Build the architecture ``x`` (choices,) of ``space`` with weights drawn from ``seed``."""
        self.plan = space.graph.plan(x)
        super().__init__(space, [(step.node, step.option) for step in self.plan], seed)
        self.x = x

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (n, classes) of images (n, channels, height, width)."""
        return self.walk(self.plan, images)


class Supernet(_PathNetwork, MixedNetwork):
    """Every candidate of every place, with weights that all architectures share.

    Candidates of one place that are of one family share theirs among each other, too; see
    :mod:`latbench.spaces.entanglement`.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        """Build all candidates of ``space`` with weights drawn from ``seed``."""
        slots = [
            (number, option)
            for number, node in enumerate(space.graph.nodes)
            for option, candidate in enumerate(node.candidates)
            if not (candidate.operation.is_zero or candidate.operation.passes_through)
        ]
        super().__init__(space, slots, seed)
        with drawn_from(seed):
            for members in _families(space, slots):
                entangle([self.blocks[slot(*member)] for member in members])
        self._plan = lru_cache(maxsize=4096)(self._plan_of)

    def _plan_of(self, key: bytes) -> list[Step]:
        return self.space.graph.plan(np.frombuffer(key, dtype=np.int64))

    def forward(self, images: Tensor, x: npt.ArrayLike) -> Tensor:
        """Return the logits (n, classes) along the path of the architecture ``x`` (choices,).

        Images may have any size that the strides allow, not only the space's.
        """
        row = self.space.one(x)
        return self.walk(self._plan(row.tobytes()), images)

    def mixed(
        self,
        images: Tensor,
        weights: Sequence[Tensor],
        running: Options | None = None,
        learning: Options | None = None,
    ) -> Tensor:
        """See :class:`~latbench.spaces.mixing.MixedNetwork`; images may have other sizes here."""
        return Mixture(self.space.graph, self.blocks, weights, running, learning).run(images)

    def state_of(self, x: npt.ArrayLike) -> dict[str, Tensor]:
        """Return the weights along the path of ``x`` (choices,), for ``space.network(x)`` to load.

        Batch-norm statistics are those of many paths: gather them anew before evaluating.
        """
        names = [slot(step.node, step.option) for step in self.space.graph.plan(self.space.one(x))]
        return {
            f"blocks.{block}.{name}": value
            for block in names
            for name, value in own_state(self.blocks[block]).items()
        }


def _families(space: SearchSpace, slots: Iterable[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Return the slots whose candidates share weights, family by family."""
    found: dict[Hashable, list[tuple[int, int]]] = {}
    for node, option in slots:
        family = space.graph.nodes[node].candidates[option].operation.family
        if family is not None:
            found.setdefault((node, family), []).append((node, option))
    return [members for members in found.values() if len(members) > 1]
