"""NumPy archives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latbench.errors import UsageError
from latbench.training.images import archive, room

N = 30


def arrays(**changes: Any) -> dict[str, Any]:
    """Return thirty images of three classes; a change to None leaves an array out."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (N, 6, 5, 3)).astype(np.uint8)
    made = {"images": images, "labels": np.arange(N) % 3, **changes}
    return {name: value for name, value in made.items() if value is not None}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the archive is to lie."""
    return tmp_path / "data.npz"


def test_every_layout_is_the_same_images(path: Path) -> None:
    """Channels may come first or last, and grey needs none."""
    images = arrays()["images"]
    np.savez(path, **arrays())
    last = archive.read(path, seed=0)
    assert last.train.images.shape == (N, 3, 6, 5)
    np.savez_compressed(path, **arrays(images=images.transpose(0, 3, 1, 2)))
    assert archive.read(path, seed=0).content() == last.content()
    np.savez(path, **arrays(images=images[..., 0]))
    grey = archive.read(path, seed=0)
    np.savez(path, **arrays(images=images[..., :1]))
    assert archive.read(path, seed=0).content() == grey.content()
    np.testing.assert_array_equal(grey.train.images[:, 0], images[..., 0])


def test_test_images_are_the_test_split(path: Path) -> None:
    """Where they are given, a tenth of the others validates; else there are three shares."""
    np.savez(path, **arrays())
    parts = archive.read(path, seed=0)
    assert [len(part) for part in parts.all] == [18, 6, 6]
    assert parts.class_names == ("0", "1", "2")
    test = np.full((2, 6, 5, 3), 9, np.uint8)
    np.savez(path, **arrays(test_images=test, test_labels=np.array([2, 2], np.uint8), more=3))
    parts = archive.read(path, seed=0)
    assert [len(part) for part in parts.all] == [27, 3, 2]
    assert (parts.test.images == 9).all()
    assert parts.test.labels.tolist() == [2, 2]
    assert parts.test.labels.dtype == np.int64


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"images": None}, "has no array 'images', it holds labels; add it"),
        ({"labels": None}, "has no array 'labels', it holds images"),
        ({"test_images": np.zeros((2, 6, 5, 3), np.uint8)}, "has no array 'test_labels'"),
        ({"images": np.zeros((N, 6, 5), np.int64)}, "images are int64; store them as uint8"),
        ({"images": np.zeros((N, 30), np.uint8)}, r"images has the shape \(30, 30\); it must be"),
        ({"images": np.zeros((N, 0, 5), np.uint8)}, "with none of them 0"),
        ({"images": np.zeros((N, 6, 5, 4), np.uint8)}, "neither the second or the last"),
        ({"images": np.zeros((N, 3, 5, 3), np.uint8)}, "either the second or the last"),
        ({"images": np.array([None] * N)}, "the array 'images' cannot be read: Object arrays"),
        ({"labels": np.array(["cat"] * N)}, "labels are <U3; store them as integers"),
        ({"labels": np.array([{}] * N)}, "the array 'labels' cannot be read: Object arrays"),
        ({"labels": np.arange(N) % 3 + 0.5}, "labels are float64; store them as integers"),
        ({"labels": np.arange(N + 1) % 3}, r"labels has the shape \(31,\), and there are 30"),
        ({"labels": np.arange(N) % 3 - 1}, "labels hold -1; they must number classes from 0"),
        ({"labels": np.full(N, 2**63, np.uint64)}, "labels hold 9223372036854775808"),
        ({"labels": np.arange(N) % 3 * 2}, "labels go up to 4, and no image has the label 1"),
        ({"labels": np.arange(N) % 3 + 1}, "labels go up to 3, and no image has the label 0"),
        ({"labels": np.zeros(N, int)}, r"has one class only \(0\)"),
        ({"labels": np.array([0] * 28 + [1] * 2)}, "has 2 images of the class 1, too few"),
        (
            {"test_images": np.zeros((2, 6, 5, 3)), "test_labels": np.zeros(2, int)},
            "images are uint8 and test_images float64",
        ),
        (
            {"test_images": np.zeros((2, 6, 5), np.uint8), "test_labels": np.full(2, 3)},
            "test_labels go up to 3 and labels to 2",
        ),
    ],
)
def test_arrays_that_are_none_of_images_are_refused(
    path: Path, changes: dict[str, Any], says: str
) -> None:
    """What is wrong stands there with the name of the array; nothing is unpickled."""
    np.savez(path, **arrays(**changes))
    with pytest.raises(UsageError, match=says):
        archive.read(path, seed=0)


def test_other_files_are_named(path: Path) -> None:
    """Nothing there, a folder, half a file, a file that was changed, an array, a pickle."""
    with pytest.raises(UsageError, match=r"data\.npz cannot be read: No such file"):
        archive.read(path, seed=0)
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        archive.read(path.parent, seed=0)
    np.savez_compressed(path, **arrays())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UsageError, match="is no npz archive, or was cut short"):
        archive.read(path, seed=0)
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(200) + content[middle + 200 :])
    with pytest.raises(UsageError, match="the array 'images' cannot be read: "):
        archive.read(path, seed=0)
    np.save(path.with_suffix(".npy"), arrays()["images"])
    for other in (path.with_suffix(".npy"), Path(__file__)):
        with pytest.raises(UsageError, match="is no npz archive"):
            archive.read(other, seed=0)


def test_memory_is_looked_at_before_arrays_are_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small file may hold a large array of zeros."""
    np.savez_compressed(path, **arrays(images=np.zeros((N, 500, 500), np.uint8)))
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(room, "available_bytes", lambda: 2**20)
    with pytest.raises(UsageError, match=r"data\.npz would take 7\.15 MiB of memory, and 1 MiB"):
        archive.read(path, seed=0)
