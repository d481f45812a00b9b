"""How good an architecture is: its accuracy with trained weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from latbench.training.batches import Batches
from latbench.training.data import ImageData, Split
from latbench.training.placement import place

if TYPE_CHECKING:
    import numpy.typing as npt

    from latbench.spaces.architectures import FloatArray
    from latbench.spaces.graph import IntArray
    from latbench.spaces.network import Supernet


@torch.no_grad()
def accuracy(forward: Callable[[Tensor], Tensor], split: Split, batch: int = 256) -> float:
    """Return the share of ``split`` whose largest logit is the label, in [0, 1].

    ``forward`` gives logits for images and is expected to be in evaluation mode.
    """
    correct = torch.zeros((), dtype=torch.int64, device=split.labels.device)
    for start in range(0, len(split), batch):
        images = split.images[start : start + batch]
        labels = split.labels[start : start + batch]
        correct += (forward(images).argmax(dim=1) == labels).sum()
    return int(correct) / len(split)


class SupernetScorer:
    """Scores architectures by their validation accuracy with the weights of a supernet.

    Batch-norm statistics gathered over many paths fit none of them, so they are gathered anew for
    each architecture, as plain means over the same few training batches. That happens in a copy
    that shares the weights, so the supernet does not change, and a score does not depend on what
    was scored before. Scores are kept by architecture hash: train first, then build the scorer.
    """

    def __init__(
        self,
        supernet: Supernet,
        data: ImageData,
        *,
        batch: int = 128,
        calibration_batches: int = 2,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        """Move ``supernet`` to ``device`` and draw the calibration images.

        Args:
            supernet: trained.
            data: training images calibrate, the validation split scores.
            batch: images a forward pass.
            calibration_batches: batches that batch-norm statistics are averaged over.
            seed: draws the calibration images.
            device: where to evaluate.
        """
        place(supernet, device)
        self.space = supernet.space
        self.batch = batch
        on_device = data.to(device)
        self._validation = on_device.validation
        batches = Batches(on_device.train, min(batch, len(data.train)), np.random.default_rng(seed))
        self._calibration = [batches.draw()[0] for _ in range(calibration_batches)]
        shared: dict[int, object] = {id(p): p for p in supernet.parameters()}
        shared[id(self.space)] = self.space
        self._copy = copy.deepcopy(supernet, shared)
        self._norms = [m for m in self._copy.modules() if isinstance(m, _BatchNorm)]
        for norm in self._norms:
            norm.momentum = None  # a cumulative mean, not one that forgets
        self._scores: dict[str, float] = {}

    def __call__(self, X: npt.ArrayLike) -> FloatArray:
        """Return the accuracy of each architecture of ``X`` (n, choices), (n,) in [0, 1]."""
        scores = []
        for x in self.space.check(X):
            key = self.space.hash(x)
            if key not in self._scores:
                self._scores[key] = self._score(x)
            scores.append(self._scores[key])
        return np.array(scores, dtype=np.float64)

    def _score(self, x: IntArray) -> float:
        self._calibrate(x)
        return accuracy(lambda images: self._copy(images, x), self._validation, self.batch)

    @torch.no_grad()
    def _calibrate(self, x: IntArray) -> None:
        self._copy.eval()
        for norm in self._norms:
            norm.reset_running_stats()
            norm.train()
        for images in self._calibration:
            self._copy(images, x)
        self._copy.eval()
