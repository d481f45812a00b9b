"""A supernet that takes moments, and data and a loss for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from latbench.spaces.mixing import MixedNetwork, Options
from latbench.testing.searcher_fixtures import Toy
from latbench.training.data import ImageData, Split

__all__ = ["ToySupernet", "constant", "toy_data"]


class ToySupernet(MixedNetwork):
    """A supernet whose loss falls with the latency of what runs."""

    def __init__(self, toy: Toy) -> None:
        """Take the latencies of the toy's options, relative to those of its slowest network."""
        super().__init__()
        self.space = toy.space
        fastest = toy.space.one(toy.fastest)
        self._base = toy.fastest_ms
        self._options_ms = []
        for column, options in enumerate(toy.space.sizes):
            rows = np.tile(fastest, (options, 1))
            rows[:, column] = np.arange(options)
            self._options_ms.append(torch.from_numpy(toy.predictor.predict(rows)).float())
        self._slowest = sum(float(row.max()) for row in self._options_ms)
        self.gain = nn.Parameter(torch.zeros(()))
        self.options = nn.ParameterList(torch.zeros(size) for size in toy.space.sizes)

    def forward(self, images: Tensor, x: npt.ArrayLike) -> Tensor:
        """See :class:`~latbench.spaces.mixing.MixedNetwork`."""
        row = self.space.one(x)
        gates = [
            nn.functional.one_hot(torch.tensor(int(chosen)), size).float()
            for chosen, size in zip(row, self.space.sizes, strict=True)
        ]
        chosen = [{int(one)} for one in row]
        return self.mixed(images, gates, running=chosen)

    def mixed(
        self,
        images: Tensor,
        weights: Sequence[Tensor],
        running: Options | None = None,
        learning: Options | None = None,
    ) -> Tensor:
        """See :class:`~latbench.spaces.mixing.MixedNetwork`."""
        total: Tensor | float = 0.0
        for column, (given, row, own) in enumerate(
            zip(weights, self._options_ms, self.options, strict=True)
        ):
            for option in range(len(row)):
                if running is not None and option not in running[column]:
                    continue
                learns = learning is None or option in learning[column]
                # A weight of its own, so that it shows which options took part in a step.
                output = row[option] / self._slowest + 0.01 * torch.tanh(own[option])
                total = total + given[..., option] * (output if learns else output.detach())
        signal = images[:, 0, 0, 0] * total * (4 + torch.tanh(self.gain))
        return torch.stack([-signal, signal], dim=1)


def toy_data() -> ImageData:
    """Return images that are their labels, -1 or 1."""
    labels = torch.arange(32) % 2
    images = (2.0 * labels - 1).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
    split = Split(images, labels)
    return ImageData("toy", 2, split, split, split, {"name": "toy"})


def constant(logits: Tensor, labels: Tensor) -> Tensor:
    """Return a loss of 2 for each image, whatever the logits."""
    return 0 * logits.sum(1) + 2.0
