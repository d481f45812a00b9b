"""What every form of data set is read into: images as they are stored, in three parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError

Pixels = npt.NDArray[Any]
Labels = npt.NDArray[np.int64]

_CHUNK = 1024


@dataclass(frozen=True, eq=False)
class Part:
    """Some images of an array.

    Attributes:
        images: uint8 or float (m, channels, height, width).
        labels: int64 (m,).
        rows: int64 (n,), which of them belong to the part, in their order.
    """

    images: Pixels
    labels: Labels
    rows: Labels

    def __len__(self) -> int:
        """Return the number of images in the part."""
        return len(self.rows)

    def chunks(self) -> Iterator[Pixels]:
        """Yield the part's images as they are stored, some at a time."""
        for start in range(0, len(self.rows), _CHUNK):
            yield self.images[self.rows[start : start + _CHUNK]]


@dataclass(frozen=True, eq=False)
class Parts:
    """A data set as it was read.

    Attributes:
        class_names: the name of each label.
        train, validation, test: its splits.
    """

    class_names: tuple[str, ...]
    train: Part
    validation: Part
    test: Part

    @property
    def all(self) -> tuple[Part, Part, Part]:
        """The three parts."""
        return self.train, self.validation, self.test

    def content(self) -> str:
        """Return ``sha256:<hex>`` of the images and labels of the three parts, as stored."""
        found = hashlib.sha256()
        for part in self.all:
            dtype, shape = part.images.dtype.str, part.images.shape[1:]
            found.update(f"{dtype} {shape} {len(part)}".encode())
            for images in part.chunks():
                found.update(np.ascontiguousarray(images).data)
            found.update(part.labels[part.rows].astype("<i8").tobytes())
        return f"sha256:{found.hexdigest()}"


def every_row(images: Pixels, labels: Labels) -> Part:
    """Return all of ``images`` as one part."""
    return Part(images, labels, np.arange(len(labels)))


def require_classes(source: str, class_names: Sequence[str]) -> None:
    """Refuse what leaves nothing to tell apart.

    Raises:
        UsageError: there is one class only.
    """
    if len(class_names) < 2:
        raise UsageError(
            f"{source} has one class only ({', '.join(class_names)}); a network learns to tell "
            "two or more apart"
        )
