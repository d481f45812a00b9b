"""Profile: measure blocks, sampled networks and the user's models into a store."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from latbench.errors import MeasurementError
from latbench.profiling.process import Describer, Executor, LocalExecutor
from latbench.profiling.subjects import Subject, block_subjects, model_subject, network_subjects
from latbench.profiling.sweep import Instance, Sweep, SweepResult, in_turns
from latbench.runtimes import CompiledGraph
from latbench.spaces import SearchSpace
from latbench.spaces.input_shapes import Shapes
from latbench.store import Store
from latbench.store.rows import MeasurementRow
from latbench.target import Target
from latbench.timing import Protocol
from latbench.workflows.architectures import draw
from latbench.workflows.measured import REPEAT
from latbench.workflows.progress import Progress, Tick, silent
from latbench.workflows.side_by_side import add_speedups, column

MODEL_PROCESSES = 3
"""Processes that a user's model is timed in; subjects of a sweep have the protocol's."""


@dataclass
class Profiled:
    """What was measured.

    Attributes:
        targets: the targets, in the order they were given.
        measured: subjects measured now, over all targets.
        reused: subjects that the store held already.
        failed: ``{"workload", "runtime", "reason"}`` of each subject without a latency.
        rows: one row a subject and target, for people and for JSON.
        compiled: the compiled graph of each model and target, where they were asked for.
    """

    targets: list[Target]
    measured: int = 0
    reused: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    compiled: list[Compiled] = field(default_factory=list)

    def add(self, target: Target, subjects: Sequence[Subject], swept: SweepResult) -> None:
        """Take in what a sweep over ``subjects`` did on ``target``."""
        names = dict(zip(swept.jobs, (one.workload.name for one in subjects), strict=True))
        self.failed += [
            {"workload": names[job], "runtime": column(target.to_dict()), "reason": reason}
            for job, reason in swept.failed.items()
        ]
        self.measured += len(swept.measured)
        self.reused += len(swept.reused)


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
        shapes: whole shapes of inputs that models leave open beyond the batch, by name.
    """

    space: SearchSpace | None = None
    blocks: bool = False
    networks: int = 0
    repeats: int = 0
    models: Sequence[Path] = ()
    seed: int = 0
    kernels: bool = False
    shapes: Shapes = field(default_factory=dict)


Prepared = Mapping[int, Sequence[Subject]]
"""The subjects to measure, by batch."""


def prepare(wanted: Wanted, batches: Iterable[int], progress: Progress = silent) -> Prepared:
    """Return the subjects that ``wanted`` names, for each of ``batches``.

    Raises:
        UsageError: a model that cannot be read.
    """
    with progress("preparing the workloads") as tick:
        return {batch: _subjects(wanted, batch, tick) for batch in dict.fromkeys(batches)}


