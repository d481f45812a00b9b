"""CIFAR-10 in its two published forms."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latbench.errors import UsageError
from latbench.training.images import cifar10
from latbench.training.images.parts import Labels, Parts, Pixels


def text(content: bytes) -> bytes:
    """Return a string as a pickle of Python 2 has it."""
    if len(content) < 256:
        return b"U" + bytes([len(content)]) + content
    return b"T" + struct.pack("<i", len(content)) + content


def whole(number: int) -> bytes:
    """Return a small whole number as a pickle has it."""
    return b"J" + struct.pack("<i", number)


def array(rows: Pixels, dtype: bytes = b"u1") -> bytes:
    """Return an array as NumPy of Python 2 pickled it."""
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR"
    kind = b"cnumpy\ndtype\n(" + text(dtype) + b"K\x00K\x01tR(K\x03" + text(b"|") + b"NNN"
    kind += whole(-1) + whole(-1) + b"K\x00tb"
    shape = b"(" + b"".join(map(whole, rows.shape)) + b"t"
    return made + b"(K\x01" + shape + kind + b"\x89" + text(rows.tobytes()) + b"tb"


def python_form(rows: Pixels, labels: Labels) -> bytes:
    """Return a file of the Python version: protocol 2, as Python 2 wrote it."""
    listed = b"](" + b"".join(map(whole, labels.tolist())) + b"e"
    entries = text(b"batch_label") + text(b"batch 1") + text(b"labels") + listed
    return b"\x80\x02}(" + entries + text(b"data") + array(rows) + b"u."


@pytest.fixture
def python(cifar: Path) -> Path:
    """The same images in the Python version."""
    folder = cifar.parent / "cifar-10-batches-py"
    folder.mkdir()
    for path in cifar.iterdir():
        rows = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 3073)
        content = python_form(rows[:, 1:], rows[:, 0].astype(np.int64))
        (folder / path.stem).write_bytes(content)
    return folder


def assert_equal(first: Parts, second: Parts) -> None:
    """Both hold the same images with the same labels in the same splits."""
    assert first.class_names == second.class_names
    assert first.content() == second.content()


def test_the_written_pickle_is_one(python: Path) -> None:
    """What the tests write is what Python's own reader takes for the published form."""
    held: dict[bytes, Any] = pickle.loads((python / "test_batch").read_bytes(), encoding="bytes")
    assert held[b"data"].shape == (20, 3072)
    assert held[b"labels"][:3] == [0, 1, 2]


def test_rows_are_labels_and_planes(cifar: Path) -> None:
    """A byte of label, then red, green and blue, each row by row."""
    parts = cifar10.read(cifar, seed=0)
    content = (cifar / "test_batch.bin").read_bytes()
    assert parts.class_names[3] == "cat"
    assert [len(part) for part in parts.all] == [90, 10, 20]
    assert parts.test.labels[7] == content[7 * 3073] == 7
    assert parts.test.images[7, 2, 5, 9] == content[7 * 3073 + 1 + 2 * 1024 + 5 * 32 + 9]
    assert parts.train.labels[parts.validation.rows].tolist().count(3) == 1
    assert not set(parts.train.rows) & set(parts.validation.rows)


def test_both_forms_are_the_same_images(cifar: Path, python: Path) -> None:
    """A folder of either form, and one that holds them."""
    binary = cifar10.read(cifar, seed=3)
    assert_equal(cifar10.read(python, seed=3), binary)
    assert_equal(cifar10.read(cifar.parent, seed=3), binary)
    for path in cifar.iterdir():
        path.unlink()
    assert_equal(cifar10.read(cifar.parent, seed=3), binary)


