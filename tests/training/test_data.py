"""Data sets: what a split is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import latbench
from latbench.errors import ArtefactError, UsageError
from latbench.spaces.space import SearchSpace
from latbench.training.config import TrainConfig
from latbench.training.data import ImageData, check_suits, load_data
from latbench.training.retrain import retrain


def save(path: Path, **changes: Any) -> str:
    """Write thirty images of two classes that are easily told apart; return the data set's name."""
    images = np.random.default_rng(0).integers(0, 100, (30, 9, 8, 3)).astype(np.uint8)
    labels = np.arange(30) % 2
    images[labels == 1] += 100
    np.savez(path, **{"images": images, "labels": labels, **changes})
    return f"npz:{path}"


def test_shapes_and_types() -> None:
    """Images are float32 NCHW of the size asked for, labels int64."""
    data = load_data("digits", image_size=20, channels=3)
    assert data.image_shape == (3, 20, 20)
    for split, n in ((data.train, 1078), (data.validation, 359), (data.test, 360)):
        assert split.images.shape == (n, 3, 20, 20)
        assert split.images.dtype == torch.float32
        assert split.labels.dtype == torch.int64
        assert set(split.labels.tolist()) == set(range(data.classes))
        assert torch.equal(split.images[:, 0], split.images[:, 2])


def test_training_images_are_normalised(data: ImageData) -> None:
    """The training split has mean 0 and deviation 1; the others are scaled by the same."""
    assert data.train.images.mean().item() == pytest.approx(0, abs=1e-5)
    assert data.train.images.std().item() == pytest.approx(1, abs=1e-5)
    assert data.test.images.min() == data.train.images.min()


def test_the_splits_hold_every_image_once(data: ImageData) -> None:
    """The three splits together are the data set, under the right labels."""
    parts = (data.train, data.validation, data.test)
    images = torch.cat([part.images for part in parts]).flatten(1)
    labels = torch.cat([part.labels for part in parts])
    digits = load_digits()
    pixels = torch.from_numpy(digits.data).float()
    found = (images - images.min()) * (pixels.max() / (images.max() - images.min()))
    rows = sorted(
        (*np.rint(x).astype(int), int(y)) for x, y in zip(found.numpy(), labels, strict=True)
    )
    assert rows == sorted(
        (*x.astype(int), int(y)) for x, y in zip(digits.data, digits.target, strict=True)
    )


def test_the_splits_have_equal_shares_of_classes(data: ImageData) -> None:
    """A class has the same share of each split, to a fraction of an image or two."""
    shares = [
        torch.bincount(part.labels, minlength=10) / len(part)
        for part in (data.train, data.validation, data.test)
    ]
    for share in shares[1:]:
        assert (share - shares[0]).abs().max() < 0.005


def test_the_seed_draws_the_split(data: ImageData) -> None:
    """Equal seeds split alike, others do not."""
    assert torch.equal(load_data("digits", 8, 1, seed=0).train.images, data.train.images)
    assert not torch.equal(load_data("digits", 8, 1, seed=1).train.labels, data.train.labels)


def test_the_spec_rebuilds_the_data() -> None:
    """``spec`` holds the arguments."""
    data = load_data("digits", 10, 2, seed=3)
    spec = dict(data.spec)
    again = load_data(spec.pop("name"), **spec)
    assert torch.equal(again.test.images, data.test.images)


def test_an_unknown_name_lists_the_known() -> None:
    """A misspelt data set is answered by the nearest."""
    with pytest.raises(UsageError, match=r"'digit'; known: cifar10, .*did you mean 'digits'"):
        load_data("digit")


@pytest.mark.parametrize("arguments", [{"image_size": 0}, {"channels": 0}])
def test_sizes_are_positive(arguments: dict[str, Any]) -> None:
    """No images without pixels."""
    with pytest.raises(UsageError, match="must be at least 1"):
        load_data("digits", **arguments)


def test_data_that_does_not_suit_is_refused_with_the_option_to_change() -> None:
    """Channels, size and classes are compared before a convolution complains."""
    space = latbench.space("digits-mobilenet")
    check_suits(space, load_data("digits", 32, 1), any_size=False)
    check_suits(space, load_data("digits", 16, 1), any_size=True)
    with pytest.raises(UsageError, match="channels=1"):
        check_suits(space, load_data("digits", 32, 3), any_size=True)
    with pytest.raises(UsageError, match="image_size=32"):
        check_suits(space, load_data("digits", 16, 1), any_size=False)
    with pytest.raises(UsageError, match="classes=10"):
        check_suits(latbench.space("digits-mobilenet", classes=2), load_data("digits", 32, 1), True)


def test_a_data_set_of_files(tmp_path: Path) -> None:
    """Splits, labels, normalisation and names fit together."""
    data = load_data(save(tmp_path / "a.npz"), image_size=8, channels=3, seed=4)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [18, 6, 6]
    assert data.image_shape == (3, 8, 8)
    assert (data.classes, data.class_names) == (2, ("0", "1"))
    assert len(data.mean) == len(data.deviation) == 3
    assert all(80 < mean < 120 for mean in data.mean)
    for part in (data.train, data.validation, data.test):
        assert part.labels.dtype == torch.int64
        levels = part.images.mean(dim=(1, 2, 3))
        assert torch.equal(levels > 0, part.labels == 1)


def test_files_are_known_by_their_content(tmp_path: Path) -> None:
    """The spec rebuilds them, and tells other pixels and other labels."""
    data = load_data(save(tmp_path / "a.npz"), 8, 1, seed=4)
    spec = dict(data.spec)
    name = spec.pop("name")
    assert torch.equal(load_data(name, **spec).test.images, data.test.images)
    images = np.load(tmp_path / "a.npz")["images"]
    images[7, 0, 0, 0] += 1
    for changes in ({"images": images}, {"labels": 1 - np.arange(30) % 2}):
        save(tmp_path / "a.npz", **changes)
        with pytest.raises(ArtefactError, match=r"a\.npz holds other images or labels than before"):
            load_data(name, **spec)


def test_a_checkpoint_follows_the_content(space: SearchSpace, tmp_path: Path) -> None:
    """Training goes on with files that were moved, and not with others under the same name."""
    x = space.sample(np.random.default_rng(0), 1)[0]
    config = TrainConfig(steps=2, batch=16)

    def train(name: str) -> None:
        data = load_data(name, 8, 1)
        small = latbench.space(space.name, **{**space.options, "classes": 2})
        retrain(small, x, data, config, checkpoint=tmp_path / "c")

    first = save(tmp_path / "a.npz")
    train(first)
    (tmp_path / "a.npz").rename(tmp_path / "b.npz")
    train(f"npz:{tmp_path / 'b.npz'}")
    save(tmp_path / "a.npz", labels=1 - np.arange(30) % 2)
    with pytest.raises(ArtefactError, match=r"data\.content is"):
        train(first)
