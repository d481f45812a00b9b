"""What a step of a one-shot search takes on the `mobilenet` supernet, beside NNI's.

A step is one of the architecture and one of the weights, each on a batch of its own, in single
precision on one thread. NNI's strategies run in the Python that ``LATBENCH_NNI_PYTHON`` names, on
the same space, size, batch and table of latencies, and take turns with ours; where it names none,
their rows are left out. How to have one::

    python -m venv nni && nni/bin/pip install "setuptools<81" torch==2.13.0 \
        "pytorch-lightning<2" nni==3.0
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

import latbench
from benchmarks.table import Row
from latbench.hooks import ExpectedLatency
from latbench.hooks.penalties import AddLinear
from latbench.one_shot_searcher import OneShotSearcher
from latbench.spaces.mobilenet import PROXYLESS_SETTINGS
from latbench.training.config import TrainConfig
from latbench.training.data import ImageData, Split
from latbench.training.task import SearchTask

VARIABLE = "LATBENCH_NNI_PYTHON"
_SIZE, _CLASSES, _BATCH, _TURNS = 32, 10, 16, 20
_RATES = {"proxylessnas": 1.5, "darts": 1.0}
"""By kind: how many times NNI's steps a second ours are to be."""
_HOOK_PERCENT = 1.0


def rows() -> Iterator[Row]:
    """Yield what the latency's gradient takes of a step, and how fast steps are beside NNI's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from _rows()
    finally:
        torch.set_num_threads(threads)


def _rows() -> Iterator[Row]:
    ours = {kind: _Ours(kind) for kind in _RATES}
    hooks, steps = [], []
    for _ in range(_TURNS):
        steps.append(ours["proxylessnas"].step())
        hooks.append(ours["proxylessnas"].hook())
    percent = 100 * float(np.median(np.divide(hooks, steps)))
    yield Row(
        "the latency's gradient in 21 choices, of a step of `proxylessnas` on the `mobilenet` "
        "supernet",
        f"{_HOOK_PERCENT:g} %",
        f"{percent:.2f} %",
        f"{1e3 * np.median(hooks):.1f} ms of {1e3 * np.median(steps):.0f} ms; {_told()}",
        percent <= _HOOK_PERCENT,
    )
    python = os.environ.get(VARIABLE)
    if python is None:
        print(f"  skipped: {VARIABLE} names no Python that has NNI", file=sys.stderr)
        return
    for kind, goal in _RATES.items():
        with _Theirs(python, kind, ours[kind].task) as theirs:
            theirs.step()
            mine, other = zip(
                *((ours[kind].step(), theirs.step()) for _ in range(_TURNS)), strict=True
            )
        ratio = float(np.median(np.divide(other, mine)))
        yield Row(
            f"steps a second of `{kind}` on the `mobilenet` supernet",
            f"{goal:g} × NNI's",
            f"{ratio:.2f} ×",
            f"{np.median(mine):.3f} s a step, NNI 3.0 {np.median(other):.3f} s with a latency "
            f"gradient of {theirs.latency_gradient:g}; {_told()}",
            ratio >= goal,
        )


def _told() -> str:
    return f"{_SIZE} × {_SIZE}, batch {_BATCH}, one thread, fp32, {_TURNS} turns"


class _Ours:
    """One of our searchers under way, on noise."""

    def __init__(self, kind: str) -> None:
        space = latbench.space("mobilenet", image_size=_SIZE, classes=_CLASSES)
        rng = np.random.default_rng(0)
        block_ms = {block.key: 0.02 + block.macs / 2e8 for block in space.blocks}
        X = space.sample(rng, 100)
        y = space.path(X) @ np.array(list(block_ms.values()))
        lut = latbench.predictor("lut").for_table(space, block_ms).fit(X, y)
        draw = torch.Generator().manual_seed(0)
        split = Split(
            torch.randn(4 * _BATCH, 3, _SIZE, _SIZE, generator=draw),
            torch.randint(_CLASSES, (4 * _BATCH,), generator=draw),
        )
        self.task = SearchTask(
            space,
            lut,
            target_ms=1.0,
            score=lambda X: np.zeros(len(X)),
            supernet=space.supernet(seed=0),
            data=ImageData("noise", _CLASSES, split, split, split, {"name": "noise"}),
            train=TrainConfig(batch=_BATCH),
            expected=ExpectedLatency(lut),
            penalty=AddLinear(reference_ms=1.0),
        )
        searcher = latbench.searcher(kind)().set_params(every=1, warmup=0.0)
        assert isinstance(searcher, OneShotSearcher)
        self._searcher = searcher
        searcher.start(self.task)
        searcher.step()

    def step(self) -> float:
        """Return the seconds of a step of the architecture and one of the weights."""
        start = time.perf_counter()
        self._searcher.step()
        return time.perf_counter() - start

    def hook(self) -> float:
        """Return the seconds of the latency's gradient, from the chances and back to alpha."""
        state, loss = self._searcher.state, torch.tensor(2.0)
        start = time.perf_counter()
        pull = state.pull(loss)
        torch.autograd.backward(state.alpha.probabilities(), pull.along)
        seconds = time.perf_counter() - start
        state.alpha.zero_grad(set_to_none=True)
        return seconds


class _Theirs:
    """One of NNI's strategies under way in a process of its own, which waits between its turns."""

    latency_gradient: float
    """The largest gradient of its latency penalty in an architecture parameter."""

    def __init__(self, python: str, kind: str, task: SearchTask) -> None:
        self._python, self._stack = python, ExitStack()
        self._setup: dict[str, Any] = {
            "strategy": kind,
            "settings": PROXYLESS_SETTINGS,
            "options_ms": _options_ms(task),
            "image_size": _SIZE,
            "classes": _CLASSES,
            "batch": _BATCH,
        }

    def __enter__(self) -> _Theirs:
        script = Path(__file__).with_name("nni_steps.py")
        process = self._stack.enter_context(
            subprocess.Popen(
                [self._python, "-W", "ignore", str(script), json.dumps(self._setup)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
                text=True,
            )
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._asked: IO[str] = process.stdin
        self._told: IO[str] = process.stdout
        self.latency_gradient = self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def step(self) -> float:
        """Return the seconds of a step of the architecture and one of the weights."""
        self._asked.write("\n")
        self._asked.flush()
        return self._answer()

    def _answer(self) -> float:
        line = self._told.readline()
        if not line:
            raise RuntimeError(f"{self._python} ended; run nni_steps.py in it to see why")
        return float(json.loads(line))


def _options_ms(task: SearchTask) -> list[list[float]]:
    """Return what each option of each choice takes beyond the first, in ms."""
    space = task.space
    x = np.zeros(len(space.sizes), dtype=np.int64)
    found = []
    for column, size in enumerate(space.sizes):
        rows = np.tile(x, (size, 1))
        rows[:, column] = np.arange(size)
        latencies_ms = task.latency_ms(rows)
        found.append([float(one) for one in latencies_ms - latencies_ms[0]])
    return found
