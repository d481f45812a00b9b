"""Drawings of architectures in files, while a search is under way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from latbench.errors import LatbenchError
from latbench.reports.architecture_drawing import drawing
from latbench.training.callbacks import Callback

if TYPE_CHECKING:
    from latbench.spaces import FloatArray, IntArray, SearchSpace


class Drawings(Callback):
    """Draws the likeliest architecture after each pass of a one-shot search, and new best ones.

    The files are ``step-000340.svg``, after 340 steps, with the chance of each option, and
    ``evaluation-0012.svg``, the 12th of the architectures that were scored. A pass that would be
    drawn like the one before leaves no file.
    """

    def __init__(self, folder: Path, space: SearchSpace) -> None:
        """Draw architectures of ``space`` into ``folder``, which exists."""
        self.folder = folder
        self.space = space
        self._last = ""
        self._best = -float("inf")

    def on_pass(self, step: int, chances: Mapping[str, FloatArray]) -> None:
        """Draw the architecture of the likeliest options, as it would be exported."""
        rows = [chances[choice.name] for choice in self.space.choices]
        x = self.space.one(np.array([given.argmax() for given in rows]))
        told = {
            choice.name: float(given[option])
            for choice, given, option in zip(self.space.choices, rows, x, strict=True)
        }
        drawn = drawing(_chosen(self.space, x), told)
        if drawn != self._last:
            self._last = drawn
            _write(self.folder / f"step-{step:06}.svg", drawn)

    def on_evaluation(self, n: int, x: IntArray, score: float, latency_ms: float) -> None:
        """Draw an architecture that is better than all before."""
        if score > self._best:
            self._best = score
            write_drawing(self.folder / f"evaluation-{n:04}.svg", self.space, x)


def write_drawing(path: Path, space: SearchSpace, x: IntArray) -> None:
    """Draw the architecture ``x`` (choices,) of ``space`` into the SVG file ``path``.

    Raises:
        LatbenchError: the file cannot be written.
    """
    _write(path, drawing(_chosen(space, x)))


def _chosen(space: SearchSpace, x: IntArray) -> dict[str, str]:
    """Return the option of each choice that matters in ``x`` (choices,), such as edges it takes."""
    (matters,) = space.active(x[np.newaxis])
    return {
        choice.name: choice.options[option]
        for choice, option, wanted in zip(space.choices, x, matters, strict=True)
        if wanted
    }


def _write(path: Path, drawn: str) -> None:
    try:
        path.write_text(f"{drawn}\n", encoding="utf-8")
    except OSError as failure:
        raise LatbenchError(
            f"the drawing {path} cannot be written ({failure.strerror}); name another folder"
        ) from failure
