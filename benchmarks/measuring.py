"""Whether measurements can be trusted: repeatability, honesty, agreement, overhead, load."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import latbench
from benchmarks.agreeing import agreeing, ranking
from benchmarks.rivals import RIVALS, timed
from benchmarks.storing import overhead, storing
from benchmarks.sweeping import Found, busy_loops, sweep
from benchmarks.table import Row
from latbench.profiling.subjects import Subject, block_subjects
from latbench.spaces.weights import with_weights
from latbench.store import Store

_WORKLOADS = 20
_APART_S = 10.0
_AGREE = 0.01


def rows() -> Iterator[Row]:
    """Yield one row a figure as it is measured."""
    space = latbench.space("mobilenet", image_size=96)
    every = block_subjects(space)
    subjects = every[:: len(every) // _WORKLOADS][:_WORKLOADS]
    with tempfile.TemporaryDirectory() as folder:
        yield from overhead()
        yield from storing(Path(folder))
        with Store.open(f"sqlite:///{Path(folder) / 'bench.db'}") as store:
            yield from _repeating(store, subjects, Path(folder))
            yield from agreeing(store, space, Path(folder))
            yield ranking(store, space)


def _repeating(store: Store, subjects: Sequence[Subject], folder: Path) -> Iterator[Row]:
    first = sweep(store, subjects, "main")
    time.sleep(_APART_S)  # what is asked is agreement at another time
    second = sweep(store, subjects, "aa:1")
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
        # A few that are left over say nothing of the others.
        held >= 93 and 2 * len(settled) >= len(every),
    )
    with busy_loops():
        loaded = sweep(store, subjects, "load")
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


def _held(pairs: Sequence[tuple[Found, Found]]) -> float:
    """Return the percentage of intervals that hold the other's estimate; NaN if there is none."""
    inside = [
        one.low_ms <= other.latency_ms <= one.high_ms
        for pair in pairs
        for one, other in (pair, pair[::-1])
    ]
    return 100 * float(np.mean(inside)) if inside else float("nan")


def _both_ok(first: Sequence[Found], second: Sequence[Found]) -> str:
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
