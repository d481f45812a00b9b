"""Listeners: all are told, all are closed."""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from latbench.errors import UnavailableError
from latbench.spaces.space import SearchSpace
from latbench.training.callbacks import Callback, Callbacks, Training
from latbench.training.progress import ProgressBar
from latbench.training.tensorboard import TensorBoard, write_network

X = np.zeros(3, dtype=np.int64)


def search(callback: Callback) -> None:
    """Tell of a small search."""
    with Callbacks([callback]).during(Training("search", 3, "evaluations")) as events:
        for n, (score, latency_ms) in enumerate([(0.5, 4.0), (0.9, 3.25), (0.7, 2.0)], 1):
            events.on_evaluation(n, X, score, latency_ms)
        events.on_end(None)


def test_all_are_closed_whatever_fails() -> None:
    """One callback that fails, even in closing, leaves none of the others open."""
    closed: list[str] = []

    class Closing(Callback):
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            closed.append(self.name)
            raise RuntimeError(self.name)

    with (
        pytest.raises(RuntimeError),
        Callbacks([Closing("a"), Closing("b")]).during(Training("t", 1)),
    ):
        raise KeyboardInterrupt
    assert sorted(closed) == ["a", "b"]


def test_progress_shows_count_and_best() -> None:
    """The bar ends at the number done, with the best score and its latency."""
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    search(ProgressBar(console))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "search" in text
    assert "3/3" in text
    assert "best 0.9 at 3.25 ms" in text.rsplit("3/3", 1)[1]


def test_progress_shows_losses() -> None:
    """Training shows its metrics."""
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with Callbacks([ProgressBar(console)]).during(Training("network", 20)) as events:
        events.on_step(20, {"loss": 1.23456})
    assert "loss 1.235" in console.file.getvalue()  # type: ignore[attr-defined]


def one_shot(callback: Callback, evaluations: int = 0) -> None:
    """Tell of a small one-shot search: steps first, then what was scored."""
    with Callbacks([callback]).during(Training("search", 40)) as events:
        for step, entropy in ((20, 0.9), (40, 0.25)):
            metrics = {"loss": 1.5, "expected_ms": 0.4321, "entropy": entropy, "lr": 0.1}
            events.on_step(step, metrics)
            events.on_chances(step, {"a": np.array([0.2, 0.7, 0.1]), "b": np.array([0.6, 0.4])})
        for n in range(1, evaluations + 1):
            events.on_evaluation(n, X, 0.75, 3.25)
        events.on_end(None)


def test_progress_shows_what_a_one_shot_search_expects() -> None:
    """The expected latency and how undecided it is; what is scored at last fills no bar."""
    last = []
    for evaluations in (0, 2):
        console = Console(file=io.StringIO(), force_terminal=True, width=140)
        one_shot(ProgressBar(console), evaluations)
        last.append(console.file.getvalue().rsplit("search", 1)[1])  # type: ignore[attr-defined]
    assert "loss 1.5  expected 432.1 us  undecided 25%" in last[0]
    assert "40/40" in last[1]
    assert "best 0.75 at 3.25 ms" in last[1]


def test_progress_keeps_standard_output_clean(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is for results."""
    search(ProgressBar())
    assert capsys.readouterr().out == ""


def test_tensorboard_holds_the_curves(tmp_path: Path) -> None:
    """Scores, latencies and the best so far are written as scalars."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    search(TensorBoard(tmp_path))
    events = accumulators.EventAccumulator(str(tmp_path))
    events.Reload()
    best = [round(event.value, 6) for event in events.Scalars("search/best_score")]
    assert best == [0.5, 0.9, 0.9]
    assert [event.value for event in events.Scalars("search/latency_ms")] == [4.0, 3.25, 2.0]


def test_tensorboard_holds_the_chosen_options(tmp_path: Path) -> None:
    """The likeliest option of each choice by its place, and its chance, beside the metrics."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    one_shot(TensorBoard(tmp_path))
    events = accumulators.EventAccumulator(str(tmp_path))
    events.Reload()
    assert [event.value for event in events.Scalars("search/option/a")] == [1, 1]
    assert [event.value for event in events.Scalars("search/chance/b")] == pytest.approx([0.6, 0.6])
    assert [event.value for event in events.Scalars("search/entropy")] == [pytest.approx(0.9), 0.25]
    assert [event.step for event in events.Scalars("search/expected_ms")] == [20, 40]


def test_tensorboard_holds_the_graph_of_a_network(tmp_path: Path, space: SearchSpace) -> None:
    """Its operations, and what is said of it; no warning of torch's reaches the user."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    network = space.network(space.sample(np.random.default_rng(0), 1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_network(tmp_path, network, space.input_shape, "the one found")
    events = accumulators.EventAccumulator(str(tmp_path))
    events.Reload()
    assert any(node.op.endswith("convolution") for node in events.Graph().node)
    assert "network/text_summary" in events.Tags()["tensors"]


def test_tensorboard_missing_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra the error names it."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UnavailableError, match=r"latbench\[tensorboard\]"):
        search(TensorBoard(tmp_path))
