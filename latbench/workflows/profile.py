"""Profile: measure blocks, sampled networks and the user's models into a store."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from latbench.errors import MeasurementError
from latbench.profiling.process import Describer, Executor, LocalExecutor
from latbench.profiling.subjects import Subject, block_subjects, model_subject, network_subjects
from latbench.profiling.sweep import Instance, Sweep
from latbench.runtimes import CompiledGraph
from latbench.spaces import SearchSpace
from latbench.store import Store
from latbench.target import Target
from latbench.timing import Protocol
from latbench.workflows.architectures import draw
from latbench.workflows.measured import REPEAT
from latbench.workflows.progress import Progress, Tick, silent

MODEL_PROCESSES = 3
"""Processes that a user's model is timed in; subjects of a sweep have the protocol's."""


@dataclass(frozen=True)
class Profiled:
    """What was measured.

    Attributes:
        targets: the targets, in the order they were given.
        measured: subjects measured now, over all targets.
        reused: subjects that the store held already.
        failed: ``{"workload", "reason"}`` of each subject without a latency.
        rows: one row a subject and target, for people and for JSON.
        compiled: the compiled graph of each model and target, where they were asked for.
    """

    targets: list[Target]
    measured: int
    reused: int
    failed: list[dict[str, str]]
    rows: list[dict[str, Any]]
    compiled: list[Compiled] = field(default_factory=list)


@dataclass(frozen=True)
class Compiled:
    """What a runtime made of a model.

    Attributes:
        workload: the workload's id.
        name: of the file.
        target: what it was compiled for.
        graph: its kernels, from runs in a session of their own.
        latency_ms: the timed latency beside which the kernels stand; None if that failed.
    """

    workload: str
    name: str
    target: Target
    graph: CompiledGraph
    latency_ms: float | None

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a kernel for JSON."""
        return [
            {
                "workload": self.workload,
                "runtime": self.target.runtime,
                **kernel,
                "inserted": not kernel["nodes"],
            }
            for kernel in self.graph.to_dict()["kernels"]
        ]


@dataclass(frozen=True)
class Wanted:
    """What to measure.

    Attributes:
        space: where blocks and networks come from; None to measure models alone.
        blocks: whether to measure every block.
        networks: how many networks to draw.
        repeats: how many of them to measure a second time, to tell the noise.
        models: ONNX files.
        seed: of the draw.
        kernels: whether to ask for the compiled graph of each model.
    """

    space: SearchSpace | None = None
    blocks: bool = False
    networks: int = 0
    repeats: int = 0
    models: Sequence[Path] = ()
    seed: int = 0
    kernels: bool = False