@pytest.mark.parametrize("keep", [0, 1, 10 * 3073, 20 * 3073 - 1, 20 * 3073 + 1])
def test_a_file_of_another_length_is_named(cifar: Path, keep: int) -> None:
    """Also one that was cut off behind a whole image."""
    path = cifar / "data_batch_3.bin"
    path.write_bytes((path.read_bytes() * 2)[:keep])
    with pytest.raises(UsageError, match=rf"data_batch_3\.bin has {keep} bytes, .* take 61460"):
        cifar10.read(cifar, seed=0)


def test_a_missing_file_is_named(cifar: Path) -> None:
    """Four fifths of the images are not the data set."""
    (cifar / "data_batch_5.bin").unlink()
    with pytest.raises(UsageError, match=r"data_batch_5\.bin cannot be read: No such file"):
        cifar10.read(cifar, seed=0)


def test_a_label_beyond_the_classes_is_named(cifar: Path) -> None:
    """The file is damaged there, and so may its pixels be."""
    path = cifar / "test_batch.bin"
    content = bytearray(path.read_bytes())
    content[4 * 3073] = 10
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"test_batch\.bin is damaged: image 4 .* label 10"):
        cifar10.read(cifar, seed=0)


def test_other_places_are_told(tmp_path: Path) -> None:
    """A folder without the files, a file, and nothing at all."""
    with pytest.raises(UsageError, match=r"holds neither data_batch_1\.bin nor data_batch_1"):
        cifar10.read(tmp_path, seed=0)
    (tmp_path / "cifar.tar.gz").touch()
    for name in ("cifar.tar.gz", "nothing"):
        with pytest.raises(UsageError, match=f"{name} is no folder; give the folder cifar-10"):
            cifar10.read(tmp_path / name, seed=0)


class Evil:
    """Runs a command as it is unpickled by an ordinary reader."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch pwned",)


def broken(python: Path, what: str) -> bytes:
    """Return a file of the Python version with something wrong in it."""
    content = (python / "data_batch_1").read_bytes()
    rows, labels = np.zeros((20, 3072), np.uint8), np.zeros(20, np.int64)
    return {
        "evil": pickle.dumps({b"data": Evil(), b"labels": []}),
        "evil inside": b"\x80\x02}(" + text(b"data") + b"cos\nsystem\n(" + text(b"x") + b"tRu.",
        "numpy's own loader": b"\x80\x02cnumpy\nload\n(" + text(b"x") + b"tR.",
        "half": content[: len(content) // 2],
        "empty": b"",
        "no pickle": b"CIFAR",
        "list": pickle.dumps([1, 2]),
        "no array": pickle.dumps({b"data": 3}),
        "other shape": python_form(rows[:10], labels),
        "too few labels": python_form(rows, labels[:3]),
        "label too large": python_form(rows, labels + 10),
        "floats": content.replace(text(b"u1"), text(b"f4")),
        "objects": content.replace(text(b"u1"), text(b"O8")),
    }[what]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("evil", "cannot be read: it names posix.system"),
        ("evil inside", "cannot be read: it names os.system"),
        ("numpy's own loader", "cannot be read: it names numpy.load"),
        ("half", "cannot be read"),
        ("empty", "cannot be read"),
        ("no pickle", "cannot be read"),
        ("list", "it holds a list, not a dictionary"),
        ("no array", "does not hold 20 images and labels as published"),
        ("other shape", "does not hold 20 images"),
        ("too few labels", "does not hold 20 images"),
        ("label too large", "is damaged: image 0 .* label 10"),
        ("floats", "an array in it is not of plain bytes"),
        ("objects", "an array in it is not of plain bytes"),
    ],
)
def test_a_pickle_runs_nothing(
    python: Path, monkeypatch: pytest.MonkeyPatch, what: str, says: str
) -> None:
    """Whatever the file says, it is read as plain values or refused by its name."""
    monkeypatch.chdir(python.parent)
    (python / "data_batch_1").write_bytes(broken(python, what))
    with pytest.raises(UsageError, match=f"data_batch_1 .*{says}"):
        cifar10.read(python, seed=0)
    assert not Path("pwned").exists()
