"""The demo: the whole way on a small space, with real measurements of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import latbench
from latbench.reports import (
    comparison_section,
    measurement_section,
    predictor_section,
    search_section,
    write_page,
)
from latbench.store import Store
from latbench.timing import Protocol
from latbench.training.config import TrainConfig
from latbench.workflows import reporting
from latbench.workflows.compare import Compared, compare
from latbench.workflows.fit import NOMINAL_COVERAGE, Examples, Fitted, fit_predictor
from latbench.workflows.found import Found
from latbench.workflows.measured import Measured, measured
from latbench.workflows.predictors import default_folder
from latbench.workflows.profile import Wanted, profile
from latbench.workflows.progress import Progress, silent
from latbench.workflows.search import search
from latbench.workflows.search_files import save
from latbench.workflows.search_settings import SearchSettings
from latbench.workflows.setting import Setting

if TYPE_CHECKING:
    from latbench.training.callbacks import Callback

SPACE = "digits-mobilenet"
NETWORKS, REPEATS = 40, 12
EPOCHS, EVALUATIONS = 50, 120
DATA_SIZE = 16
"""Side of the training images: the digits are 8×8, and 32×32 takes six times as long."""
TARGET_QUANTILE = 0.3


@dataclass(frozen=True, eq=False)
class Demo:
    """What the demo found.

    Attributes:
        measured: the measurements.
        fitted: the predictor.
        compared: true against accumulated latency.
        found: the network that the search found.
        report: the page.
        folder: where the network and its architecture lie.
        seconds: how long it took.
    """

    measured: Measured
    fitted: Fitted
    compared: Compared
    found: Found
    report: Path
    folder: Path
    seconds: float


def demo(
    store: Store,
    folder: Path,
    report: Path,
    *,
    target_ms: float | None = None,
    seed: int = 0,
    protocol: Protocol | None = None,
    networks: int = NETWORKS,
    epochs: int = EPOCHS,
    evaluations: int = EVALUATIONS,
    progress: Progress = silent,
    callbacks: Callable[[], Sequence[Callback]] = tuple,
    say: Callable[[str], None] = lambda text: None,
) -> Demo:
    """Measure, fit, compare, search, export, measure again, report.

    Args:
        store: takes the measurements; what it holds is not measured again.
        folder: for the exported network.
        report: the page to write.
        target_ms: the limit of the search; by default one that three in ten networks meet.
        seed: of every draw.
        protocol: how to time; quick by default.
        networks: how many whole networks to measure.
        epochs: passes over the digits to train the supernet.
        evaluations: architectures to score.
        progress: shows how far it is.
        callbacks: listeners for training and searching.
        say: told what happens, in sentences.
    """
    start = time.monotonic()
    protocol = protocol or Protocol.quick()
    space = latbench.space(SPACE)
    target, instance = Setting().here()
    blocks = len(space.blocks)
    say(f"Measuring {blocks} blocks and {networks} networks of {SPACE} on {target.label}.")
    wanted = Wanted(space, True, networks, min(REPEATS, networks), seed=seed)
    profile(store, [(target, instance)], wanted, protocol=protocol, progress=progress)
    known = measured(store, space, target)
    for sentence in known.notes():
        say(f"Note: {sentence}.")
    took = time.monotonic() - start

    fitted = fit_predictor(
        Examples(
            space,
            target,
            known.X,
            known.y,
            known.block_ms,
            known.noise_mape,
            f"and {blocks} blocks, measured by latbench on {target.label}",
            notes=known.notes(),
        ),
        out=default_folder(space, target, "lut"),
        seed=seed,
        made="latbench demo",
    )
    say(
        f"The predictor is off by {fitted.scores['mape']:.2f} % on {fitted.n_test} networks that "
        "it has not seen."
    )
    compared = compare(known)
    bias = compared.scores["bias"] or 0.0
    say(
        f"The sum of the blocks is {abs(bias):.1f} % {'above' if bias > 0 else 'below'} the "
        "measured latency on average."
    )
    settings = SearchSettings(
        target_ms=target_ms or float(np.quantile(known.y, TARGET_QUANTILE)),
        params={"population": max(2, evaluations // 4), "tournament": max(1, evaluations // 15)},
        data_size=DATA_SIZE,
        train=TrainConfig(epochs=epochs, seed=seed),
        evaluations=evaluations,
        seed=seed,
    )
    say("Training a supernet on handwritten digits, and searching within the target.")
    found = search(
        store,
        fitted.predictor,
        target,
        instance,
        settings,
        protocol=protocol,
        progress=progress,
        callbacks=callbacks,
    )
    save(found, folder)
    facts = {row.id: row.facts for row in store.instances()}
    here = reporting.device_facts_of(instance.facts)
    write_page(
        report,
        [
            measurement_section(
                reporting.overview(known, facts, {"Time to measure": f"{took:.0f} s"})
            ),
            predictor_section(reporting.predictor_scores(fitted, target, NOMINAL_COVERAGE, here)),
            comparison_section(reporting.comparison(compared, facts)),
            search_section(reporting.search_summary(found, here, next_commands(folder))),
        ],
        title="latbench demo: how fast, and which network instead",
    )
    return Demo(known, fitted, compared, found, report, folder, time.monotonic() - start)


def next_commands(folder: Path) -> list[str]:
    """Return what to try after the demo."""
    return [f"latbench train --arch {folder / 'arch.json'}", "latbench profile --budget 10min"]
