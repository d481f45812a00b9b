"""Whether measurements can be trusted: repeatability, honesty, agreement, overhead, load."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import repeat
from os import sched_getaffinity
from pathlib import Path

import numpy as np

import latbench
from benchmarks.plain import plain_median_ms
from benchmarks.rivals import RIVALS, timed
from benchmarks.stage import Stage
from benchmarks.table import Row
from latbench.profiling.subjects import Subject, block_subjects, network_subjects
from latbench.profiling.sweep import Sweep
from latbench.spaces import SearchSpace
from latbench.spaces.weights import with_weights
from latbench.store import MeasurementRow, RoundRow, Store
from latbench.timing import HostClock, Protocol
from latbench.workflows.architectures import draw
from latbench.workflows.profile import Wanted, profile
from latbench.workflows.setting import Setting
from latbench.workflows.side_by_side import mean_speedups, rankings

_WORKLOADS = 20
_APART_S = 10.0
_AGREE = 0.01
_AGREEING = 8
_TURNS = 3
_NETWORKS = 16
_RUNTIMES = (("onnxruntime", "fp32"), ("openvino", "fp32"), ("torch", "fp32"), ("torch", "amp"))
_JOBS = 500
_ROUNDS = 1_000_000


def rows() -> Iterator[Row]:
    """Yield one row a figure as it is measured."""
    space = latbench.space("mobilenet", image_size=96)
    every = block_subjects(space)
    subjects = every[:: len(every) // _WORKLOADS][:_WORKLOADS]
    with tempfile.TemporaryDirectory() as folder:
        yield from _overhead()
        yield from _storing(Path(folder))
        with Store.open(f"sqlite:///{Path(folder) / 'bench.db'}") as store:
            yield from _repeating(store, subjects, Path(folder))
            yield from _agreeing(store, space, Path(folder))
            yield _ranking(store, space)


def _repeating(store: Store, subjects: Sequence[Subject], folder: Path) -> Iterator[Row]:
    first = _sweep(store, subjects, "main")
    time.sleep(_APART_S)  # what is asked is agreement at another time
    second = _sweep(store, subjects, "aa:1")
    ratios = np.array(
        [b.latency_ms / a.latency_ms for a, b in zip(first.rows, second.rows, strict=True)]
    )
    agree = 100 * float(np.mean(np.abs(ratios - 1) <= _AGREE))
    seconds = (first.seconds + second.seconds) / (2 * len(subjects))
    yield Row(
        f"{len(subjects)} blocks measured twice, at least {_APART_S:.0f} s apart, agree within 1 %",
        "95 % of them, 1 s each",
        f"{agree:.0f} %, {seconds:.2f} s each; {_spread(ratios)}",
        f"{_both_ok(first.rows, second.rows)}; on every second block: "
        f"{'; '.join(_rivals(subjects, folder))}",
        agree >= 95 and seconds <= 1,
    )
    every = list(zip(first.rows, second.rows, strict=True))
    settled = [pair for pair in every if all(one.status != "unstable" for one in pair)]
    held, told = _held(settled), _held(every)
    widths = [(one.high_ms - one.low_ms) / (2 * one.latency_ms) for one in first.rows]
    yield Row(
        "95 % intervals that hold the other measurement of the pair, neither `unstable`",
        "93 %",
        f"{held:.0f} % of {2 * len(settled)}",
        f"their median half-width {np.median(widths):.2%}; with the unstable ones {told:.0f} % of "
        f"{2 * len(every)}",
        held >= 93,
    )
    with _busy_loops():
        loaded = _sweep(store, subjects, "load")
    sound = [
        b.status != "ok" or b.low_ms <= a.latency_ms <= b.high_ms
        for a, b in zip(first.rows, loaded.rows, strict=True)
    ]
    off = [b.latency_ms / a.latency_ms for a, b in zip(first.rows, loaded.rows, strict=True)]
    wrong = len(sound) - sum(sound)
    yield Row(
        "with a busy loop on every core: inside their interval, or not `ok`",
        "95 %, none silently wrong",
        f"{100 * float(np.mean(sound)):.0f} %, {wrong} silently wrong",
        f"{sum(b.status == 'ok' for b in loaded.rows)} say ok; median {np.median(off):.2f} × quiet",
        float(np.mean(sound)) >= 0.95,
    )


def _agreeing(store: Store, space: SearchSpace, folder: Path) -> Iterator[Row]:
    """OpenVINO by latbench and by its own program, in turns, network by network.

    It tells the median of its runs, disturbed ones and all; beside it stands the same of ours.
    Networks, because calling a block of some tens of microseconds from Python, as latbench does
    and the program does not, adds several per cent.
    """
    setting = Setting(runtime="openvino")
    plain, undisturbed, spreads = [], [], []
    for number, subject in enumerate(network_subjects(space, draw(space, _AGREEING, seed=1))):
        path = folder / f"network{number}.onnx"
        path.write_bytes(with_weights(subject.workload.model).SerializeToString())
        medians, fastest = [], []
        for turn in range(_TURNS):
            swept = _sweep(store, [subject], f"agree:{turn}", setting)
            theirs, _ = timed("benchmark_app", path)
            medians.append(theirs["median"])
            fastest.append(theirs["min"])
            plain.append(plain_median_ms(store, swept.jobs[0]) / theirs["median"])
            undisturbed.append(swept.rows[0].latency_ms / theirs["min"])
        spreads.append(max(medians) / min(medians) - 1)
    off, fast = (100 * (float(np.median(ratios)) - 1) for ratios in (plain, undisturbed))
    yield Row(
        "openvino fp32 against `benchmark_app -hint latency`, one thread: median against median",
        "2 %",
        f"{off:+.1f} %",
        f"{len(spreads)} networks, {_TURNS} turns each, ratios from {min(plain):.2f} to "
        f"{max(plain):.2f}; its medians of one network lie up to {max(spreads):.0%} apart; "
        f"undisturbed latency against its fastest run: {fast:+.1f} %",
        abs(off) <= 2,
    )


def _ranking(store: Store, space: SearchSpace) -> Row:
    """Whether four runtimes on one processor rank networks alike."""
    targets = [Setting(runtime=name, precision=asked).here() for name, asked in _RUNTIMES]
    wanted = Wanted(space, networks=_NETWORKS)
    result = profile(store, targets, wanted, protocol=Protocol.quick())
    pairs = [pair for pair in rankings(result.rows) if pair["spearman"] is not None]
    pairs.sort(key=lambda pair: float(pair["spearman"]))
    least, most = pairs[0], pairs[-1]
    return Row(
        f"rank correlation of {_NETWORKS} networks between four runtimes on this processor",
        "they differ",
        f"{least['spearman']:.3f} ({least['first']} and {least['second']}) to "
        f"{most['spearman']:.3f} ({most['first']} and {most['second']})",
        "; ".join(
            f"{mean['runtime']} {mean['geometric_mean']:.2f} × as fast as {mean['than']}"
            for mean in mean_speedups(result.rows)
        ),
        float(least["spearman"]) < 1,
    )


@dataclass(frozen=True)
class _Found:
    latency_ms: float
    low_ms: float
    high_ms: float
    status: str

    @classmethod
    def of(cls, row: MeasurementRow | None) -> _Found:
        assert row is not None
        assert row.latency_ms is not None
        assert row.low_ms is not None
        assert row.high_ms is not None
        return cls(row.latency_ms, row.low_ms, row.high_ms, row.status)


def _held(pairs: Sequence[tuple[_Found, _Found]]) -> float:
    """Return the percentage of intervals that hold the other's estimate; NaN if there is none."""
    inside = [
        one.low_ms <= other.latency_ms <= one.high_ms
        for pair in pairs
        for one, other in (pair, pair[::-1])
    ]
    return 100 * float(np.mean(inside)) if inside else float("nan")


