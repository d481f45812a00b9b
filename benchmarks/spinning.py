"""ONNX Runtime with two threads: what latbench's sessions take beside default ones, and leave on.

Threads of a pool that wait may spin, or sleep and be woken. By default they spin, between operators
and for a while after a run; latbench has them stop with the run. Sessions of three kinds take turns
on the same networks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from os import sched_getaffinity
from typing import Any

import numpy as np
import onnxruntime

import latbench
from benchmarks.table import Row
from latbench.runtimes.onnxruntime import OnnxRuntime, OnnxRuntimeSession, session_options
from latbench.spaces import Workload

_NETWORKS, _TURNS, _RUNS, _THREADS = 12, 5, 60, 2
_AFTER_S = 0.3
_GOAL = 1.1

Settings = Callable[[], Any]


def _settings(**entries: str) -> Any:
    """Return default options of a session, but for its threads and these entries."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = _THREADS
    for key, value in entries.items():
        settings.add_session_config_entry(key, value)
    return settings


def _ours() -> Any:
    return session_options(OnnxRuntime().target("cpu", threads=_THREADS))


KINDS: Mapping[str, Settings] = {
    "default": _settings,
    "latbench": _ours,
    "asleep": lambda: _settings(**{"session.intra_op.allow_spinning": "0"}),
}


def rows() -> Iterator[Row]:
    """Yield what a run takes, and what is burnt after it; nothing on a single core."""
    if len(sched_getaffinity(0)) < _THREADS:
        print("  skipped: one core has no second thread", file=sys.stderr)
        return
    space = latbench.space("nasbench201")
    X = space.sample(np.random.default_rng(0), _NETWORKS)
    beyond: dict[str, list[float]] = {kind: [] for kind in KINDS}
    ratios: dict[str, list[float]] = {kind: [] for kind in KINDS}
    burnt: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for x in X[space.graph.live(X)[1][space.graph.output]]:
        found = _timed(space.network_workload(x), burnt)
        for kind in KINDS:
            ratios[kind].append(found[kind] / found["default"])
            beyond[kind].append(1e3 * (found[kind] - found["default"]))
    median = {kind: float(np.median(values)) for kind, values in ratios.items()}
    yield Row(
        f"ONNX Runtime, {_THREADS} threads, runs in a row: a latbench session over a default one",
        f"{_GOAL:g} ×",
        f"{median['latbench']:.2f} ×, {np.median(beyond['latbench']):+.0f} µs",
        f"threads that sleep between operators: {median['asleep']:.2f} ×; medians of "
        f"{len(ratios['default'])} networks of `nasbench201`, in turns",
        median["latbench"] <= _GOAL,
    )
    after = {kind: float(np.median(values)) for kind, values in burnt.items()}
    yield Row(
        f"the same sessions: CPU time in the {1e3 * _AFTER_S:.0f} ms after a run",
        "1 ms",
        f"{after['latbench']:.1f} ms",
        f"a default session {after['default']:.0f} ms, on a core where others are timed by then",
        after["latbench"] <= 1.0,
    )


def _timed(workload: Workload, burnt: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of a run in ms by kind of session; keep what each burns after runs."""
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(_TURNS):
        for kind, settings in KINDS.items():
            # A session at a time: the threads of another one would spin beside it.
            session = OnnxRuntimeSession(workload, settings)
            for number in range(2 * _RUNS):
                start = time.perf_counter()
                session.run_once()
                if number >= _RUNS:
                    times[kind].append(1e3 * (time.perf_counter() - start))
            start = time.process_time()
            time.sleep(_AFTER_S)
            burnt[kind].append(1e3 * (time.process_time() - start))
    return {kind: float(np.median(values)) for kind, values in times.items()}