def profile(
    store: Store,
    targets: Sequence[tuple[Target, Instance]],
    wanted: Wanted,
    *,
    protocol: Protocol | None = None,
    budget_s: float | None = None,
    retry_failed: bool = False,
    executor: Executor | None = None,
    describer: Describer | None = None,
    progress: Progress = silent,
) -> Profiled:
    """Measure what ``wanted`` names on every target, as far as the store lacks it.

    Args:
        store: takes the measurements.
        targets: what to measure on, and where.
        wanted: what to measure.
        protocol: how to time.
        budget_s: no group of subjects begins after this many seconds.
        retry_failed: measure those again that failed before.
        executor: runs the worker processes.
        describer: tells the compiled graphs; a worker process on this machine by default.
        progress: shows how far it is.

    Raises:
        UsageError: a model that cannot be read.
        StoreError: the store cannot be written.
    """
    protocol = protocol or Protocol.standard()
    if wanted.space is None:
        # A model alone is judged by itself, so its processes have to tell how far they differ.
        protocol = dataclasses.replace(protocol, processes=MODEL_PROCESSES)
    deadline = None if budget_s is None else time.monotonic() + budget_s
    measured, reused = 0, 0
    failed: list[dict[str, str]] = []
    rows: list[dict[str, Any]] = []
    compiled: list[Compiled] = []
    for target, instance in targets:
        with progress("preparing the workloads") as tick:
            subjects = _subjects(wanted, target.batch, tick)
        again = [one for one in subjects if one.kind == "network"][: wanted.repeats]
        for campaign, chosen in (("main", subjects), (REPEAT, again)):
            if not chosen:
                continue
            what = "measuring" if campaign == "main" else "measuring again"
            with progress(f"{what} {len(chosen)} subjects on {target.runtime}") as tick:
                sweep = Sweep(
                    store,
                    target,
                    instance,
                    protocol,
                    campaign,
                    executor,
                    None if deadline is None else deadline - time.monotonic(),
                    tick,
                )
                result = sweep.run(chosen, retry_failed)
            names = dict(zip(result.jobs, (one.workload.name for one in chosen), strict=True))
            failed += [
                {"workload": names[job], "reason": reason} for job, reason in result.failed.items()
            ]
            measured += len(result.measured)
            reused += len(result.reused)
            if campaign == "main":
                rows += _rows(store, target, chosen, result.jobs)
        if wanted.kernels:
            with progress(f"asking {target.runtime} for its kernels") as tick:
                here = rows[-len(subjects) :]
                latency_ms = {row["workload"]: row["latency_ms"] for row in here}
                told = _compiled(subjects, target, latency_ms, describer or LocalExecutor(), tick)
            for subject, found in told:
                if isinstance(found, str):
                    failed.append({"workload": subject.workload.name, "reason": found})
                else:
                    compiled.append(found)
    return Profiled([target for target, _ in targets], measured, reused, failed, rows, compiled)


def _subjects(wanted: Wanted, batch: int, tick: Tick) -> list[Subject]:
    makers: list[Callable[[], list[Subject]]] = [
        partial(lambda path: [model_subject(path, batch)], path) for path in wanted.models
    ]
    space = wanted.space
    if space is not None:
        blocks = space.blocks if wanted.blocks else ()
        makers += [partial(block_subjects, space, batch, [block]) for block in blocks]
        X = draw(space, wanted.networks, wanted.seed)
        makers += [partial(network_subjects, space, x[np.newaxis], batch) for x in X]
    subjects: list[Subject] = []
    for done, make in enumerate(makers, start=1):
        subjects += make()
        tick(done, len(makers))
    return subjects


def _compiled(
    subjects: Sequence[Subject],
    target: Target,
    latency_ms: Mapping[str, float | None],
    describer: Describer,
    tick: Tick,
) -> list[tuple[Subject, Compiled | str]]:
    """Return the compiled graph of each model that could be timed, or why there is none."""
    models = [one for one in subjects if one.kind == "model"]
    # Why the others fail has been told once.
    models = [one for one in models if latency_ms.get(one.workload.id) is not None]
    told: list[tuple[Subject, Compiled | str]] = []
    for done, one in enumerate(models, start=1):
        workload = one.workload
        try:
            graph = describer.describe(workload, target)
        except MeasurementError as failure:
            told.append((one, str(failure)))
        else:
            known_ms = latency_ms[workload.id]
            told.append((one, Compiled(workload.id, workload.name, target, graph, known_ms)))
        tick(done, len(models))
    return told


def _rows(
    store: Store, target: Target, subjects: Sequence[Subject], jobs: Sequence[str]
) -> list[dict[str, Any]]:
    rows = []
    for subject, job in zip(subjects, jobs, strict=True):
        one = store.measurement(job)
        rows.append(
            {
                "workload": subject.workload.id,
                "name": subject.key,
                "kind": subject.kind,
                "arch": subject.key if subject.kind == "network" else None,
                "target": {
                    "device": target.device,
                    "runtime": target.runtime,
                    "precision": target.precision,
                    "batch": target.batch,
                    "threads": target.threads,
                },
                "latency_ms": one.latency_ms if one else None,
                "low_ms": one.low_ms if one else None,
                "high_ms": one.high_ms if one else None,
                "p90_ms": one.p90_ms if one else None,
                "half_width": one.half_width if one else None,
                "status": one.status if one else "not measured",
            }
        )
    return rows
