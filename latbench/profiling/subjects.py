"""What a sweep measures: workloads, and the blocks or architectures that they stand for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from latbench.spaces.blocks import Block
from latbench.spaces.graph import IntArray
from latbench.spaces.input_shapes import NO_SHAPES, Shapes
from latbench.spaces.mobilenet import MobileNetSpace
from latbench.spaces.onnx_file import workload_from_file
from latbench.spaces.space import SearchSpace
from latbench.spaces.workload import Workload
from latbench.store.rows import SubjectRow


@dataclass(frozen=True)
class Subject:
    """A workload, and what it stands for where it belongs to a space.

    Attributes:
        workload: what is compiled and timed.
        kind: ``block``, ``network``, or ``model`` for a file of the user's.
        space: the space's id; empty for a model.
        key: the block's key, or the architecture in short text; a model's file name.
        arch_hash: the architecture's hash, for networks.
        batch: images a run.
    """

    workload: Workload
    kind: Literal["block", "network", "model"]
    space: str
    key: str
    arch_hash: str | None = None
    batch: int = 1

    def row(self) -> SubjectRow | None:
        """Return the row that associates it with its workload; None for a model."""
        if self.kind == "model":
            return None
        return SubjectRow(
            self.space, self.kind, self.key, self.workload.id, self.batch, self.arch_hash
        )


def block_subjects(
    space: SearchSpace, batch: int = 1, blocks: Iterable[Block] | None = None
) -> list[Subject]:
    """Return the blocks of ``space``, all of them unless some are given."""
    chosen = space.blocks if blocks is None else blocks
    return [
        Subject(space.block_workload(block, batch), "block", space.id, block.key, None, batch)
        for block in chosen
    ]


def network_subjects(space: SearchSpace, X: IntArray, batch: int = 1) -> list[Subject]:
    """Return whole networks, one for each architecture of ``X`` (n, choices)."""
    return [
        Subject(
            space.network_workload(x, batch),
            "network",
            space.id,
            space.decode(x),
            space.hash(x),
            batch,
        )
        for x in X
    ]


def model_subject(path: Path, batch: int = 1, shapes: Shapes = NO_SHAPES) -> Subject:
    """Return the user's ONNX file ``path``, with the ``shapes`` of inputs that it leaves open."""
    workload = workload_from_file(path, batch, shapes)
    return Subject(workload, "model", "", path.name, None, batch)


@lru_cache(maxsize=1)
def sentinel() -> Workload:
    """Return the fixed workload by which drift is told: one inverted residual of about 1 ms."""
    space = MobileNetSpace()
    block = next(block for block in space.blocks if block.key.startswith("mb-e6-k3-s1-c24-24"))
    return space.block_workload(block)
