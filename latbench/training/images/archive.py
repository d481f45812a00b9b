"""Images and labels in a NumPy archive, ``.npz``."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

from latbench.errors import UsageError
from latbench.training.images.parts import (
    Labels,
    Part,
    Parts,
    Pixels,
    every_row,
    require_classes,
)
from latbench.training.images.room import require_room
from latbench.training.images.splitting import HELD_OUT, THREE_WAY, split_off

_CHANNELS = (1, 3)
_LARGEST_LABEL = 2**31 - 1


def read(path: Path, seed: int) -> Parts:
    """Return the images of the archive ``path``.

    It holds ``images``, uint8 or floats of any range, (n, height, width) for grey ones, (n, height,
    width, channels) or (n, channels, height, width), and ``labels``, integers from 0 (n,). With
    ``test_images`` and ``test_labels``, those are the test split, and a tenth of the others is for
    validation; without, the images are split 60/20/20. No array is unpickled.

    Raises:
        UsageError: no archive, a damaged one, an array that is missing or of another kind, labels
            that skip classes, too few images, or too little memory.
    """
    arrays = _loaded(path)
    whole = _part(path, arrays, "images", "labels")
    used = np.unique(whole.labels)
    gaps = np.flatnonzero(used != np.arange(len(used)))
    if len(gaps):
        raise UsageError(
            f"{path}: labels go up to {used[-1]}, and no image has the label {gaps[0]}; number the "
            "classes from 0 without gaps"
        )
    class_names = tuple(map(str, used))
    require_classes(str(path), class_names)
    if "test_images" not in arrays:
        return Parts(class_names, *split_off(str(path), whole, THREE_WAY, class_names, seed))
    test = _part(path, arrays, "test_images", "test_labels")
    if test.images.dtype.kind != whole.images.dtype.kind:
        raise UsageError(
            f"{path}: images are {whole.images.dtype} and test_images {test.images.dtype}, so they "
            "may be on another scale; store both alike"
        )
    if test.labels.max() >= len(class_names):
        raise UsageError(
            f"{path}: test_labels go up to {test.labels.max()} and labels to "
            f"{len(class_names) - 1}; no training image shows what is tested"
        )
    train, validation = split_off(str(path), whole, (HELD_OUT,), class_names, seed)
    return Parts(class_names, train, validation, test)


def _loaded(path: Path) -> dict[str, Pixels]:
    """Return the arrays that are used, by name."""
    try:
        with zipfile.ZipFile(path) as listed:
            sizes = {entry.filename: entry.file_size for entry in listed.infolist()}
    except OSError as failure:
        raise UsageError(f"{path} cannot be read: {failure.strerror}") from failure
    except zipfile.BadZipFile as failure:
        raise UsageError(
            f"{path} is no npz archive, or was cut short ({failure}); write it with numpy.savez"
        ) from failure
    known = {name.removesuffix(".npy") for name in sizes}
    wanted = ["images", "labels"]
    if known & {"test_images", "test_labels"}:
        wanted += ["test_images", "test_labels"]
    for name in wanted:
        if name not in known:
            held = ", ".join(sorted(known)) or "nothing"
            raise UsageError(f"{path} has no array {name!r}, it holds {held}; add it")
    require_room(str(path), sum(sizes.get(f"{name}.npy", 0) for name in wanted))
    return {name: _array(path, name) for name in wanted}


def _array(path: Path, name: str) -> Pixels:
    try:
        with np.load(path, allow_pickle=False) as archive:
            assert isinstance(archive, NpzFile)
            array = archive[name]
    # A damaged archive fails in zipfile, in zlib or in NumPy, each with errors of its own.
    except Exception as failure:
        raise UsageError(f"{path}: the array {name!r} cannot be read: {failure}") from failure
    return np.asarray(array)


def _part(path: Path, arrays: dict[str, Pixels], images: str, labels: str) -> Part:
    pixels = _channels_first(path, images, arrays[images])
    return every_row(pixels, _checked_labels(path, labels, arrays[labels], len(pixels)))


def _channels_first(path: Path, name: str, images: Pixels) -> Pixels:
    """Return ``images`` as (n, channels, height, width), without copying them."""
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise UsageError(f"{path}: {name} are {images.dtype}; store them as uint8 or float32")
    if images.ndim not in (3, 4) or not images.size:
        raise UsageError(
            f"{path}: {name} has the shape {images.shape}; it must be (n, height, width), "
            "(n, height, width, channels) or (n, channels, height, width), with none of them 0"
        )
    if images.ndim == 3:
        return images[:, np.newaxis]
    first, last = images.shape[1] in _CHANNELS, images.shape[3] in _CHANNELS
    if first == last:
        which = "either" if first else "neither"
        raise UsageError(
            f"{path}: {name} has the shape {images.shape}, in which {which} the second or the last "
            "number could be the channels; there must be 1 or 3 of them, and more pixels"
        )
    return images if first else images.transpose(0, 3, 1, 2)


def _checked_labels(path: Path, name: str, labels: Pixels, images: int) -> Labels:
    if labels.dtype.kind not in "iu":
        raise UsageError(f"{path}: {name} are {labels.dtype}; store them as integers")
    if labels.shape != (images,):
        raise UsageError(
            f"{path}: {name} has the shape {labels.shape}, and there are {images} images; there "
            "must be one label for each"
        )
    for extreme in (labels.min(), labels.max()):
        if not 0 <= extreme <= _LARGEST_LABEL:
            raise UsageError(f"{path}: {name} hold {extreme}; they must number classes from 0")
    return labels.astype(np.int64)
