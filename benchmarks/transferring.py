"""By which figures the settings of ``transfer`` are chosen: ``python -m benchmarks.transferring``.

It needs HELP's tables, in the folder that ``LATBENCH_EVAL_DATA`` names. NASFLAT's tasks are run
with other targets: devices that are the target of no task, and no source of the task at hand. One
setting is changed at a time; names of settings limit it to those.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from unittest.mock import patch

import numpy as np

from latbench.prediction.inputs import FloatArray, IntArray, Space
from latbench.workflows.protocols import help_tables, methods, nasflat
from latbench.workflows.protocols.nasflat import Suite
from latbench.workflows.protocols.rows import Request
from latbench_predictors import device_prior, option_design, transfer

_METHOD, _SEEDS = "transfer, labels chosen", 2

FBNET = (
    *("gold_6240", "silver_4114", "silver_4210r", "pixel3", "titanx_1", "titanx_32", "titanx_64"),
    *("titanxp_32", "titanxp_64", "titan_rtx_64", "2080ti_64", "1080ti_64"),
)
NB201 = (
    *("titanx_1", "titanx_32", "titanx_256", "gold_6240", "2080ti_1", "2080ti_32", "2080ti_256"),
    *("titanxp_1", "titanxp_32", "titanxp_256", "titan_rtx_1", "titan_rtx_32"),
)
"""Targets of no task; HELP's validation devices are among them."""

Setting = Callable[[], AbstractContextManager[object]]
_costs = option_design._costs


def _no_costs(space: Space, starts: IntArray) -> FloatArray:
    return np.zeros((sum(len(choice.options) for choice in space.choices), 0))


def _roots_too(space: Space, starts: IntArray) -> FloatArray:
    costs = _costs(space, starts)
    return np.hstack([costs, np.sqrt(costs)])


def _doubt(doubt: float) -> Setting:
    return lambda: patch.object(device_prior, "_DOUBT", doubt)


def _guess(**changed: float) -> Setting:
    return lambda: patch.object(transfer, "_GUESS", transfer._GUESS._replace(**changed))


def _candidates(candidates: int) -> Setting:
    return lambda: patch.object(methods, "CANDIDATES", candidates)


SETTINGS: dict[str, Setting] = {
    "as it is": nullcontext,
    "no costs": lambda: patch.object(option_design, "_costs", _no_costs),
    "roots of costs too": lambda: patch.object(option_design, "_costs", _roots_too),
    "belief alone": _doubt(0.01),
    "no belief": _doubt(1.0),
    "shared guessed 0.03": _guess(shared=0.03),
    "shared guessed 0.3": _guess(shared=0.3),
    "own guessed 0.01": _guess(own=0.01),
    "own guessed 0.1": _guess(own=0.1),
    "noise guessed 0.1": _guess(noise=0.1),
    "100 candidates": _candidates(100),
    "600 candidates": _candidates(600),
}


def scores(suite: Suite, devices: tuple[str, ...], labels: int, data: Path) -> dict[str, float]:
    """Return Spearman's correlation and the MAPE, means over the tasks with other targets."""
    tasks = {
        name: dataclasses.replace(
            task, targets=tuple(device for device in devices if device not in task.sources)
        )
        for name, task in suite.tasks.items()
    }
    changed = dataclasses.replace(suite, tasks=tasks, published={})
    rows = nasflat.rows(changed, Request(data, (labels,), _SEEDS))
    return {row.score: row.mean for row in rows if row.mean is not None}


def main() -> None:
    data = Path(os.environ["LATBENCH_EVAL_DATA"])
    # Intervals are of no interest here, and most of the time goes into their folds.
    methods_run = {_METHOD: help_tables.TRANSFERS[_METHOD]}
    with (
        patch.object(nasflat, "TRANSFERS", methods_run),
        patch.object(transfer.Transfer, "folds", 2),
    ):
        print("| setting | FBNet, 20 labels | NAS-Bench-201, 10 labels |")
        print("|---|---|---|")
        for name in sys.argv[1:] or SETTINGS:
            with SETTINGS[name]():
                found = [
                    scores(nasflat.FBNET, FBNET, 20, data),
                    scores(nasflat.NB201, NB201, 10, data),
                ]
            cells = [f"{one['spearman']:.4f}, {one['mape']:.2f} %" for one in found]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
