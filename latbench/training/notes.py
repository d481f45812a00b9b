"""Numbers of single steps, looked at together."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Notes:
    """Numbers by name and step; reading them at each step would wait for an accelerator."""

    def __init__(self) -> None:
        """Begin with none."""
        self._noted: dict[str, list[tuple[int, Tensor]]] = {}

    def add(self, name: str, step: int, value: Tensor) -> None:
        """Keep a tensor of one element."""
        self._noted.setdefault(name, []).append((step, value.detach().double().reshape(())))

    def first_bad(self) -> tuple[str, int, float] | None:
        """Return name, step and value of the first number that is not finite, if there is one."""
        bad = [
            (step, name, value)
            for name, noted in self._noted.items()
            for (step, _), value in zip(noted, self._values(name), strict=True)
            if not math.isfinite(value)
        ]
        if not bad:
            return None
        step, name, value = min(bad, key=lambda one: one[0])
        return name, step, value

    def means(self) -> dict[str, float]:
        """Return the mean of each name."""
        found = {name: self._values(name) for name in self._noted}
        return {name: sum(values) / len(values) for name, values in found.items()}

    def clear(self) -> None:
        """Forget all of them."""
        self._noted.clear()

    def _values(self, name: str) -> list[float]:
        values: list[float] = torch.stack([value for _, value in self._noted[name]]).tolist()
        return values