def profile(
    store: Store,
    targets: Sequence[tuple[Target, Instance]],
    wanted: Wanted,
    *,
    prepared: Prepared | None = None,
    protocol: Protocol | None = None,
    budget_s: float | None = None,
    retry_failed: bool = False,
    executor: Executor | None = None,
    describer: Describer | None = None,
    progress: Progress = silent,
) -> Profiled:
    """Measure what ``wanted`` names on every target, as far as the store lacks it.

    Targets take turns, so that what changes on the machine meanwhile hits all of them alike.

    Args:
        store: takes the measurements.
        targets: what to measure on, and where.
        wanted: what to measure.
        prepared: what :func:`prepare` made of it, if it was called before.
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
    if prepared is None:
        prepared = prepare(wanted, [target.batch for target, _ in targets], progress)
    result = Profiled([target for target, _ in targets])
    for campaign in ("main", REPEAT):
        chosen = [
            prepared[target.batch] if campaign == "main" else _again(prepared[target.batch], wanted)
            for target, _ in targets
        ]
        if not any(chosen):
            continue
        what = "measuring" if campaign == "main" else "measuring again"
        on = ", ".join(target.runtime for target, _ in targets)
        with progress(f"{what} {len(chosen[0])} subjects on {on}") as tick:
            left_s = None if deadline is None else deadline - time.monotonic()
            ticks = _summed(tick, len(targets))
            done = in_turns(
                [
                    Sweep(store, target, instance, protocol, campaign, executor, left_s, one).steps(
                        some, retry_failed
                    )
                    for (target, instance), some, one in zip(targets, chosen, ticks, strict=True)
                ]
            )
        for (target, _), some, swept in zip(targets, chosen, done, strict=True):
            result.add(target, some, swept)
            if campaign == "main":
                result.rows += _rows(store, target, some, swept.jobs)
    add_speedups(result.rows)
    if wanted.kernels:
        for target, _ in targets:
            with progress(f"asking {target.runtime} for its kernels") as tick:
                _tell_kernels(
                    result, target, prepared[target.batch], describer or LocalExecutor(), tick
                )
    return result


def _again(subjects: Sequence[Subject], wanted: Wanted) -> list[Subject]:
    return [one for one in subjects if one.kind == "network"][: wanted.repeats]


def _summed(tick: Tick, count: int) -> list[Tick]:
    """Return ``count`` ticks that together tell ``tick`` how far all of them are."""
    told = [(0, 0)] * count

    def of(place: int, done: int, total: int) -> None:
        told[place] = (done, total)
        tick(sum(done for done, _ in told), sum(total for _, total in told))

    return [partial(of, place) for place in range(count)]


def _subjects(wanted: Wanted, batch: int, tick: Tick) -> list[Subject]:
    makers: list[Callable[[], list[Subject]]] = [
        partial(lambda path: [model_subject(path, batch, wanted.shapes)], path)
        for path in wanted.models
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


def _tell_kernels(
    result: Profiled,
    target: Target,
    subjects: Sequence[Subject],
    describer: Describer,
    tick: Tick,
) -> None:
    """Take in the compiled graph of each model that could be timed on ``target``, or why not."""
    on = column(target.to_dict())
    timed = {
        row["workload"]: row["latency_ms"]
        for row in result.rows
        if column(row["target"]) == on and row["latency_ms"] is not None
    }
    # Why the others fail has been told once.
    models = [one.workload for one in subjects if one.kind == "model" and one.workload.id in timed]
    for done, workload in enumerate(models, start=1):
        try:
            graph = describer.describe(workload, target)
        except MeasurementError as failure:
            reason = {"workload": workload.name, "runtime": on, "reason": str(failure)}
            result.failed.append(reason)
        else:
            known_ms = timed[workload.id]
            result.compiled.append(Compiled(workload.id, workload.name, target, graph, known_ms))
        tick(done, len(models))


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
                    "options": dict(target.options),
                },
                "latency_ms": one.latency_ms if one else None,
                "low_ms": one.low_ms if one else None,
                "high_ms": one.high_ms if one else None,
                "p90_ms": one.p90_ms if one else None,
                "half_width": one.half_width if one else None,
                "status": one.status if one else "not measured",
                **_numerics(store, job),
                **({} if one is None else _run_times(one)),
            }
        )
    return rows


def _run_times(one: MeasurementRow) -> dict[str, Any]:
    """Return what a device told beside the latency: its own time, the launches', the whole's.

    ``hidden`` says whether the first of them is free of launches.
    """
    told = one.provenance.get("run_times", {})
    names = ("gpu_ms", "enqueue_ms", "e2e_ms", "enqueue_bound", "hidden")
    return {name: told[name] for name in names if name in told}


def _numerics(store: Store, job: str) -> dict[str, float]:
    """Return ``relative_l2``, how far the outputs of a job are from fp32, where that was looked at.

    It is the greatest of its processes.
    """
    told = [process.provenance.get("numerics", {}) for process in store.processes(job)]
    known = [numerics["relative_l2"] for numerics in told if "relative_l2" in numerics]
    return {"relative_l2": max(known)} if known else {}
