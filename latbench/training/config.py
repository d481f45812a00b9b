"""How weights and architecture parameters are trained: one frozen value each."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from latbench.errors import UsageError

_WHOLE = frozenset(
    {"epochs", "steps", "batch", "accumulate", "alpha_accumulate", "report_every", "seed", "every"}
)

ONE_SHOT = ("alpha_accumulate", "warmup")
"""The settings of a training that only one-shot searches have."""


@dataclass(frozen=True)
class WarmupConfig:
    """What the weights learn by until the architecture learns too; None is as afterwards.

    Attributes:
        lr, momentum, weight_decay, clip_norm: as in :class:`TrainConfig`. The rate lies on the
            same half cosine, that of the whole training.
    """

    lr: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    clip_norm: float | None = None

    @property
    def given(self) -> dict[str, float]:
        """What is other than afterwards, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class TrainConfig:
    """Stochastic gradient descent with Nesterov momentum, its rate falling as a half cosine.

    Attributes:
        epochs: passes over the training split; the unfilled last batch of a pass is left out.
        steps: number of steps, instead of ``epochs``.
        batch: images that are run at once.
        accumulate: batches a step, whose gradients are averaged: large steps in little memory.
        lr: learning rate of the first step; it falls to zero.
        momentum: Nesterov momentum.
        weight_decay: decay of weight matrices and kernels; biases and batch norm have none.
        label_smoothing: share of the target spread evenly over the classes.
        clip_norm: largest norm of the gradient of a step.
        alpha_accumulate: batches a step of the architecture in a one-shot search, whose gradients
            are averaged.
        warmup: what differs in the warm-up of a one-shot search; nothing if None.
        report_every: steps between reports to callbacks; losses are checked and states saved then.
        seed: draws the batches, and the architectures of a supernet.
    """

    epochs: int = 30
    steps: int | None = None
    batch: int = 64
    accumulate: int = 1
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 4e-5
    label_smoothing: float = 0.1
    clip_norm: float = 5.0
    alpha_accumulate: int = 1
    warmup: WarmupConfig | None = None
    report_every: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that cannot train.

        Raises:
            UsageError: the first value out of its range.
        """
        ranges: dict[str, tuple[object, float, float]] = {
            "epochs": (self.epochs, 1, math.inf),
            "steps": (self.steps, 1, math.inf),
            # Batch norm has no variance over one image of one pixel.
            "batch": (self.batch, 2, math.inf),
            "accumulate": (self.accumulate, 1, math.inf),
            "lr": (self.lr, 1e-12, math.inf),
            # Nesterov's step is undefined without momentum.
            "momentum": (self.momentum, 1e-12, 1 - 1e-12),
            "weight_decay": (self.weight_decay, 0, math.inf),
            "label_smoothing": (self.label_smoothing, 0, 1),
            "clip_norm": (self.clip_norm, 1e-12, math.inf),
            "alpha_accumulate": (self.alpha_accumulate, 1, math.inf),
            "report_every": (self.report_every, 1, math.inf),
            "seed": (self.seed, 0, math.inf),
        }
        _check({name: one for name, one in ranges.items() if (name, one[0]) != ("steps", None)})
        if self.warmup is not None:
            try:
                self.in_warmup()
            except UsageError as failure:
                raise UsageError(f"in the warmup, {failure}") from failure

    def in_warmup(self) -> TrainConfig:
        """Return the settings of the warm-up's steps."""
        given: dict[str, Any] = {} if self.warmup is None else self.warmup.given
        return replace(self, warmup=None, **given)

    def total_steps(self, images: int) -> int:
        """Return the number of steps over a training split of ``images`` images.

        Raises:
            UsageError: a batch is larger than the split.
        """
        if self.batch > images:
            raise UsageError(
                f"a batch of {self.batch} is larger than the {images} training images; "
                f"use at most {images}"
            )
        if self.steps is not None:
            return self.steps
        return max(1, self.epochs * (images // self.batch) // self.accumulate)

    def passes_after(self, step: int, images: int) -> int:
        """Return how often ``step`` steps go through a training split of ``images`` images."""
        return step * self.accumulate // (images // self.batch)

    def lr_at(self, step: int, total: int) -> float:
        """Return the learning rate of ``step``, counted from 0, out of ``total``."""
        return 0.5 * self.lr * (1 + math.cos(math.pi * step / total))

    def to_dict(self) -> dict[str, Any]:
        """Return the values JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class AlphaConfig:
    """Adam on the architecture parameters.

    Attributes:
        rate: learning rate.
        momentum: Adam's first coefficient; 0 keeps what was not drawn from moving on.
        weight_decay: pull of the logits towards equal chances.
        every: training steps from one step of the architecture to the next.
        warmup: share of the training in which the architecture stays as it is.
        clip_norm: largest norm of the gradient of a step; 0 for any.
        rate_left: share of ``rate`` that is left at the last step, to which it falls as a half
            cosine from the first.
    """

    rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    every: int = 1
    warmup: float = 0.0
    clip_norm: float = 0.0
    rate_left: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that cannot learn.

        Raises:
            UsageError: the first value out of its range.
        """
        ranges: dict[str, tuple[object, float, float]] = {
            "rate": (self.rate, 1e-12, 1e3),
            "momentum": (self.momentum, 0, 1 - 1e-12),
            "weight_decay": (self.weight_decay, 0, 1e3),
            "every": (self.every, 1, 10**6),
            "warmup": (self.warmup, 0, 1 - 1e-12),
            "clip_norm": (self.clip_norm, 0, math.inf),
            "rate_left": (self.rate_left, 0, 1),
        }
        _check(ranges)

    def rate_at(self, step: int, total: int) -> float:
        """Return the learning rate of ``step``, counted from 0, out of ``total``."""
        first = self.warmup * total
        past = max(0.0, (step - first) / (total - first))
        cosine = 0.5 * (1 + math.cos(math.pi * past))
        return self.rate * (self.rate_left + (1 - self.rate_left) * cosine)


def _check(ranges: Mapping[str, tuple[object, float, float]]) -> None:
    """Refuse a value that is no number, or not from its lowest to its highest."""
    for name, (value, low, high) in ranges.items():
        kind = numbers.Integral if name in _WHOLE else numbers.Real
        if not isinstance(value, kind) or isinstance(value, bool):
            what = "a whole number" if name in _WHOLE else "a number"
            raise UsageError(f"{name} is {value!r}; it must be {what}")
        if not (low <= float(value) <= high and math.isfinite(value)):
            upper = "" if high == math.inf else f" and at most {high:g}"
            raise UsageError(f"{name} is {value}; it must be at least {low:g}{upper}")
