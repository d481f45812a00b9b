"""NASFLAT's tasks: other sources and targets (Akhauri and Abdelfattah, MLSys 2024, 2403.02446).

As published, the score of a task is the mean of Spearman's correlation over its targets, over the
whole table. Unlike there, networks that were measured on the target are left out of the score.
Source devices and labels of each task: abdelfattah-lab/nasflat_latency, commit 8292434.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from latbench.errors import UsageError
from latbench.spaces import FloatArray, IntArray
from latbench.workflows.protocols import methods, public_tables
from latbench.workflows.protocols.help_tables import BASELINES, TRANSFERS
from latbench.workflows.protocols.help_tables import FBNET as HELP_TABLE_2
from latbench.workflows.protocols.help_tables import NB201 as HELP_TABLE_3
from latbench.workflows.protocols.methods import Known, Model, scores
from latbench.workflows.protocols.public_tables import Latencies, PublicTable
from latbench.workflows.protocols.rows import Request, Row, Scores, ours

LABELS = (20,)
OURS = {**BASELINES, **methods.registered("ridge"), **TRANSFERS}
"""Our methods by name."""


@dataclass(frozen=True)
class Task:
    """Source and target devices, columns of a table."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Suite:
    """Tasks on one table.

    Attributes:
        public: the table of latencies.
        tasks: the tasks by name.
        source_labels: networks labelled on every source device.
        published: method -> score of each task, in their order.
    """

    public: PublicTable
    tasks: Mapping[str, Task]
    source_labels: int
    published: Mapping[str, tuple[float, ...]]


_GPUS = ("1080ti", "2080ti", "titan_rtx", "titanx", "titanxp")

FBNET = Suite(
    public=public_tables.HELP_FBNET,
    tasks={
        "FD": Task(HELP_TABLE_2.sources, ("fpga", "raspi4", "eyeriss")),
        "FA": Task(
            tuple(f"{gpu}_{batch}" for gpu in _GPUS for batch in (1, 32, 64)),
            ("gold_6226", "essential_ph_1", "samsung_s7", "pixel2"),
        ),
        "F1": Task(
            ("2080ti_1", "essential_ph_1", "silver_4114", "titan_rtx_1", "titan_rtx_32"),
            ("eyeriss", "fpga", "raspi4", "samsung_a50", "samsung_s7"),
        ),
        "F2": Task(
            ("essential_ph_1", "gold_6226", "gold_6240", "pixel3", "raspi4"),
            ("1080ti_1", "1080ti_32", "2080ti_32", "titan_rtx_1", "titanxp_1"),
        ),
        "F3": Task(
            ("essential_ph_1", "pixel2", "pixel3", "raspi4", "samsung_s7"),
            ("1080ti_1", "1080ti_32", "2080ti_1", "titan_rtx_1", "titan_rtx_32"),
        ),
        "F4": Task(
            (
                "1080ti_64",
                "2080ti_1",
                "eyeriss",
                "gold_6226",
                "gold_6240",
                "raspi4",
                "samsung_s7",
                "silver_4210r",
                "titan_rtx_1",
                "titan_rtx_32",
            ),
            ("1080ti_1", "pixel2", "essential_ph_1"),
        ),
    },
    source_labels=800,
    published={
        "HELP": (0.910, 0.370, 0.793, 0.543, 0.413, 0.799),
        "MultiPredict": (0.960, 0.450, 0.756, 0.567, 0.434, 0.763),
        "NASFLAT": (0.961, 0.577, 0.809, 0.871, 0.814, 0.734),
    },
)

NB201 = Suite(
    public=public_tables.HELP_NB201,
    tasks={"ND": Task(HELP_TABLE_3.sources, HELP_TABLE_3.devices)},
    source_labels=512,
    published={"HELP": (0.948,), "MultiPredict": (0.930,), "NASFLAT": (0.959,)},
)


def rows(suite: Suite, request: Request) -> list[Row]:
    """Return the published rows of ``suite``, then ours.

    Raises:
        UsageError: more labels than the table has networks, or the data is not there or not what
            it should be.
    """
    labels = request.labels or LABELS
    for count in labels:
        if not 3 <= count < suite.public.networks:
            raise UsageError(
                f"{count} labels: this protocol takes 3 to {suite.public.networks - 1}"
            )
    devices = dict.fromkeys(
        name for task in suite.tasks.values() for name in (*task.sources, *task.targets)
    )
    read = public_tables.load(suite.public, request.data, list(devices), suite.public.networks)
    found = [
        Row(
            method=method,
            labels=LABELS[0],
            trimmed=False,
            scores=dict(zip(suite.tasks, told, strict=True)),
            mean=sum(told) / len(told),
            source="Akhauri and Abdelfattah, MLSys 2024",
        )
        for method, told in suite.published.items()
    ]
    draws: dict[tuple[str, int], list[dict[str, Scores]]] = {
        (method, count): [] for method in OURS for count in labels
    }
    for done, seed in enumerate(request.draws, start=1):
        for (method, count), scored in _draw(suite, read, labels, seed).items():
            draws[method, count].append(scored)
        request.report(done, request.seeds)
    for (method, count), scored_draws in draws.items():
        found += ours(method, count, False, scored_draws)
    return found


def _draw(
    suite: Suite, read: Latencies, labels: Sequence[int], seed: int
) -> dict[tuple[str, int], dict[str, Scores]]:
    """Return the scores by method and labels, then by task, for one draw."""
    found: dict[tuple[str, int], dict[str, Scores]] = {}
    every = np.arange(len(read.X))
    for number, (name, task) in enumerate(suite.tasks.items()):
        labelled = np.random.default_rng([seed, number]).choice(
            every, suite.source_labels, replace=False
        )
        known = Known(read.space, read.X, {one: read.y[one] for one in task.sources}, labelled)
        for method, build in OURS.items():
            model = build(known)
            for count in labels:
                by_device = [
                    _scored(model, read.y[device], every, count, [seed, number, place])
                    for place, device in enumerate(task.targets)
                ]
                found.setdefault((method, count), {})[name] = _mean(by_device)
    return found


def _scored(model: Model, y: FloatArray, every: IntArray, labels: int, seed: list[int]) -> Scores:
    drawn = model.choose(every, labels, np.random.default_rng(seed))
    queries = np.setdiff1d(every, drawn)
    return scores(y[queries], model.predict(drawn, y[drawn], queries))


def _mean(by_device: list[Scores]) -> Scores:
    """Return the mean of each score over devices; None where a device has none."""
    means: dict[str, float | None] = {}
    for score in by_device[0]:
        values = [one[score] for one in by_device]
        told = [value for value in values if value is not None]
        means[score] = sum(told) / len(told) if len(told) == len(values) else None
    return means
