"""Supernet training by uniform path sampling (Guo et al., arXiv 1904.00420, section 3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from latbench.errors import InfeasibleError
from latbench.training.callbacks import Callback
from latbench.training.config import TrainConfig
from latbench.training.data import ImageData, check_suits
from latbench.training.loop import History, fit

if TYPE_CHECKING:
    from latbench.spaces.graph import IntArray
    from latbench.spaces.network import Supernet
    from latbench.spaces.space import SearchSpace
    from latbench.training.task import Feasible

TRIES = 8192


def train_supernet(
    supernet: Supernet,
    data: ImageData,
    config: TrainConfig,
    *,
    feasible: Feasible | None = None,
    depends_on: Mapping[str, Any] | None = None,
    callbacks: Iterable[Callback] = (),
    checkpoint: Path | None = None,
    device: str = "cpu",
) -> History:
    """Train the weights that all architectures share, one drawn architecture a step.

    Weights and batch-norm statistics that the drawn path has no part in stay bit for bit as they
    are. Of a weight that candidates share, the path takes a part; the rest has a gradient of zero,
    and is moved by what momentum and decay it has.

    Args:
        supernet: trained in place.
        data: its training split is used.
        config: how to train.
        feasible: draws only architectures that it accepts, uniformly among them.
        depends_on: JSON values that tell one ``feasible`` from another, such as its limit; a
            checkpoint is refused where they differ.
        callbacks: listeners.
        checkpoint: file to keep the state in. If it exists, training goes on from it.
        device: where to train.

    Returns:
        As :func:`~latbench.training.loop.fit`.

    Raises:
        UsageError: the data has other channels than the space, or more classes.
        InfeasibleError: ``feasible`` accepts none of many draws.
        ArtefactError, LatbenchError: as :func:`~latbench.training.loop.fit`.
    """
    space = supernet.space
    check_suits(space, data, any_size=True)

    def forward(images: Tensor, rng: np.random.Generator) -> Tensor:
        logits: Tensor = supernet(images, sample_path(space, feasible, rng))
        return logits

    return fit(
        supernet,
        forward,
        data,
        config,
        identity={
            "training": "supernet",
            "space": space.spec,
            "feasible": None if feasible is None else dict(depends_on or {}),
        },
        title="supernet",
        callbacks=callbacks,
        checkpoint=checkpoint,
        device=device,
    )


def sample_path(
    space: SearchSpace, feasible: Feasible | None, rng: np.random.Generator
) -> IntArray:
    """Return one architecture (choices,), uniform over those that ``feasible`` accepts.

    Raises:
        InfeasibleError: none of :data:`TRIES` draws is accepted.
    """
    tried, draws = 0, 1 if feasible is None else 8
    while tried < TRIES:
        X = space.sample(rng, draws)
        accepted = X if feasible is None else X[feasible(X)]
        if len(accepted):
            path: IntArray = accepted[0]
            return path
        tried, draws = tried + draws, 2 * draws
    raise InfeasibleError(
        f"none of {tried} uniformly drawn architectures of {space.name} meets the limit, so the "
        "supernet cannot be trained within it; raise the limit, or train on all architectures"
    )
