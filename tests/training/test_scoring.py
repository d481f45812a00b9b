"""Scores of a supernet: recalibrated, repeatable, and without a trace."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from latbench.spaces.graph import IntArray
from latbench.spaces.network import Supernet
from latbench.spaces.space import SearchSpace
from latbench.training.batches import Batches
from latbench.training.config import TrainConfig
from latbench.training.data import ImageData, Split
from latbench.training.scoring import SupernetScorer, accuracy
from latbench.training.supernet import train_supernet


@pytest.fixture(scope="module")
def supernet(space: SearchSpace, data: ImageData) -> Supernet:
    """A supernet that has learned something."""
    trained = space.supernet()
    train_supernet(trained, data, TrainConfig(steps=120, batch=64, lr=0.1))
    return trained


@pytest.fixture(scope="module")
def X(space: SearchSpace) -> IntArray:
    """Some architectures, all different."""
    return np.unique(space.sample(np.random.default_rng(2), 12), axis=0)


class OnePath(nn.Module):
    """One path of a supernet as a network."""

    def __init__(self, supernet: Supernet, x: IntArray) -> None:
        super().__init__()
        self.supernet, self.x = copy.deepcopy(supernet), x

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.supernet(images, self.x)
        return logits


def test_accuracy_is_the_share_that_is_right() -> None:
    """Counted over unequal batches, and exact."""
    labels = torch.tensor([0, 1, 2, 2, 1, 0, 1])
    images = nn.functional.one_hot(torch.tensor([0, 1, 2, 0, 1, 0, 2]), 3).float()
    assert accuracy(lambda logits: logits, Split(images, labels), batch=3) == 5 / 7


def test_scores_are_accuracies_of_the_recalibrated_path(
    supernet: Supernet, data: ImageData, X: IntArray
) -> None:
    """Batch norm is averaged cumulatively over the calibration batches, as torch does it."""
    scorer = SupernetScorer(supernet, data, batch=64, calibration_batches=5, seed=3)
    batches = Batches(data.train, 64, np.random.default_rng(3))
    loader = [batches.draw()[0] for _ in range(5)]
    for x, score in zip(X[:4], scorer(X[:4]), strict=True):
        path = OnePath(supernet, x)
        update_bn(loader, path)
        path.eval()
        assert accuracy(path, data.validation) == score


def test_recalibration_matters(supernet: Supernet, data: ImageData, X: IntArray) -> None:
    """Statistics gathered over all paths misjudge single ones."""
    supernet.eval()
    shared = [accuracy(lambda images, x=x: supernet(images, x), data.validation) for x in X]  # type: ignore[misc]
    scores = SupernetScorer(supernet, data)(X)
    assert scores.mean() > np.mean(shared)
    assert scores.min() > 0.15


def test_the_supernet_is_left_as_it_was(supernet: Supernet, data: ImageData, X: IntArray) -> None:
    """Weights and batch-norm buffers are bit for bit the same after scoring."""
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    mode = supernet.training
    SupernetScorer(supernet, data)(X)
    for name, value in supernet.state_dict().items():
        assert torch.equal(value, before[name]), name
    momenta = {m.momentum for m in supernet.modules() if isinstance(m, nn.BatchNorm2d)}
    assert None not in momenta
    assert supernet.training == mode


def test_the_order_does_not_matter(supernet: Supernet, data: ImageData, X: IntArray) -> None:
    """An architecture scores the same first, last, alone and twice."""
    scores = SupernetScorer(supernet, data)(X)
    np.testing.assert_array_equal(SupernetScorer(supernet, data)(X[::-1])[::-1], scores)
    alone = [SupernetScorer(supernet, data)(x)[0] for x in X[:3]]
    np.testing.assert_array_equal(alone, scores[:3])
    assert len(set(scores)) > 3


def test_an_architecture_is_evaluated_once(
    supernet: Supernet, data: ImageData, X: IntArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores are kept by architecture."""
    scorer = SupernetScorer(supernet, data)
    first = scorer(np.concatenate([X, X]))
    evaluated: list[IntArray] = []
    monkeypatch.setattr(scorer, "_score", lambda x: evaluated.append(x))
    np.testing.assert_array_equal(scorer(X), first[: len(X)])
    assert not evaluated


def test_weights_are_shared_not_copied(space: SearchSpace, data: ImageData, X: IntArray) -> None:
    """A scorer takes no memory for a second set of weights."""
    supernet = space.supernet()
    scorer = SupernetScorer(supernet, data)
    weights = {p.data_ptr() for p in supernet.parameters()}
    assert {p.data_ptr() for p in scorer._copy.parameters()} == weights
    buffers = {b.data_ptr() for b in supernet.buffers()}
    assert not buffers & {b.data_ptr() for b in scorer._copy.buffers()}


def test_a_small_training_split_calibrates_whole(
    supernet: Supernet, data: ImageData, X: IntArray
) -> None:
    """A batch larger than the split is the split."""
    small = ImageData(
        "few",
        10,
        Split(data.train.images[:20], data.train.labels[:20]),
        data.validation,
        data.test,
        {},
    )
    assert 0 <= SupernetScorer(supernet, small, batch=64)(X[:1])[0] <= 1
