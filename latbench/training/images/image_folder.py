"""A folder of image files, one folder a class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from latbench.errors import UsageError
from latbench.training.images.parts import Part, Parts, Pixels, require_classes
from latbench.training.images.room import require_room
from latbench.training.images.splitting import HELD_OUT, THREE_WAY, split_off

_SPLITS = ("train", "val", "test")
_MODES = {1: "L", 3: "RGB"}
_PROGRAMS = {"EPS"}
"""Formats that Pillow hands to another program, which would run what the file says."""

Files = dict[str, list[Path]]
"""Image files by the class that they show."""


def read(root: Path, image_size: int, channels: int, seed: int) -> Parts:
    """Return the images below ``root``, their middle square scaled to ``image_size``.

    Each folder in ``root`` is a class, and the image files in it, however deep, show it. Or the
    folders of classes lie in ``train``, ``val`` and ``test``, which are then the splits; of those
    that are missing, each gets a tenth of ``train``. Else the images are split 60/20/20. Hidden
    files are left out, and those whose names do not end like an image's.

    All images are held in memory: n * channels * image_size**2 bytes while they are read, and four
    times as many as tensors.

    Raises:
        UsageError: no such folder, none in it, a folder without images, an unreadable image, one
            class only, too few images of a class, or too little memory.
    """
    if channels not in _MODES:
        raise UsageError(f"images of files have 1 or 3 channels, not {channels}")
    folders = _folders(root)
    if not folders:
        raise UsageError(f"{root} holds no folder; put the images of each class into one of it")
    if not (any(map(_is_split, folders)) or all(one.name in _SPLITS for one in folders)):
        files = {folder.name: _images(folder) for folder in folders}
        whole = _read(root, list(files), [files], image_size, channels)[0]
        train, validation, test = split_off(str(root), whole, THREE_WAY, list(files), seed)
        return Parts(tuple(files), train, validation, test)
    given = _given_splits(root, folders)
    class_names = list(given["train"])
    read_parts = _read(root, class_names, list(given.values()), image_size, channels)
    parts = dict(zip(given, read_parts, strict=True))
    missing = [name for name in _SPLITS if name not in parts]
    if missing:
        shares = (HELD_OUT,) * len(missing)
        taken = split_off(str(root / "train"), parts["train"], shares, class_names, seed)
        parts |= zip(("train", *missing), taken, strict=True)
    return Parts(tuple(class_names), parts["train"], parts["val"], parts["test"])


def _given_splits(root: Path, folders: Sequence[Path]) -> dict[str, Files]:
    """Return the files of each split that there is, the training split first."""
    names = [folder.name for folder in folders]
    for name in names:
        if name not in _SPLITS:
            raise UsageError(
                f"{root} holds {name}/ beside {', '.join(n for n in names if n in _SPLITS)}; the "
                "splits are train/, val/ and test/: rename it, or move it away"
            )
    if "train" not in names:
        raise UsageError(f"{root} holds {', '.join(names)} and no train/; add it")
    given = {}
    for split in (name for name in _SPLITS if name in names):
        classes = _folders(root / split)
        if not classes:
            raise UsageError(f"{root / split} holds no folder; put the images of each class in one")
        given[split] = {folder.name: _images(folder) for folder in classes}
        for name in given[split]:
            if name not in given["train"]:
                raise UsageError(
                    f"{root / split} has the class {name}, which {root / 'train'} lacks; a network "
                    "cannot learn it"
                )
    return given


def _folders(root: Path) -> list[Path]:
    """Return the folders in ``root`` by name, without hidden ones."""
    try:
        entries = list(root.iterdir())
    except OSError as failure:
        raise UsageError(f"{root} cannot be read as a folder: {failure.strerror}") from failure
    return sorted(
        (entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")),
        key=lambda entry: entry.name,
    )


def _is_split(folder: Path) -> bool:
    """Return whether ``folder`` holds classes: it is named like a split and has folders alone."""
    return (
        folder.name in _SPLITS
        and bool(_folders(folder))
        and not any(_is_image(entry.name) for entry in folder.iterdir())
    )


def _images(folder: Path) -> list[Path]:
    """Return the image files below ``folder``, in an order that no file system decides."""
    found = [
        Path(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if _is_image(name) and not any(part.startswith(".") for part in _below(folder, place))
    ]
    if not found:
        raise UsageError(
            f"{folder} holds no image; the names of images end in .png, .jpg or another ending "
            "that Pillow knows. Fill the folder, or remove it"
        )
    return sorted(found, key=lambda path: path.relative_to(folder).parts)


def _below(folder: Path, place: str) -> tuple[str, ...]:
    return Path(place).relative_to(folder).parts


def _is_image(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in _endings()


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Return the formats that Pillow reads by itself."""
    Image.init()
    return tuple(sorted({*Image.OPEN} - _PROGRAMS))


@lru_cache(maxsize=1)
def _endings() -> frozenset[str]:
    known = Image.registered_extensions()
    return frozenset(ending for ending, form in known.items() if form in _formats())


def _read(
    root: Path, class_names: Sequence[str], splits: Sequence[Files], size: int, channels: int
) -> list[Part]:
    """Return the images of each of ``splits``, parts of one array."""
    require_classes(str(root), class_names)
    numbers = {name: number for number, name in enumerate(class_names)}
    files = [
        [(path, numbers[name]) for name, paths in split.items() for path in paths]
        for split in splits
    ]
    count = sum(map(len, files))
    # The files' pixels as bytes, and then as tensors of floats.
    require_room(f"{count} images of {root} at {size}×{size}", 5 * count * channels * size**2)
    images = np.empty((count, channels, size, size), dtype=np.uint8)
    labels = np.empty(count, dtype=np.int64)
    parts, row = [], 0
    for split in files:
        first = row
        for path, label in split:
            images[row], labels[row] = _pixels(path, size, channels), label
            row += 1
        parts.append(Part(images, labels, np.arange(first, row)))
    return parts


def _pixels(path: Path, size: int, channels: int) -> Pixels:
    """Return the middle square of an image, uint8 (channels, size, size)."""
    try:
        with Image.open(path, formats=_formats()) as image:
            mode = image.mode
            plain = image.convert(_MODES[channels])
        scaled = ImageOps.fit(plain, (size, size), Image.Resampling.BILINEAR)
    # Every format has its own way to be broken, and Pillow an error for each.
    except Exception as failure:
        raise UsageError(
            f"{path} cannot be read as an image: {failure}; mend it or remove it"
        ) from failure
    if mode.startswith(("I", "F")):  # Pillow would cut every value off at 255
        raise UsageError(
            f"{path} has more than 8 bits a channel (Pillow's mode {mode}); save it with 8"
        )
    return np.asarray(scaled).reshape(size, size, channels).transpose(2, 0, 1)
