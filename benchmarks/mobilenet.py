"""Measuring `mobilenet` at 96 × 96: how long, how repeatable, and how well a LUT predicts it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import latbench
from benchmarks.table import Row
from latbench.prediction import metrics
from latbench.profiling.subjects import block_subjects, network_subjects
from latbench.profiling.sweep import Sweep
from latbench.store import Store
from latbench.timing import Protocol
from latbench.workflows.architectures import draw
from latbench.workflows.compare import compare
from latbench.workflows.fit import fit_held_out
from latbench.workflows.measured import REPEAT, measured
from latbench.workflows.setting import Setting

_NETWORKS, _AGAIN = 100, 30


def rows() -> list[Row]:
    """Measure blocks, networks and a second sweep; return time, noise and error."""
    space = latbench.space("mobilenet", image_size=96)
    target, instance = Setting().here()
    protocol = Protocol.standard()
    with (
        tempfile.TemporaryDirectory() as folder,
        Store.open(f"sqlite:///{Path(folder) / 'bench.db'}") as store,
    ):
        start = time.perf_counter()
        result = Sweep(store, target, instance, protocol).run(block_subjects(space))
        seconds = time.perf_counter() - start
        assert not result.failed, result.failed
        networks = network_subjects(space, draw(space, _NETWORKS, seed=0))
        Sweep(store, target, instance, protocol).run(networks)
        Sweep(store, target, instance, protocol, REPEAT).run(networks[:_AGAIN])
        known = measured(store, space, target)
        compared = compare(known)
    narrow = int((known.blocks["half_width"] <= 0.01).sum())
    statuses = known.networks["status"].value_counts().to_dict()
    predicted = fit_held_out(space, known.X, known.y, known.block_ms, folds=10)
    assert predicted is not None
    error = metrics.mape(known.y, predicted)
    noise = known.noise_mape
    assert noise is not None
    return [
        Row(
            f"{len(known.blocks)} blocks compiled and timed to ±1 %, wall time",
            "120 s",
            f"{seconds:.0f} s; {narrow} of {len(known.blocks)} within ±1 %",
            f"{protocol.processes} processes each",
            seconds < 120 and narrow == len(known.blocks),
        ),
        Row(
            "noise: second sweep of 30 networks",
            "1 %",
            f"{noise:.2f} %",
            f"statuses of the {len(known.y)} networks: {statuses}",
            noise <= 1,
        ),
        Row(
            "calibrated LUT, mean error on networks not seen",
            "1.5 × the noise",
            f"{error:.2f} %, {error / noise:.2f} ×",
            f"plain sum {compared.scores['mape']:.2f} %, bias {compared.scores['bias']:+.2f} %",
            error <= 1.5 * noise,
        ),
    ]
