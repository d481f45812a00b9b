"""A progress bar on standard error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from latbench.training.callbacks import Callback, Work
from latbench.units import format_ms

if TYPE_CHECKING:
    from latbench.spaces.graph import IntArray


class ProgressBar(Callback):
    """One bar for each training or search, with what is worth knowing beside it.

    Of a training the last loss, of a one-shot search also the expected latency and how undecided it
    is (the entropy of the chances, as a share of the largest), of scores the best and its latency.
    """

    def __init__(self, console: Console | None = None) -> None:
        """Draw on ``console``; standard error unless told, since standard output is for results."""
        self.console = console
        self._progress: Progress | None = None
        self._bar = TaskID(0)
        self._unit = ""
        self._best = -float("inf")

    def on_start(self, task: Work) -> None:
        """Show an empty bar."""
        self.close()
        self._best, self._unit = -float("inf"), task.unit
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console or Console(stderr=True),
        )
        self._progress.start()
        self._bar = self._progress.add_task(task.title, total=task.total, unit=task.unit, note="")

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Show the step and what matters of its metrics."""
        told = [f"{name} {metrics[name]:.4g}" for name in ("loss", "reward") if name in metrics]
        if "expected_ms" in metrics:
            told.append(f"expected {format_ms(metrics['expected_ms'])}")
        if "entropy" in metrics:
            told.append(f"undecided {metrics['entropy']:.0%}")
        self._show(step, "  ".join(told))

    def on_evaluation(self, n: int, x: IntArray, score: float, latency_ms: float) -> None:
        """Show the count, and the best architecture when it is a new one."""
        note = None
        if score > self._best:
            self._best = score
            note = f"best {score:.4g} at {format_ms(latency_ms)}"
        # A bar that counts steps is full by now.
        self._show(n if self._unit == "evaluations" else None, note)

    def close(self) -> None:
        """Leave the last state on the screen."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _show(self, completed: int | None, note: str | None) -> None:
        if self._progress is not None:
            fields: dict[str, Any] = {} if note is None else {"note": note}
            self._progress.update(self._bar, completed=completed, **fields)
