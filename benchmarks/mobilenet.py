"""Measuring `mobilenet` at 96 × 96: how long, how repeatable, and how well a LUT predicts it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

import latbench
from benchmarks.plain import plain_median_ms
from benchmarks.table import Row
from latbench.prediction import metrics
from latbench.profiling.subjects import block_subjects, network_subjects
from latbench.profiling.sweep import Sweep
from latbench.store import Store
from latbench.timing import Protocol, noise
from latbench.workflows.architectures import draw
from latbench.workflows.compare import compare
from latbench.workflows.fit import fit_held_out
from latbench.workflows.measured import REPEAT, measured
from latbench.workflows.setting import Setting

_NETWORKS, _AGAIN = 100, 30


def rows() -> Iterator[Row]:
    """Measure blocks, networks and a second sweep; yield time, noise and error as they come."""
    space = latbench.space("mobilenet", image_size=96)
    target, instance = Setting().here()
    protocol = Protocol.standard()
    with (
        tempfile.TemporaryDirectory() as folder,
        Store.open(f"sqlite:///{Path(folder) / 'bench.db'}") as store,
    ):
        first = Sweep(store, target, instance, protocol)
        start = time.perf_counter()
        result = first.run(block_subjects(space))
        seconds = time.perf_counter() - start
        assert not result.failed, result.failed
        blocks = measured(store, space, target).blocks
        narrow = int((blocks["half_width"] <= 0.01).sum())
        yield Row(
            f"{len(blocks)} blocks of `mobilenet` at 96 × 96 compiled and timed to ±1 %",
            "120 s",
            f"{seconds:.0f} s; {narrow} of {len(blocks)} within ±1 %",
            f"half-width: median {blocks['half_width'].median():.2%}; {_statuses(blocks)}",
            seconds < 120 and narrow == len(blocks),
        )
        networks = network_subjects(space, draw(space, _NETWORKS, seed=0))
        again = Sweep(store, target, instance, protocol, REPEAT)
        jobs = first.run(networks).jobs[:_AGAIN], again.run(networks[:_AGAIN]).jobs
        known = measured(store, space, target)
        noise_mape = known.noise_mape
        assert noise_mape is not None
        plain = noise(*([plain_median_ms(store, job) for job in part] for part in jobs)).single
        yield Row(
            f"noise: second sweep of {_AGAIN} networks",
            "1 %",
            f"{noise_mape:.2f} %",
            f"plain median of the same runs: {plain:.2f} %; {_statuses(known.networks)}",
            noise_mape <= 1,
        )
        predicted = fit_held_out(space, known.X, known.y, known.block_ms, folds=10)
        assert predicted is not None
        error = metrics.mape(known.y, predicted)
        scores = compare(known).scores
        yield Row(
            "calibrated LUT, mean error on networks not seen",
            "1.5 × the noise",
            f"{error:.2f} %, {error / noise_mape:.2f} ×",
            f"plain sum {scores['mape']:.2f} %, bias {scores['bias']:+.2f} %",
            error <= 1.5 * noise_mape,
        )


def _statuses(frame: pd.DataFrame) -> str:
    counts = frame["status"].value_counts()
    return ", ".join(f"{count} {status}" for status, count in counts.items())
