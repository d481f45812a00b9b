"""CIFAR-10 (Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009).

As https://www.cs.toronto.edu/~kriz/cifar.html publishes it, in binary or for Python. A row of the
binary form is a byte of label and 3,072 of pixels: 32 rows of red, then of green, then of blue.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from latbench.errors import UsageError
from latbench.training.images.parts import Labels, Parts, Pixels, every_row
from latbench.training.images.plain_pickle import read_pickle
from latbench.training.images.splitting import HELD_OUT, split_off

CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
ROWS = 10_000
"""Images of each file."""
_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_BINARY, _PYTHON = "cifar-10-batches-bin", "cifar-10-batches-py"
_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = "test_batch"


def read(root: Path, seed: int) -> Parts:
    """Return the data set in ``root``, a folder of either form or one that holds it.

    The published test images are the test split; a tenth of the others is for validation.

    Raises:
        UsageError: neither form is there, or a file is missing, cut short or damaged.
    """
    folder, ending = _place(root)
    train = [_batch(folder / f"{name}{ending}") for name in _TRAIN]
    images, labels = (np.concatenate(part) for part in zip(*train, strict=True))
    test = every_row(*_batch(folder / f"{_TEST}{ending}"))
    whole = every_row(images, labels)
    kept, validation = split_off(str(folder), whole, (HELD_OUT,), CLASSES, seed)
    return Parts(CLASSES, kept, validation, test)


def _place(root: Path) -> tuple[Path, str]:
    """Return the folder of the files, and how their names end; the binary form comes first."""
    for inner, ending in ((_BINARY, ".bin"), (_PYTHON, "")):
        for folder in (root, root / inner):
            if any((folder / f"{name}{ending}").is_file() for name in (*_TRAIN, _TEST)):
                return folder, ending
    if not root.is_dir():
        raise UsageError(
            f"{root} is no folder; give the folder {_BINARY} or {_PYTHON} that the archive unpacks"
        )
    raise UsageError(
        f"{root} holds neither data_batch_1.bin nor data_batch_1; unpack the binary or the Python "
        "version of CIFAR-10 there"
    )


def _batch(path: Path) -> tuple[Pixels, Labels]:
    """Return the images of a file, uint8 (n, 3, 32, 32), and their labels."""
    try:
        content = path.read_bytes()
    except OSError as failure:
        raise UsageError(f"{path} cannot be read: {failure.strerror}; unpack it again") from failure
    images, labels = _binary(path, content) if path.suffix == ".bin" else _python(path, content)
    wrong = np.flatnonzero((labels < 0) | (labels >= len(CLASSES)))
    if len(wrong):
        raise UsageError(
            f"{path} is damaged: image {wrong[0]} (from 0) has the label {labels[wrong[0]]}, and "
            f"there are {len(CLASSES)} classes; unpack it again"
        )
    return images.reshape(-1, *_SHAPE), labels


def _binary(path: Path, content: bytes) -> tuple[Pixels, Labels]:
    expected = ROWS * (1 + _PIXELS)
    if len(content) != expected:
        raise UsageError(
            f"{path} has {len(content)} bytes, and {ROWS} images take {expected}: it was cut "
            "short, or is another file; unpack it again"
        )
    rows = np.frombuffer(content, dtype=np.uint8).reshape(ROWS, 1 + _PIXELS)
    return rows[:, 1:], rows[:, 0].astype(np.int64)


def _python(path: Path, content: bytes) -> tuple[Pixels, Labels]:
    held = read_pickle(path, content)
    images, labels = held.get(b"data"), held.get(b"labels")
    if (
        not isinstance(images, np.ndarray)
        or images.shape != (ROWS, _PIXELS)
        or not isinstance(labels, list)
        or len(labels) != ROWS
        or not all(type(label) is int and abs(label) < 256 for label in labels)
    ):
        raise UsageError(
            f"{path} does not hold {ROWS} images and labels as published; unpack it again"
        )
    return images, np.array(labels, dtype=np.int64)