def _both_ok(first: Sequence[_Found], second: Sequence[_Found]) -> str:
    """Return how those agree that both measurements call ok."""
    ratios = np.array(
        [
            b.latency_ms / a.latency_ms
            for a, b in zip(first, second, strict=True)
            if a.status == b.status == "ok"
        ]
    )
    if not len(ratios):
        return "none is `ok` both times"
    agree = 100 * float(np.mean(np.abs(ratios - 1) <= _AGREE))
    return f"of the {len(ratios)} that are `ok` both times {agree:.0f} %, {_spread(ratios)}"


@dataclass(frozen=True)
class _Swept:
    jobs: list[str]
    rows: list[_Found]
    seconds: float


def _sweep(
    store: Store, subjects: Sequence[Subject], campaign: str, setting: Setting | None = None
) -> _Swept:
    target, instance = (setting or Setting()).here()
    start = time.perf_counter()
    result = Sweep(store, target, instance, Protocol.standard(), campaign).run(subjects)
    seconds = time.perf_counter() - start
    assert not result.failed, result.failed
    return _Swept(result.jobs, [_Found.of(store.measurement(job)) for job in result.jobs], seconds)


def _rivals(subjects: Sequence[Subject], folder: Path) -> Iterator[str]:
    """Yield how each of the others agrees with itself on every second block, and its seconds."""
    paths = []
    for number, subject in enumerate(subjects):
        paths.append(folder / f"{number}.onnx")
        paths[-1].write_bytes(with_weights(subject.workload.model).SerializeToString())
    for name in RIVALS:
        # Not all blocks: some of these take seconds for each.
        first, second = ([timed(name, path) for path in paths[::2]] for _ in range(2))
        ratios = np.array(
            [b["median"] / a["median"] for (a, _), (b, _) in zip(first, second, strict=True)]
        )
        seconds = float(np.mean([took for _, took in first + second]))
        agree = 100 * float(np.mean(np.abs(ratios - 1) <= _AGREE))
        yield f"`{name}` {agree:.0f} %, {seconds:.2f} s each; {_spread(ratios)}"


