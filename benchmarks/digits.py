"""Every algorithm on the digits, at two targets: what it finds in a few minutes, measured.

Latencies of `digits-mobilenet` are measured first, blocks and networks, and a table is fitted. Each
algorithm then has the same wall time to train weights and to search with; what it found is trained
from scratch, and all networks found are measured in one sweep at the end. At three minutes a search
and three seeds that takes hours, so it runs only where ``LATBENCH_DIGITS_SECONDS`` says how long a
search may take. ``LATBENCH_DIGITS_SEEDS`` is 3 by default. ``LATBENCH_DIGITS_LANES`` is how many
searches share out the CPUs, one by default: two have half of them each, all the way. In the folder
that ``LATBENCH_DIGITS_FOLDER`` names it keeps what it has done, and goes on there when it is run
again.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import latbench
from benchmarks.lanes import lanes
from benchmarks.sweeping import sweep
from benchmarks.table import Row
from latbench import registry
from latbench.one_shot_searcher import OneShotSearcher
from latbench.predictor import Predictor
from latbench.profiling.subjects import block_subjects, network_subjects
from latbench.spaces import SearchSpace
from latbench.store import Store
from latbench.training.config import TrainConfig
from latbench.training.data import load_data
from latbench.training.retrain import retrain
from latbench.workflows.architectures import draw
from latbench.workflows.measured import measured
from latbench.workflows.search_settings import SearchSettings
from latbench.workflows.search_task import search_task
from latbench.workflows.setting import Setting

_SECONDS, _SEEDS, _LANES, _FOLDER = (
    f"LATBENCH_DIGITS_{name}" for name in ("SECONDS", "SEEDS", "LANES", "FOLDER")
)
_NETWORKS, _SIZE, _BATCH, _EVALUATIONS = 60, 16, 64, 200
_SHARES = (0.2, 0.6)
_ALGORITHMS = ("darts", "proxylessnas", "unas", "fbnet", "snas", "reinforce", "evolution", "random")


@dataclass(frozen=True)
class _Run:
    """One search: what it found, its accuracy after training from scratch, and its seconds."""

    algorithm: str
    target_ms: float
    seed: int
    x: list[int]
    accuracy: float
    seconds: float


def rows() -> Iterator[Row]:
    """Yield a row an algorithm; nothing where no time is given."""
    if _SECONDS not in os.environ:
        print(f"  skipped: {_SECONDS} says not how long a search may take", file=sys.stderr)
        return
    seconds = float(os.environ[_SECONDS])
    seeds = int(os.environ.get(_SEEDS, "3"))
    side_by_side = int(os.environ.get(_LANES, "1"))
    space = latbench.space("digits-mobilenet", image_size=_SIZE)
    target, _ = Setting().here()
    with contextlib.ExitStack() as stack:
        kept = os.environ.get(_FOLDER)
        folder = Path(kept or stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(Store.open(f"sqlite:///{folder / 'digits.db'}"))
        X = draw(space, _NETWORKS, seed=0)
        sweep(store, [*block_subjects(space), *network_subjects(space, X)], "main")
        known = measured(store, space, target)
        lut = registry.load(registry.PREDICTORS, "lut").for_table(space, known.block_ms)
        predictor: Predictor = lut.fit(known.X, known.y)
        targets_ms = [float(np.quantile(known.y, share)) for share in _SHARES]
        done = folder / f"{_SIZE}px-{seconds:g}s-{side_by_side}-at-once.jsonl"
        runs = _kept(done)
        # Seeds outermost, so that what there is of an interrupted benchmark is a whole table.
        asked = product(range(seeds), _ALGORITHMS, targets_ms)
        missing = [
            (space, predictor, algorithm, target_ms, seed, seconds)
            for seed, algorithm, target_ms in asked
            if (algorithm, target_ms, seed) not in runs
        ]
        with lanes(side_by_side) as pool:
            for future in as_completed([pool.submit(_search, *one) for one in missing]):
                run = future.result()
                print(f"  {run}", file=sys.stderr)
                with done.open("a") as lines:
                    lines.write(json.dumps(asdict(run)) + "\n")
                runs[run.algorithm, run.target_ms, run.seed] = run
        found = np.array([run.x for run in runs.values()])
        true = sweep(store, network_subjects(space, found), "found").rows
    for algorithm in _ALGORITHMS:
        told, met = [], []
        for target_ms in targets_ms:
            mine = [
                (run, row)
                for run, row in zip(runs.values(), true, strict=True)
                if (run.algorithm, run.target_ms) == (algorithm, target_ms)
            ]
            accuracies = 100 * np.array([run.accuracy for run, _ in mine])
            error = accuracies.std(ddof=1) / len(mine) ** 0.5 if len(mine) > 1 else float("nan")
            within = [row.latency_ms <= target_ms for _, row in mine]
            shares = [row.latency_ms / target_ms for _, row in mine]
            told.append(
                f"{accuracies.mean():.2f} ± {error:.2f} % at {target_ms:.3f} ms, met {sum(within)} "
                f"of {len(within)}, {np.mean(shares):.3f} × the target"
            )
            met += within
        mean_s = np.mean([run.seconds for run in runs.values() if run.algorithm == algorithm])
        yield Row(
            f"`{algorithm}` on the digits: test accuracy after training from scratch",
            "the table, whatever it shows",
            "; ".join(told),
            f"{seeds} seeds, {mean_s:.0f} s a search of {seconds:.0f} s, {side_by_side} at once",
            all(met),
        )


def _kept(done: Path) -> dict[tuple[str, float, int], _Run]:
    """Return the runs that an earlier benchmark has done."""
    lines = done.read_text().splitlines() if done.exists() else []
    runs = [_Run(**json.loads(line)) for line in lines]
    return {(run.algorithm, run.target_ms, run.seed): run for run in runs}


def _search(
    space: SearchSpace,
    predictor: Predictor,
    algorithm: str,
    target_ms: float,
    seed: int,
    seconds: float,
) -> _Run:
    searcher = registry.load(registry.SEARCHERS, algorithm)()
    steps = _steps(searcher, predictor, target_ms, seconds)
    settings = _settings(algorithm, target_ms, seed, steps)
    # What the pace was tried with takes its time from no one.
    began = time.monotonic()
    task, _ = search_task(searcher, predictor, settings)
    result = searcher.run(task)
    took = time.monotonic() - began
    data = load_data("digits", _SIZE, channels=space.input_shape[0], seed=seed)
    trained = retrain(space, result.x, data, TrainConfig(seed=seed))
    return _Run(algorithm, target_ms, seed, result.x.tolist(), trained.accuracy, took)


def _settings(algorithm: str, target_ms: float, seed: int, steps: int) -> SearchSettings:
    return SearchSettings(
        target_ms=target_ms,
        algorithm=algorithm,
        data_size=_SIZE,
        train=TrainConfig(steps=steps, batch=_BATCH, seed=seed),
        evaluations=_EVALUATIONS,
        seed=seed,
    )


def _steps(searcher: Any, predictor: Predictor, target_ms: float, seconds: float) -> int:
    """Return how many steps a search of so many seconds has, from the pace of some."""
    tried = 40
    settings = _settings(searcher.kind, target_ms, seed=0, steps=tried)
    began = time.monotonic()
    task, _ = search_task(searcher, predictor, settings)
    if isinstance(searcher, OneShotSearcher):
        # Without a warm-up, or the steps of the architecture would not be among them.
        eager = searcher.clone().set_params(warmup=0.0)
        eager.start(task)
        began = time.monotonic()
        while not eager.done:
            eager.step()
        rest = 0.0
    else:
        trained = time.monotonic()
        # Scoring has its share of the time: that of a few architectures, for all of them.
        X = draw(task.space, 4, seed=1)
        task.scores(X)
        rest = (time.monotonic() - trained) / len(X) * _EVALUATIONS
        began += time.monotonic() - trained
    pace = (time.monotonic() - began) / tried
    return max(tried, int((seconds - rest) / pace))
