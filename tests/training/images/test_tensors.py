"""From stored pixels to what networks take."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from latbench.errors import UsageError
from latbench.training.images import room
from latbench.training.images.parts import Parts, every_row
from latbench.training.images.tensors import Normalised, normalised


def parts_of(*images: npt.NDArray[Any]) -> Parts:
    """Return training, validation and test images (n, c, h, w), each array whole."""
    train, validation, test = (
        every_row(one, np.zeros(len(one), np.int64)) for one in (images * 3)[:3]
    )
    return Parts(("a", "b"), train, validation, test)


def noise(*shape: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Return bytes of noise."""
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def stored(found: Normalised) -> npt.NDArray[Any]:
    """Return the training pixels before they were normalised."""
    mean, deviation = (torch.tensor(x).view(1, -1, 1, 1) for x in (found.mean, found.deviation))
    return (found.train * deviation + mean).numpy()


def test_each_channel_is_normalised_by_the_training_images() -> None:
    """Channels of different levels all get mean 0 and deviation 1, by the training images alone."""
    levels = np.array([0.1, 50, 900], np.float32).reshape(1, 3, 1, 1)
    train = noise(20, 3, 8, 8).astype(np.float32) * levels
    other = noise(5, 3, 8, 8, seed=1).astype(np.float32) * levels
    found = normalised("it", parts_of(train, other, other), 8, 3)
    assert found.train.dtype == torch.float32
    assert found.train.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert found.train.std(dim=(0, 2, 3)).tolist() == pytest.approx([1, 1, 1], rel=1e-5)
    np.testing.assert_allclose(stored(found), train, rtol=1e-4, atol=1e-3)
    expected = (other - np.reshape(found.mean, (1, 3, 1, 1))) / np.reshape(
        found.deviation, (1, 3, 1, 1)
    )
    np.testing.assert_allclose(found.test, expected, rtol=1e-5, atol=1e-5)


def test_grey_is_repeated_and_colour_becomes_grey() -> None:
    """One channel fits any number; three become one as Pillow's conversion to grey does it."""
    grey = normalised("it", parts_of(noise(4, 1, 8, 8)), 8, 3)
    assert grey.train.shape == (4, 3, 8, 8)
    assert torch.equal(grey.train[:, 0], grey.train[:, 2])
    assert len(set(grey.mean)) == 1
    colour = noise(4, 3, 8, 8)
    found = normalised("it", parts_of(colour), 8, 1)
    pictures = [Image.fromarray(image.transpose(1, 2, 0)).convert("L") for image in colour]
    expected = np.stack([np.asarray(picture) for picture in pictures])[:, np.newaxis]
    np.testing.assert_allclose(stored(found), expected, atol=1.01)


@pytest.mark.parametrize(("size", "height", "width"), [(4, 8, 8), (4, 8, 13), (16, 9, 8)])
def test_the_middle_square_is_scaled(size: int, height: int, width: int) -> None:
    """It is what Pillow makes of it, within rounding to bytes; nothing is squeezed."""
    images = noise(3, 1, height, width)
    found = stored(normalised("it", parts_of(images), size, 1))
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    for image, scaled in zip(images[:, 0], found[:, 0], strict=True):
        middle = Image.fromarray(image[top : top + side, left : left + side])
        expected = np.asarray(middle.resize((size, size), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(scaled, expected, atol=1.01)


@pytest.mark.parametrize("channels", [2, 4])
def test_channels_that_do_not_fit_are_refused(channels: int) -> None:
    """Coloured images are no images of two or four channels."""
    with pytest.raises(UsageError, match=f"it has images of 3 channels, and {channels} are wanted"):
        normalised("it", parts_of(noise(4, 3, 8, 8)), 8, channels)
    with pytest.raises(UsageError, match="of 1 and of 3 channels"):
        normalised("it", parts_of(noise(4, 3, 8, 8), noise(4, 1, 8, 8)), 8, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_pixels_that_are_no_numbers_are_refused(value: float) -> None:
    """NaN, infinity, and what float32 cannot hold: the image is named, also behind the first."""
    images = noise(2000, 1, 2, 2).astype(np.float64)
    images[1500, 0, 1, 1] = value
    with pytest.raises(UsageError, match=r"image 1500 \(from 0\) has NaN or infinite pixels"):
        normalised("it", parts_of(images), 2, 1)


def test_a_channel_that_never_changes_is_refused() -> None:
    """It has no deviation to divide by, and teaches nothing."""
    images = noise(4, 3, 8, 8)
    images[:, 1] = 7
    with pytest.raises(UsageError, match="channel 1 is 7 in every pixel of every training image"):
        normalised("it", parts_of(images), 8, 3)


def test_what_memory_cannot_hold_is_refused_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how much it would take, and how much there is."""
    monkeypatch.setattr(room, "available_bytes", lambda: 2**20)
    with pytest.raises(UsageError, match=r"it at 512×512 would take 36 MiB .* 1 MiB are available"):
        normalised("it", parts_of(noise(4, 3, 8, 8)), 512, 3)
