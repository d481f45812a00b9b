"""Inside one network: its kernels by block, beside the blocks' own latencies."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from latbench.errors import LatbenchError
from latbench.profiling.process import Describer, LocalExecutor
from latbench.reports import BlockInside, Inside
from latbench.runtimes import CompiledGraph
from latbench.runtimes.runtime import PROFILED_RUNS
from latbench.spaces.graph import Step
from latbench.workflows.compare import Compared
from latbench.workflows.setting import Setting

_STITCHED = re.compile(r"(?:^|:)b(\d+)\.")
_MODULE = re.compile(r"^blocks\.node(\d+)-")


def inside(
    compared: Compared, setting: Setting, describer: Describer | None = None
) -> Inside | str:
    """Return the network of the median ratio from inside, or a sentence why it is not known.

    Args:
        compared: true and accumulated latency of some networks.
        setting: the device and runtime they were measured on, which may not be here.
        describer: tells the compiled graph; a worker process on this machine by default.
    """
    measured = compared.measured
    try:
        target, _ = dataclasses.replace(setting, runtime=measured.target.runtime).here()
        if target != measured.target:
            return (
                f"The kernels of a network are not shown: they were measured on "
                f"{measured.target.label}, and here is {target.label}."
            )
        ratios = compared.accumulated_ms / measured.y
        chosen = int(np.argsort(ratios)[len(ratios) // 2])
        x = measured.X[chosen]
        workload = measured.space.network_workload(x, target.batch)
        graph = (describer or LocalExecutor()).describe(workload, target)
    except LatbenchError as failure:
        return f"The kernels of a network are not shown: {failure}."
    return _by_block(compared, chosen, graph)


def _by_block(compared: Compared, chosen: int, graph: CompiledGraph) -> Inside | str:
    measured = compared.measured
    if graph.sum_ms is None or graph.whole_ms is None:
        return "The kernels of a network are not shown: the runtime does not tell all their times."
    x = measured.X[chosen]
    plan = measured.space.graph.plan(x)
    placed = measured.space.placed(x[np.newaxis])[0]
    keys = [measured.space.blocks[placed[step.node]].key for step in plan]
    inside_ms = [0.0] * len(plan)
    kernels, shared = [0] * len(plan), [0] * len(plan)
    across, inserted = [], []
    for kernel in graph.kernels:
        steps = {_step(node, plan) for node in kernel.nodes}
        time_ms = kernel.time_ms or 0.0
        if len(steps) == 1 and (step := steps.pop()) is not None:
            inside_ms[step] += time_ms
            kernels[step] += 1
        elif not steps - {None}:
            inserted.append(time_ms)
        else:
            across.append(time_ms)
            for step in steps:
                if step is not None:
                    shared[step] += 1
    return Inside(
        arch=str(measured.networks["key"].iloc[chosen]),
        blocks=[
            BlockInside(
                place=step.name,
                block=key,
                alone_ms=measured.block_ms.get(key),
                inside_ms=inside_ms[number],
                kernels=kernels[number],
                shared=shared[number],
            )
            for number, (step, key) in enumerate(zip(plan, keys, strict=True))
        ],
        across_ms=sum(across),
        across=len(across),
        inserted_ms=sum(inserted),
        inserted=len(inserted),
        whole_ms=graph.whole_ms,
        true_ms=float(measured.y[chosen]),
        runs=PROFILED_RUNS,
    )


def _step(node: str, plan: Sequence[Step]) -> int | None:
    """Return the step of ``plan`` that the source node ``node`` belongs to, None if it is of none.

    Nodes of a stitched model begin with the number of their step, layers of a torch network with
    the position of their place.
    """
    stitched, module = _STITCHED.search(node), _MODULE.match(node)
    if stitched is not None:
        return int(stitched[1])
    if module is not None:
        positions = [step.node for step in plan]
        return positions.index(int(module[1]))
    return None
