"""Curves for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from latbench.errors import UnavailableError
from latbench.training.callbacks import Callback, Work

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from latbench.spaces.graph import IntArray


class TensorBoard(Callback):
    """Writes metrics of steps, and score and latency of evaluations, as scalars.

    Tags are ``<title>/<metric>``, such as ``search/score`` and ``search/latency_ms``.
    """

    def __init__(self, folder: str | Path) -> None:
        """Write below ``folder``."""
        self.folder = Path(folder)
        self._writer: SummaryWriter | None = None
        self._title = ""
        self._best = -float("inf")

    def on_start(self, task: Work) -> None:
        """Open the event file.

        Raises:
            UnavailableError: TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as missing:
            raise UnavailableError(
                "TensorBoard is not installed; install latbench[tensorboard] or leave it out"
            ) from missing
        self.close()
        self._title, self._best = task.title, -float("inf")
        self._writer = SummaryWriter(str(self.folder))

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write every metric."""
        for name, value in metrics.items():
            self._write(name, value, step)

    def on_evaluation(self, n: int, x: IntArray, score: float, latency_ms: float) -> None:
        """Write score, latency and the best score so far."""
        self._best = max(self._best, score)
        self._write("score", score, n)
        self._write("latency_ms", latency_ms, n)
        self._write("best_score", self._best, n)

    def close(self) -> None:
        """Flush and close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, name: str, value: float, step: int) -> None:
        if self._writer is not None:
            self._writer.add_scalar(f"{self._title}/{name}", value, step)
