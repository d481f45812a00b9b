"""Shuffled batches without end."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from latbench.training.data import Split


class Batches:
    """Batches of a split, reshuffled each epoch; the unfilled last one is left out.

    Attributes:
        order: the rows of this epoch, int64 (n,).
        position: how many of them are used.
    """

    def __init__(self, split: Split, batch: int, rng: np.random.Generator) -> None:
        """Draw batches of ``batch`` images, at most the whole split, with ``rng``."""
        self.split = split
        self.batch = batch
        self.rng = rng
        self.order = torch.empty(0, dtype=torch.int64)
        self.position = 0

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return the next images and their labels."""
        if self.position + self.batch > len(self.order):
            self.order = torch.from_numpy(self.rng.permutation(len(self.split)))
            self.position = 0
        rows = self.order[self.position : self.position + self.batch]
        self.position += self.batch
        return self.split.images[rows], self.split.labels[rows]
