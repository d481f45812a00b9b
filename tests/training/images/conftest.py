"""Small real files of each form, and functions that write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latbench.training.images import cifar10

SavePicture = Callable[[str, int], Path]

CIFAR_ROWS = 20


@pytest.fixture
def picture(tmp_path: Path) -> SavePicture:
    """A function that saves an image of noise around a level, 12 pixels wide and 10 high."""

    def save(name: str, level: int) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(level)
        pixels = rng.integers(level - 20, level + 20, (10, 12, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return save


@pytest.fixture
def folder(tmp_path: Path, picture: SavePicture) -> Path:
    """Ten images of each of two classes, whose names do not come in the order of writing."""
    for number in range(10):
        picture(f"pets/dog/{number}.png", 30 + number)
        picture(f"pets/cat/{number}.jpg", 200 + number)
    return tmp_path / "pets"


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The binary version of CIFAR-10, with files of twenty images."""
    monkeypatch.setattr(cifar10, "ROWS", CIFAR_ROWS)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for number, name in enumerate([f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]):
        rng = np.random.default_rng(number)
        rows = rng.integers(0, 256, (CIFAR_ROWS, 3073)).astype(np.uint8)
        rows[:, 0] = np.arange(CIFAR_ROWS) % 10
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    return folder
