"""Image data sets, in memory, split three ways by seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from latbench.errors import UsageError
from latbench.registry import unknown

if TYPE_CHECKING:
    from latbench.spaces.space import SearchSpace


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels.

    Attributes:
        images: float32 (n, channels, height, width), normalised.
        labels: int64 (n,).
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def to(self, device: str) -> Split:
        """Return the split on ``device``."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set with its three splits.

    ``train`` is what weights see, ``validation`` what a search sees, ``test`` what neither sees.

    Attributes:
        name: the name it was loaded by.
        classes: number of labels, which run from 0.
        spec: JSON-ready values that :func:`load_data` rebuilds it from.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split
    spec: dict[str, Any]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def to(self, device: str) -> ImageData:
        """Return the data on ``device``."""
        return replace(
            self,
            train=self.train.to(device),
            validation=self.validation.to(device),
            test=self.test.to(device),
        )


def load_data(spec: str, image_size: int = 32, channels: int = 3, seed: int = 0) -> ImageData:
    """Return the data set named ``spec``.

    ``digits`` is scikit-learn's: 1,797 grey 8x8 images of handwritten digits, here enlarged
    bilinearly and with the grey repeated in every channel, split 60/20/20 with equal shares of
    the classes. Images are normalised by the mean and standard deviation of the training split.

    Args:
        spec: name of the data set.
        image_size: height and width in pixels.
        channels: channels of the images.
        seed: draws the split.

    Raises:
        UsageError: the name is unknown, or a size is not positive.
    """
    if spec != "digits":
        raise UsageError(unknown("data set", spec, ["digits"]))
    for name, value in (("image_size", image_size), ("channels", channels)):
        if value < 1:
            raise UsageError(f"{name} is {value}; it must be at least 1")
    pixels, labels = _digits()
    pixels = F.interpolate(
        pixels, size=(image_size, image_size), mode="bilinear", align_corners=False
    )
    train, validation, test = _three_way(labels, seed)
    mean, deviation = pixels[train].mean(), pixels[train].std()
    images = ((pixels - mean) / deviation).expand(-1, channels, -1, -1)

    def split(rows: Tensor) -> Split:
        return Split(images[rows].contiguous(), labels[rows])

    return ImageData(
        name=spec,
        classes=10,
        train=split(train),
        validation=split(validation),
        test=split(test),
        spec={"name": spec, "image_size": image_size, "channels": channels, "seed": seed},
    )


def check_suits(space: SearchSpace, data: ImageData, any_size: bool) -> None:
    """Refuse data that networks of ``space`` cannot take.

    Args:
        space: of the networks.
        data: what they are to be trained on.
        any_size: whether images may have another size than the space's.

    Raises:
        UsageError: the images differ in channels or size, or there are more classes than logits.
    """
    channels, *size = space.input_shape
    found, *found_size = data.image_shape
    if channels != found:
        raise UsageError(
            f"{space.name} takes images of {channels} channels, {data.name} has {found}; load the "
            f"data with channels={channels}"
        )
    if not any_size and size != found_size:
        raise UsageError(
            f"{space.name} takes images of {size[0]}x{size[1]}, {data.name} has "
            f"{found_size[0]}x{found_size[1]}; load the data with image_size={size[0]}"
        )
    if data.classes > space.classes:
        raise UsageError(
            f"{space.name} has {space.classes} logits and {data.name} {data.classes} classes; "
            f"build it with classes={data.classes}"
        )


def _digits() -> tuple[Tensor, Tensor]:
    """Return scikit-learn's digits as images (n, 1, 8, 8) and labels (n,)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).to(torch.float32)
    return images.unsqueeze(1), torch.from_numpy(digits.target).to(torch.int64)


def _three_way(labels: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows of a stratified 60/20/20 split."""
    from sklearn.model_selection import train_test_split

    rows = torch.arange(len(labels)).numpy()
    train, rest = train_test_split(rows, test_size=0.4, stratify=labels.numpy(), random_state=seed)
    validation, test = train_test_split(
        rest, test_size=0.5, stratify=labels.numpy()[rest], random_state=seed
    )
    return torch.from_numpy(train), torch.from_numpy(validation), torch.from_numpy(test)
