"""A progress bar on standard error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

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
    """One bar for each training or search, with the last loss or the best score beside it."""

    def __init__(self, console: Console | None = None) -> None:
        """Draw on ``console``; standard error unless told, since standard output is for results."""
        self.console = console
        self._progress: Progress | None = None
        self._bar = TaskID(0)
        self._best = -float("inf")

    def on_start(self, task: Work) -> None:
        """Show an empty bar."""
        self.close()
        self._best = -float("inf")
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
        """Show the step and its metrics."""
        note = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        self._show(step, note)

    def on_evaluation(self, n: int, x: IntArray, score: float, latency_ms: float) -> None:
        """Show the count, and the best architecture when it is a new one."""
        if score > self._best:
            self._best = score
            self._show(n, f"best {score:.4g} at {format_ms(latency_ms)}")
        else:
            self._show(n, None)

    def close(self) -> None:
        """Leave the last state on the screen."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _show(self, completed: int, note: str | None) -> None:
        if self._progress is None:
            return
        if note is None:
            self._progress.update(self._bar, completed=completed)
        else:
            self._progress.update(self._bar, completed=completed, note=note)
