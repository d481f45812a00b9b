"""Compare: the measured latency of whole networks against the sum of their blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.errors import MissingMeasurementsError
from latbench.prediction import metrics
from latbench.spaces import IntArray, SearchSpace
from latbench.store import ReadableStore, Store
from latbench.target import Target
from latbench.timing import Protocol
from latbench.workflows.fit import fit_held_out
from latbench.workflows.measured import Measured, measured
from latbench.workflows.profile import Wanted, profile
from latbench.workflows.progress import Progress, silent
from latbench.workflows.setting import Setting

FloatArray = npt.NDArray[np.float64]

FEWEST_NETWORKS = 2


@dataclass(frozen=True, eq=False)
class Compared:
    """True against accumulated latency.

    Attributes:
        measured: where the numbers come from.
        accumulated_ms: the sum of the measured blocks of each network, (n,).
        calibrated_ms: what a calibrated LUT says of each network when it was fitted on the
            others, (n,); None for too few networks.
        stage_ms: by stage of the space, its part of ``accumulated_ms``, (n,) each.
        scores: of the accumulated latency as a prediction of the true one.
    """

    measured: Measured
    accumulated_ms: FloatArray
    calibrated_ms: FloatArray | None
    stage_ms: Mapping[str, FloatArray]
    scores: dict[str, float | None]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a network for people and for JSON; the ratio is accumulated to true."""
        keys, y = self.measured.networks["key"], self.measured.y
        return [
            {
                "arch": key,
                "true_ms": float(true_ms),
                "accumulated_ms": float(accumulated_ms),
                "ratio": float(accumulated_ms / true_ms),
            }
            for key, true_ms, accumulated_ms in zip(keys, y, self.accumulated_ms, strict=True)
        ]


def complete(
    store: ReadableStore,
    space: SearchSpace,
    setting: Setting,
    networks: int,
    seed: int,
    progress: Progress = silent,
) -> Target:
    """Measure what a comparison of ``networks`` networks still lacks, and return the target.

    Where the store holds enough, or is a table, nothing is measured and the device need not be
    here. What is missing is timed by the protocol of what is there, or it would not count.

    Raises:
        UnavailableError: something is missing, and the device is not here.
        MissingMeasurementsError: a table holds none of it.
    """
    if not isinstance(store, Store):
        return setting.stored(store, space.spec, "network")
    protocol = None
    try:
        target = setting.stored(store, space.spec, "network")
    except MissingMeasurementsError:
        pass  # nothing yet: everything is measured below
    else:
        found = measured(store, space, target)
        if len(found.y) >= networks and not _absent(found):
            return target
        protocol = Protocol.named(found.protocol)
    target, instance = setting.here()
    profile(
        store,
        [(target, instance)],
        Wanted(space, blocks=True, networks=networks, seed=seed),
        protocol=protocol,
        progress=progress,
    )
    return target


def _absent(found: Measured) -> list[str]:
    known = set(found.block_ms)
    return [block.key for block in found.space.blocks if block.key not in known]


def compare(found: Measured) -> Compared:
    """Return true and accumulated latency of every measured network.

    Raises:
        MissingMeasurementsError: fewer than two networks, or a block that has no latency.
    """
    space = found.space
    if len(found.y) < FEWEST_NETWORKS:
        raise MissingMeasurementsError(
            f"a comparison needs at least {FEWEST_NETWORKS} measured networks of {space.name} on "
            f"{found.target.label}, there are {len(found.y)}; measure some: "
            f"`latbench profile --space {space.name} --blocks --networks 20`"
        )
    block_ms = prices(space, found.block_ms)
    stage_ms = by_stage(space, found.X, block_ms)
    accumulated_ms = np.sum(list(stage_ms.values()), axis=0)
    if not np.isfinite(accumulated_ms).all():
        absent = _absent(found)
        quick = " --protocol quick" if found.protocol == Protocol.quick().name else ""
        raise MissingMeasurementsError(
            f"{len(absent)} of {len(space.blocks)} blocks of {space.name} have no latency "
            f"(first {absent[0]}); measure them: "
            f"`latbench profile --space {space.name} --blocks{quick}`"
        )
    return Compared(
        found,
        accumulated_ms,
        fit_held_out(space, found.X, found.y, found.block_ms),
        stage_ms,
        metrics.summary(found.y, accumulated_ms),
    )


def prices(space: SearchSpace, block_ms: Mapping[str, float]) -> FloatArray:
    """Return the latency of each block of ``space``, (blocks,), NaN where it was not measured."""
    return np.array([block_ms.get(block.key, np.nan) for block in space.blocks])


def by_stage(space: SearchSpace, X: IntArray, block_ms: FloatArray) -> dict[str, FloatArray]:
    """Return the accumulated latency of each stage of architectures ``X`` (n, choices), (n,) each.

    A stage is what the name of a node says before its first dot.
    """
    placed = space.placed(X)
    each_ms = np.where(placed < 0, 0.0, block_ms[placed])
    stages: dict[str, FloatArray] = {}
    for position, node in enumerate(space.graph.nodes):
        stage = node.name.split(".")[0]
        stages[stage] = stages.get(stage, np.zeros(len(X))) + each_ms[:, position]
    return stages
