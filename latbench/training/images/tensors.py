"""Images as they are stored into tensors that networks take: shape, channels, normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from latbench.errors import UsageError
from latbench.training.images.parts import Part, Parts
from latbench.training.images.room import require_room

_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601-7, section 2.5.1), as Pillow takes them."""


@dataclass(frozen=True, eq=False)
class Normalised:
    """Images as networks take them, and how they became so.

    Attributes:
        train, validation, test: float32 (n, channels, size, size).
        mean, deviation: of each channel of the stored training images.
    """

    train: Tensor
    validation: Tensor
    test: Tensor
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


def normalised(source: str, parts: Parts, size: int, channels: int) -> Normalised:
    """Return the images of ``parts`` at one size, normalised.

    The middle square of each image is scaled bilinearly. Colour becomes grey where one channel is
    asked for, and grey is repeated in every channel. Each channel is normalised by its mean and
    standard deviation over the training images.

    Args:
        source: what the images are of, for messages.
        parts: as they were read.
        size: height and width in pixels.
        channels: channels that the networks take.

    Raises:
        UsageError: the channels do not fit, there are NaN or infinite pixels, a channel is the
            same in every training pixel, or memory does not suffice.
    """
    kept = _kept_channels(source, parts, channels)
    images = sum(len(part) for part in parts.all)
    # Grey images are there once more until they are repeated.
    held = channels if kept == channels else channels + kept
    require_room(f"{source} at {size}×{size}", 4 * images * held * size**2)
    whole = [_scaled(source, part, size, kept) for part in parts.all]
    mean, deviation = _statistics(source, whole[0])
    train, validation, test = (
        tensor.sub_(mean).div_(deviation).expand(-1, channels, -1, -1).contiguous()
        for tensor in whole
    )
    repeated = channels // kept
    return Normalised(
        train,
        validation,
        test,
        tuple(mean.flatten().tolist()) * repeated,
        tuple(deviation.flatten().tolist()) * repeated,
    )


def _kept_channels(source: str, parts: Parts, channels: int) -> int:
    """Return the channels that are told apart until the images are normalised."""
    told = {int(part.images.shape[1]) for part in parts.all}
    if len(told) > 1:
        raise UsageError(f"{source} has images of {min(told)} and of {max(told)} channels")
    (found,) = told
    if found == 1 or (found == 3 and channels == 1):
        return 1
    if found != channels:
        raise UsageError(
            f"{source} has images of {found} channels, and {channels} are wanted; grey images fit "
            "any number, coloured ones 3 or 1"
        )
    return found


def _scaled(source: str, part: Part, size: int, channels: int) -> Tensor:
    scaled = torch.empty(len(part), channels, size, size)
    start = 0
    for stored in part.chunks():
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is told
            images = torch.from_numpy(np.ascontiguousarray(stored, dtype=np.float32))
        finite = images.isfinite().flatten(1).all(dim=1)
        if not finite.all():
            row = part.rows[start + int(finite.int().argmin())]
            raise UsageError(
                f"{source}: image {row} (from 0) has NaN or infinite pixels; mend it, or leave it "
                "out"
            )
        if images.shape[1] == 3 and channels == 1:
            images = torch.einsum("nchw,c->nhw", images, torch.tensor(_LUMA)).unsqueeze(1)
        scaled[start : start + len(images)] = _square(images, size)
        start += len(images)
    return scaled


def _square(images: Tensor, size: int) -> Tensor:
    """Return the middle squares of ``images`` (n, channels, height, width), scaled to ``size``."""
    height, width = images.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = images[:, :, top : top + side, left : left + side]
    if side == size:
        return middle
    return F.interpolate(
        middle,
        size=(size, size),
        mode="bilinear",
        align_corners=False,
        antialias=size < side,  # else pixels between those that are looked at would not count
    )


def _statistics(source: str, train: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation of each channel, (1, channels, 1, 1)."""
    lowest, highest = train.amin(dim=(0, 2, 3)), train.amax(dim=(0, 2, 3))
    for channel in torch.nonzero(lowest == highest).flatten().tolist():
        raise UsageError(
            f"{source}: channel {channel} is {lowest[channel]:g} in every pixel of every training "
            "image, so there is nothing to learn from it; take images that differ"
        )
    mean = train.mean(dim=(0, 2, 3), keepdim=True)
    return mean, train.std(dim=(0, 2, 3), keepdim=True)
