"""Training one architecture from scratch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from latbench.errors import ArtefactError, UsageError
from latbench.spaces.space import SearchSpace
from latbench.training.config import TrainConfig
from latbench.training.data import ImageData, load_data
from latbench.training.retrain import retrain
from latbench.training.scoring import accuracy


def test_a_network_learns_digits(space: SearchSpace, data: ImageData) -> None:
    """A few epochs bring a small network far above chance, on images it never saw."""
    x = space.sample(np.random.default_rng(0), 1)[0]
    trained = retrain(space, x, data, TrainConfig(epochs=10, batch=32, lr=0.1))
    assert trained.accuracy > 0.7
    assert trained.accuracy == accuracy(trained.network, data.test)
    assert trained.validation_accuracy == accuracy(trained.network, data.validation)
    assert not trained.network.training


def test_the_seed_draws_the_weights(space: SearchSpace, data: ImageData) -> None:
    """Equal seeds give equal networks, others do not."""
    x = space.sample(np.random.default_rng(0), 1)[0]
    trained = [
        retrain(space, x, data, TrainConfig(steps=5, batch=16, seed=seed)).network.state_dict()
        for seed in (1, 1, 2)
    ]
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])
    assert any(not torch.equal(trained[0][name], trained[2][name]) for name in trained[0])


def test_a_checkpoint_is_one_architectures(
    space: SearchSpace, data: ImageData, tmp_path: Path
) -> None:
    """The checkpoint of another architecture is refused by the choice that differs."""
    config = TrainConfig(steps=2, batch=16)
    x = space.sample(np.random.default_rng(0), 1)[0]
    other = x.copy()
    other[0] = (other[0] + 1) % space.sizes[0]
    retrain(space, x, data, config, checkpoint=tmp_path / "c")
    with pytest.raises(ArtefactError, match=rf"choices\.{space.choices[0].name} is"):
        retrain(space, other, data, config, checkpoint=tmp_path / "c")


def test_images_of_another_size_are_refused(space: SearchSpace) -> None:
    """The network is exported for its space's size, so it is trained on that."""
    x = space.sample(np.random.default_rng(0), 1)[0]
    with pytest.raises(UsageError, match="image_size=8"):
        retrain(space, x, load_data("digits", 16, 1), TrainConfig(steps=1))
