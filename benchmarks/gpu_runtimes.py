"""One network under the runtimes and precisions that people choose between, in turns.

The rows and their order are those of the usual comparison: PyTorch as it comes, what makes it
faster step by step, and the engines that a network can be exported to.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.gpu_part import Check, Row, refused, unfinished
from latbench.errors import LatbenchError, UnavailableError
from latbench.profiling.process import LocalExecutor, Report, Task
from latbench.profiling.subjects import network_subjects
from latbench.profiling.sweep import Instance
from latbench.spaces import SearchSpace
from latbench.spaces.graph import IntArray
from latbench.target import Target
from latbench.workflows.profile import Profiled, Wanted, profile
from latbench.workflows.setting import Setting

_OPTION = "mb6k3"
"""The inverted residual of MobileNetV2: six times as wide inside, with a kernel of 3 × 3."""


@dataclass(frozen=True)
class _Way:
    """A way to run a network."""

    title: str
    runtime: str
    precision: str = "fp32"
    options: Mapping[str, str] = field(default_factory=dict)

    def here(self, device: str, batch: int) -> tuple[Target, Instance]:
        options = tuple(sorted(self.options.items()))
        return Setting(device, self.runtime, self.precision, options, batch).here()


_WAYS = (
    _Way("PyTorch FP32", "torch"),
    _Way("PyTorch AMP", "torch", "amp"),
    _Way("PyTorch AMP, compiled", "torch-compile", "amp"),
    _Way("PyTorch AMP, compiled, CUDA graph", "torch-compile", "amp", {"launch": "graph"}),
    _Way("ONNX Runtime FP32, CUDA", "onnxruntime-cuda"),
    _Way("ONNX Runtime FP32, TensorRT", "onnxruntime-tensorrt"),
    _Way("ONNX Runtime FP16, TensorRT", "onnxruntime-tensorrt", "fp16"),
    _Way("TensorRT FP32", "tensorrt"),
    _Way("TensorRT FP16", "tensorrt", "fp16"),
)


class _Blaming:
    """Runs tasks on this machine, and keeps the target of the one that could not be run."""

    def __init__(self) -> None:
        self._here = LocalExecutor()
        self.blamed: Target | None = None

    def run(self, task: Task, report: Report) -> str | None:
        try:
            return self._here.run(task, report)
        except UnavailableError:
            self.blamed = task.target
            raise


def rows(check: Check, before: Sequence[Row]) -> Iterator[Row]:
    """Yield a row for each way and batch; speed-ups are over PyTorch FP32 at the same batch.

    What an earlier call measured is in the store.
    """
    space = check.build_space()
    for batch in check.batches:
        yield from _side_by_side(check, space, batch)


def _side_by_side(check: Check, space: SearchSpace, batch: int) -> Iterator[Row]:
    here: dict[str, tuple[Target, Instance]] = {}
    for way in _WAYS:
        try:
            here[way.title] = way.here(check.device, batch)
        except LatbenchError as failure:
            yield refused(way.title, failure, batch=batch)
    start, budget_s = time.monotonic(), check.budget_s / len(check.batches)
    subjects = network_subjects(space, network(space)[np.newaxis], batch)
    found = Profiled([])
    while here:
        executor = _Blaming()
        try:
            with check.store() as store:
                found = profile(
                    store,
                    list(here.values()),
                    Wanted(space),
                    prepared={batch: subjects},
                    protocol=check.protocol,
                    budget_s=budget_s - (time.monotonic() - start),
                    executor=executor,
                )
            break
        except UnavailableError as failure:
            # Some tell only once they start that they do not work; the others need not wait.
            blamed = [title for title, (target, _) in here.items() if target == executor.blamed]
            if not blamed:
                raise
            for title in blamed:
                del here[title]
                yield refused(title, failure, batch=batch)
    if time.monotonic() - start > budget_s:
        yield unfinished("runtimes", batch=batch)
    for failed in found.failed:
        yield refused(failed["runtime"], failed["reason"], batch=batch)
    for title, row in zip(here, found.rows, strict=True):
        if row["latency_ms"] is not None:
            yield {"way": title, **(row if _WAYS[0].title in here else _plain(row))}


def _plain(row: Mapping[str, Any]) -> Row:
    """Return ``row`` without speed-ups, which would be over another runtime than PyTorch."""
    return {key: value for key, value in row.items() if not key.startswith("speedup")}


def network(space: SearchSpace) -> IntArray:
    """Return the architecture of MobileNetV2's blocks, (choices,); else of each first option."""
    return np.array(
        [one.options.index(_OPTION) if _OPTION in one.options else 0 for one in space.choices]
    )
