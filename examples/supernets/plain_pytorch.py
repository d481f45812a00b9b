"""A latency with a gradient in a supernet of plain PyTorch, which knows nothing of latbench.

All that is latbench's are the lines of ``search`` that make ``expected`` and ``penalised``, and the
one that calls them.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from latbench.hooks import ExpectedLatency, penalty

OPTIONS_MS = {"first": [0.9, 0.4, 0.1], "second": [1.2, 0.5, 0.1], "third": [1.2, 0.5, 0.0]}
"""What each candidate takes, as ``latbench profile --model CANDIDATE.onnx`` measures it."""
FIXED_MS = 0.3


class Mixed(nn.Module):
    """A place of a supernet: the sum of its candidates, weighted by softmax(alpha)."""

    def __init__(self, *candidates: nn.Module) -> None:
        """Begin with equal chances."""
        super().__init__()
        self.candidates = nn.ModuleList(candidates)
        self.alpha = nn.Parameter(torch.zeros(len(candidates)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted sum."""
        outputs = torch.stack([candidate(x) for candidate in self.candidates])
        mixed: Tensor = torch.tensordot(self.alpha.softmax(-1), outputs, dims=1)
        return mixed


class Supernet(nn.Module):
    """Three places between a first and a last layer, for grey images."""

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        """Give each place two convolutions, and the last one nothing at all as the third."""
        super().__init__()

        def conv(channels: int, kernel: int) -> nn.Conv2d:
            return nn.Conv2d(channels, width, kernel, padding=kernel // 2)

        self.first = Mixed(conv(1, 5), conv(1, 3), conv(1, 1))
        self.second = Mixed(conv(width, 5), conv(width, 3), conv(width, 1))
        self.third = Mixed(conv(width, 5), conv(width, 3), nn.Identity())
        self.last = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (n, classes)."""
        x = self.third(self.second(self.first(images).relu()).relu()).relu()
        logits: Tensor = self.last(x.mean((2, 3)))
        return logits


def search(supernet: Supernet, target_ms: float, steps: int = 150, seed: int = 0) -> float:
    """Train weights and alphas together, and return the expected latency in ms at the end."""
    places = {name: place for name, place in supernet.named_children() if isinstance(place, Mixed)}
    alphas = [place.alpha for place in places.values()]
    weights = [p for name, p in supernet.named_parameters() if not name.endswith("alpha")]
    optimisers = torch.optim.Adam(weights, lr=3e-3), torch.optim.Adam(alphas, lr=0.05)
    expected = ExpectedLatency.from_table(OPTIONS_MS, fixed_ms=FIXED_MS)
    # It is added to the task's loss, so the weights do not feel it.
    penalised = penalty("hinge", reference_ms=target_ms, weight=10.0)
    images, labels = map(torch.as_tensor, load_digits(return_X_y=True))
    images = images.float().reshape(-1, 1, 8, 8) / 16
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randint(len(images), (64,), generator=draw)
        chances = {name: place.alpha.softmax(-1) for name, place in places.items()}
        loss = penalised(F.cross_entropy(supernet(images[rows]), labels[rows]), expected(chances))
        for optimiser in optimisers:
            optimiser.zero_grad()
        torch.autograd.backward(loss)
        for optimiser in optimisers:
            optimiser.step()
    return expected({name: place.alpha.softmax(-1) for name, place in places.items()}).item()


if __name__ == "__main__":
    for target_ms in (2.0, 1.0):
        print(f"{target_ms:g} ms wanted, {search(Supernet(), target_ms):.2f} ms expected")
