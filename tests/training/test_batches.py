"""Shuffled batches."""

from __future__ import annotations

import numpy as np
import torch

from latbench.training.batches import Batches
from latbench.training.data import Split


def rows(n: int) -> Split:
    """Return ``n`` images whose pixel and label are their number."""
    numbers = torch.arange(n)
    return Split(numbers.float().view(n, 1, 1, 1), numbers)


def test_an_epoch_shows_every_image_once() -> None:
    """Four batches of three are the twelve images, in another order each epoch."""
    batches = Batches(rows(12), 3, np.random.default_rng(0))
    epochs = [torch.cat([batches.draw()[1] for _ in range(4)]).tolist() for _ in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(12))
    assert epochs[0] != epochs[1] != epochs[2]


def test_images_keep_their_labels() -> None:
    """A row is an image and its own label."""
    batches = Batches(rows(10), 4, np.random.default_rng(0))
    for _ in range(5):
        images, labels = batches.draw()
        assert images.flatten().tolist() == labels.tolist()


def test_an_unfilled_batch_is_left_out() -> None:
    """Every batch is whole; a new epoch begins where one would not be."""
    batches = Batches(rows(10), 4, np.random.default_rng(0))
    drawn = [batches.draw()[1].tolist() for _ in range(4)]
    assert {len(batch) for batch in drawn} == {4}
    assert len({*drawn[0], *drawn[1]}) == 8