def _spread(ratios: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    return f"median difference {float(np.median(np.abs(ratios - 1))):.2%}"


@contextmanager
def _busy_loops() -> Iterator[None]:
    """Keep every CPU busy inside."""
    code = "while True: pass"
    loops = [subprocess.Popen([sys.executable, "-c", code]) for _ in sched_getaffinity(0)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _overhead() -> Iterator[Row]:
    """What the clock adds to a run, against a bare loop over the same function."""

    def nothing() -> None:
        return None

    clock, runs = HostClock(), 200_000
    timed_ns = float(np.median([clock.time(nothing, 1) for _ in range(runs)]))
    start = time.perf_counter_ns()
    for _ in repeat(None, runs):
        nothing()
    bare_ns = (time.perf_counter_ns() - start) / runs
    added = timed_ns - bare_ns
    yield Row(
        "what timing adds to one run",
        "1 µs",
        f"{added / 1e3:.3f} µs",
        f"a bare loop: {bare_ns / 1e3:.3f} µs a run",
        added <= 1000,
    )


def _storing(folder: Path) -> Iterator[Row]:
    """Planning and storing with an executor that takes no time; a query over many rounds."""
    target, instance = Setting().here()
    subject = block_subjects(latbench.space("digits-mobilenet"))[0]
    subjects = [
        replace(
            subject, workload=replace(subject.workload, id=f"g1:{number:064x}"), key=f"{number}"
        )
        for number in range(_JOBS)
    ]
    with Store.open(f"sqlite:///{folder / 'storing.db'}") as store:
        start = time.perf_counter()
        jobs = Sweep(store, target, instance, Protocol.standard(), executor=Stage()).run(subjects)
        each_ms = 1e3 * (time.perf_counter() - start) / _JOBS
        yield Row(
            "planning and storing one job of two processes and twelve rounds",
            "5 ms",
            f"{each_ms:.1f} ms",
            f"{_JOBS} jobs, every round committed as it ends",
            each_ms <= 5,
        )
        times = np.full(30, 1_000_000)
        each = _ROUNDS // _JOBS
        for job in jobs.jobs:
            store.add_rounds(
                RoundRow(job, "many", number, float(number), 1, times, 1.0)
                for number in range(each)
            )
        start = time.perf_counter()
        table = store.table(kind="block")
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        some = store.rounds(jobs.jobs[_JOBS // 2])
        yield Row(
            "the table of all blocks from a store of a million rounds",
            "1 s",
            f"{seconds:.2f} s",
            f"{len(table)} rows; the {len(some):,} rounds of one: "
            f"{time.perf_counter() - start:.2f} s",
            seconds < 1,
        )
