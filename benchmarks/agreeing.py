"""Whether others agree: OpenVINO's own program, and runtimes on the order of networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.plain import plain_median_ms
from benchmarks.rivals import timed
from benchmarks.sweeping import sweep
from benchmarks.table import Row
from latbench.prediction.metrics import spearman
from latbench.profiling.subjects import network_subjects
from latbench.spaces import SearchSpace
from latbench.spaces.weights import with_weights
from latbench.store import Store
from latbench.timing import Protocol
from latbench.workflows.architectures import draw
from latbench.workflows.profile import Wanted, profile
from latbench.workflows.setting import Setting
from latbench.workflows.side_by_side import mean_speedups, rankings

_AGREEING = 8
_TURNS = 3
_NETWORKS = 16
_RUNTIMES = ("onnxruntime", "openvino", "torch", "torch-compile")


def agreeing(store: Store, space: SearchSpace, folder: Path) -> Iterator[Row]:
    """OpenVINO by latbench and by its own program, in turns, network by network.

    It tells the median of its runs, disturbed ones and all; beside it stands the same of ours. It
    reads OpenVINO's own clock, which starts and stops inside the library; latbench times the call
    from Python, as whoever calls it pays for it. What lies between is measured beside both.
    """
    setting = Setting(runtime="openvino")
    plain, called, undisturbed, spreads, calls = [], [], [], [], []
    for number, subject in enumerate(network_subjects(space, draw(space, _AGREEING, seed=1))):
        path = folder / f"network{number}.onnx"
        path.write_bytes(with_weights(subject.workload.model).SerializeToString())
        medians = []
        for turn in range(_TURNS):
            swept = sweep(store, [subject], f"agree:{turn}", setting)
            theirs, _ = timed("benchmark_app", path)
            call, _ = timed("openvino_call", path)
            ours_ms = plain_median_ms(store, swept.jobs[0])
            medians.append(theirs["median"])
            plain.append(ours_ms / theirs["median"])
            called.append((ours_ms - call["median"]) / theirs["median"])
            undisturbed.append(swept.rows[0].latency_ms / theirs["min"])
            calls.append(call["median"])
        spreads.append(max(medians) / min(medians) - 1)
    off, own, fast = (
        100 * (float(np.median(ratios)) - 1) for ratios in (plain, called, undisturbed)
    )
    app = "openvino fp32 against `benchmark_app -hint latency`, one thread: median against median"
    yield Row(
        app,
        "2 %",
        f"{off:+.1f} %",
        f"{len(spreads)} networks, {_TURNS} turns each, ratios from {min(plain):.2f} to "
        f"{max(plain):.2f}; its medians of one network lie up to {max(spreads):.0%} apart; "
        f"undisturbed latency against its fastest run: {fast:+.1f} %",
        abs(off) <= 2,
    )
    yield Row(
        f"{app}, less the call from Python, which its clock leaves out",
        "2 %",
        f"{own:+.1f} %",
        f"the call takes {1e3 * float(np.median(calls)):.0f} µs in the median",
        abs(own) <= 2,
    )


def ranking(store: Store, space: SearchSpace) -> Row:
    """Whether four runtimes on one processor rank networks alike; one of them does twice."""
    targets = [Setting(runtime=name).here() for name in _RUNTIMES]
    result = profile(store, targets, Wanted(space, networks=_NETWORKS), protocol=Protocol.quick())
    pairs = [pair for pair in rankings(result.rows) if pair["spearman"] is not None]
    pairs.sort(key=lambda pair: float(pair["spearman"]))
    least, most = pairs[0], pairs[-1]
    networks = network_subjects(space, draw(space, _NETWORKS, seed=0))
    first, second = (
        [row.latency_ms for row in sweep(store, networks, f"rank:{turn}").rows] for turn in "12"
    )
    itself = spearman(first, second)
    return Row(
        f"rank correlation of {_NETWORKS} networks between four runtimes on this processor",
        "they differ",
        f"{least['spearman']:.3f} ({least['first']} and {least['second']}) to "
        f"{most['spearman']:.3f} ({most['first']} and {most['second']})",
        f"onnxruntime with itself, measured twice: {itself:.3f}; "
        + "; ".join(
            f"{mean['runtime']} {mean['geometric_mean']:.2f} × as fast as {mean['than']}"
            for mean in mean_speedups(result.rows)
        ),
        float(least["spearman"]) < itself,
    )
