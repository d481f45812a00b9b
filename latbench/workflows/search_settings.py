"""How to search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latbench.training.config import TrainConfig

DEFAULT_PENALTY = {"name": "hinge"}
REWARDS = ("predictor", "measured")


@dataclass(frozen=True)
class SearchSettings:
    """How to search.

    Attributes:
        target_ms: the latency limit.
        algorithm: registered name of the searcher.
        params: its hyperparameters.
        data: name of the data set.
        data_size: side of the training images, which may differ from the space's.
        train: how the supernet is trained.
        train_on: where: ``cpu``, ``cuda`` or ``cuda:N``.
        penalty: how the latency joins the loss of one-shot searchers: what
            :func:`latbench.hooks.penalty` takes, with ``name``; a hinge at the target if None.
        reward: what latencies an algorithm follows that needs no gradient of them, such as UNAS:
            those of the ``predictor``, or ``measured`` ones of every architecture that it draws.
        evaluations: architectures that are scored.
        confidence: probability with which the limit is to hold, if not that of the mean.
        seed: of every draw.
    """

    target_ms: float
    algorithm: str = "evolution"
    params: Mapping[str, Any] = field(default_factory=dict)
    data: str = "digits"
    data_size: int = 32
    train: TrainConfig | None = None
    train_on: str = "cpu"
    penalty: Mapping[str, Any] | None = None
    reward: str = "predictor"
    evaluations: int = 200
    confidence: float | None = None
    seed: int = 0
