"""Training one architecture from scratch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from latbench.training.callbacks import Callback
from latbench.training.config import TrainConfig
from latbench.training.data import ImageData, check_suits
from latbench.training.loop import History, fit
from latbench.training.scoring import accuracy

if TYPE_CHECKING:
    from latbench.spaces.graph import IntArray
    from latbench.spaces.space import SearchSpace


@dataclass(frozen=True, eq=False)
class Retrained:
    """A trained network.

    Attributes:
        network: in evaluation mode.
        accuracy: share of the test split it gets right, in [0, 1].
        validation_accuracy: the same of the validation split.
        history: as :func:`~latbench.training.loop.fit` gives it.
    """

    network: nn.Module
    accuracy: float
    validation_accuracy: float
    history: History


def retrain(
    space: SearchSpace,
    x: IntArray,
    data: ImageData,
    config: TrainConfig,
    *,
    callbacks: Iterable[Callback] = (),
    checkpoint: Path | None = None,
    device: str = "cpu",
) -> Retrained:
    """Train the architecture ``x`` (choices,) from weights drawn by ``config.seed``.

    Raises:
        UsageError: the network takes other images than the data has, or has too few logits.
        ArtefactError, LatbenchError: as :func:`~latbench.training.loop.fit`.
    """
    check_suits(space, data, any_size=False)
    network = space.network(x, seed=config.seed)
    history = fit(
        network,
        lambda images, rng: network(images),
        data,
        config,
        identity={"training": "network", "architecture": space.to_json(x)},
        title="network",
        callbacks=callbacks,
        checkpoint=checkpoint,
        device=device,
    )
    here = data.to(device)
    return Retrained(
        network=network,
        accuracy=accuracy(network, here.test),
        validation_accuracy=accuracy(network, here.validation),
        history=history,
    )
