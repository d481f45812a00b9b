"""Image data sets, in memory, in three splits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latbench.errors import ArtefactError, UsageError
from latbench.training.images import archive, cifar10, digits, image_folder
from latbench.training.images.naming import parse
from latbench.training.images.tensors import normalised

if TYPE_CHECKING:
    from latbench.spaces.space import SearchSpace
    from latbench.training.images.parts import Parts


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
        class_names: the name of each label, where it is known.
        mean, deviation: of each channel of the training images as they are stored (0 to 255 where
            they are bytes), by which all images were normalised.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split
    spec: dict[str, Any]
    class_names: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """JSON values that a training depends on: what the images are, not where they lie."""
        if "content" not in self.spec:
            return self.spec
        return {**self.spec, "name": parse(self.spec["name"])[0]}

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


def load_data(
    spec: str,
    image_size: int = 32,
    channels: int = 3,
    seed: int = 0,
    content: str | None = None,
) -> ImageData:
    """Return the data set named ``spec``.

    - ``digits``: scikit-learn's 1,797 grey 8x8 images of handwritten digits, split 60/20/20.
    - ``cifar10:PATH``: see :func:`latbench.training.images.cifar10.read`.
    - ``imagefolder:PATH``: see :func:`latbench.training.images.image_folder.read`.
    - ``npz:PATH``: see :func:`latbench.training.images.archive.read`.

    Nothing is downloaded. Splits that are drawn give every class its share. Images are scaled and
    normalised, and grey and colour made of each other, as
    :func:`latbench.training.images.tensors.normalised` says.

    All images are held in memory: n * channels * image_size**2 * 4 bytes, and while they are
    loaded the files' own pixels beside them. What would take more than is available is refused.

    Args:
        spec: name of the data set.
        image_size: height and width in pixels.
        channels: channels of the images.
        seed: draws the splits that are not given.
        content: hash that the images and labels must have, as ``ImageData.spec`` tells it.

    Raises:
        UsageError: the name is unknown, a size is not positive, or the files are not what they
            should be.
        ArtefactError: the files hold other images or labels than ``content`` says.
    """
    for name, value in (("image_size", image_size), ("channels", channels)):
        if value < 1:
            raise UsageError(f"{name} is {value}; it must be at least 1")
    parts = _read(spec, image_size, channels, seed)
    rebuilt: dict[str, Any] = {
        "name": spec,
        "image_size": image_size,
        "channels": channels,
        "seed": seed,
    }
    if spec != "digits":
        rebuilt["content"] = parts.content()
        if content not in (None, rebuilt["content"]):
            raise ArtefactError(
                f"{spec} holds other images or labels than before: {rebuilt['content']}, not "
                f"{content}; bring those back, or begin anew"
            )
    images = normalised(spec, parts, image_size, channels)
    train, validation, test = (
        Split(tensor, torch.from_numpy(part.labels[part.rows]))
        for tensor, part in zip(
            (images.train, images.validation, images.test), parts.all, strict=True
        )
    )
    return ImageData(
        name=spec,
        classes=len(parts.class_names),
        train=train,
        validation=validation,
        test=test,
        spec=rebuilt,
        class_names=parts.class_names,
        mean=images.mean,
        deviation=images.deviation,
    )


def _read(spec: str, image_size: int, channels: int, seed: int) -> Parts:
    kind, path = parse(spec)
    if path is None:
        return digits.read(seed)
    if kind == "cifar10":
        return cifar10.read(path, seed)
    if kind == "imagefolder":
        return image_folder.read(path, image_size, channels, seed)
    return archive.read(path, seed)


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
