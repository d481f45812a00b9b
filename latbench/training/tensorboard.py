"""Curves, and the graph of a network, for TensorBoard."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from latbench.errors import UnavailableError
from latbench.training.callbacks import Callback, Work

if TYPE_CHECKING:
    from torch import nn
    from torch.utils.tensorboard import SummaryWriter

    from latbench.spaces.architectures import FloatArray
    from latbench.spaces.graph import IntArray


class TensorBoard(Callback):
    """Writes metrics of steps, chosen options, and score and latency of evaluations, as scalars.

    Tags are ``<title>/<metric>``, such as ``search/score`` and ``search/latency_ms``. For each
    choice ``<title>/option/<choice>`` is the place of the likeliest option among its options, from
    0, and ``<title>/chance/<choice>`` its chance.
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
        self.close()
        self._title, self._best = task.title, -float("inf")
        self._writer = _writer(self.folder)

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write every metric."""
        for name, value in metrics.items():
            self._write(name, value, step)

    def on_chances(self, step: int, chances: Mapping[str, FloatArray]) -> None:
        """Write the likeliest option of each choice, and its chance."""
        for choice, given in chances.items():
            self._write(f"option/{choice}", int(given.argmax()), step)
            self._write(f"chance/{choice}", float(given.max()), step)

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


def write_network(
    folder: str | Path, network: nn.Module, image_shape: Sequence[int], text: str
) -> None:
    """Write the graph of ``network`` below ``folder``, and ``text`` beside it.

    Args:
        folder: as :class:`TensorBoard` takes it.
        network: takes images.
        image_shape: (channels, height, width).
        text: what the network is, in Markdown.

    Raises:
        UnavailableError: TensorBoard is not installed.
    """
    import torch

    writer = _writer(Path(folder))
    try:
        with warnings.catch_warnings():
            # What add_graph calls is deprecated in newer versions of torch.
            warnings.simplefilter("ignore", DeprecationWarning)
            writer.add_graph(network.eval(), torch.zeros(1, *image_shape))
        writer.add_text("network", text)
    finally:
        writer.close()


def _writer(folder: Path) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as missing:
        raise UnavailableError(
            "TensorBoard is not installed; install latbench[tensorboard] or leave it out"
        ) from missing
    return SummaryWriter(str(folder))
