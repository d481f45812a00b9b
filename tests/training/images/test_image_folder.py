"""Folders of image files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latbench.errors import UsageError
from latbench.training.images import image_folder, room
from latbench.training.images.parts import Part


def means(part: Part) -> dict[str, list[float]]:
    """Return the mean level of the images of each label."""
    rows = part.rows
    return {
        str(label): [float(part.images[row].mean()) for row in rows if part.labels[row] == label]
        for label in np.unique(part.labels[rows])
    }


def test_each_folder_is_a_class(folder: Path) -> None:
    """Labels follow the folders' names, and every split has its share of each."""
    parts = image_folder.read(folder, 8, 3, seed=0)
    assert parts.class_names == ("cat", "dog")
    assert parts.train.images.shape == (20, 3, 8, 8)
    assert parts.train.images.dtype == np.uint8
    for part, n in zip(parts.all, (6, 2, 2), strict=True):
        levels = means(part)
        assert [len(levels["0"]), len(levels["1"])] == [n, n]
        assert min(levels["0"]) > 170  # cats are bright
        assert max(levels["1"]) < 70


def test_the_splits_of_the_folders_are_kept(tmp_path: Path, folder: Path) -> None:
    """``val`` and ``test`` are those that lie there; of what is missing, train gives a tenth."""
    split = tmp_path / "split"
    for name, numbers in {"train": range(6), "val": range(6, 9), "test": range(9, 10)}.items():
        for kind, ending in (("cat", "jpg"), ("dog", "png")):
            (split / name / kind).mkdir(parents=True)
            for number in numbers:
                file = f"{kind}/{number}.{ending}"
                shutil.copy(folder / file, split / name / file)
    parts = image_folder.read(split, 8, 3, seed=0)
    assert [len(part) for part in parts.all] == [12, 6, 2]
    whole = image_folder.read(folder, 8, 3, seed=0)
    last = whole.train.images[[9, 19]]
    np.testing.assert_array_equal(parts.test.images[parts.test.rows], last)
    shutil.rmtree(split / "test")
    parts = image_folder.read(split, 8, 3, seed=0)
    assert [len(part) for part in parts.all] == [10, 6, 2]
    assert not set(parts.train.rows) & set(parts.test.rows)
    shutil.rmtree(split / "val")
    assert [len(p) for p in image_folder.read(split, 8, 3, seed=0).all] == [8, 2, 2]
    shutil.rmtree(split / "train" / "dog")
    (split / "val" / "cow").mkdir(parents=True)
    shutil.copy(folder / "dog" / "1.png", split / "val" / "cow")
    with pytest.raises(UsageError, match=r"val has the class cow, which .*train lacks"):
        image_folder.read(split, 8, 3, seed=0)
    shutil.rmtree(split / "train")
    with pytest.raises(UsageError, match="holds val and no train/"):
        image_folder.read(split, 8, 3, seed=0)


def test_a_class_may_be_called_like_a_split(folder: Path) -> None:
    """A folder of images is a class, whatever its name; trains are photographed, too."""
    (folder / "dog").rename(folder / "train")
    assert image_folder.read(folder, 8, 3, seed=0).class_names == ("cat", "train")


def test_splits_without_classes_are_no_classes(folder: Path) -> None:
    """Images that lie in ``train`` itself show nobody knows what."""
    (folder / "dog").rename(folder / "train")
    (folder / "cat").rename(folder / "test")
    with pytest.raises(UsageError, match="train holds no folder; put the images of each class"):
        image_folder.read(folder, 8, 3, seed=0)


def test_a_misnamed_split_is_refused(tmp_path: Path, folder: Path) -> None:
    """Training on ``train`` alone, with ``validation`` left lying, would go unnoticed."""
    shutil.copytree(folder, tmp_path / "split" / "train")
    shutil.copytree(folder, tmp_path / "split" / "validation")
    with pytest.raises(UsageError, match=r"holds validation/ beside train; the splits are"):
        image_folder.read(tmp_path / "split", 8, 3, seed=0)


def test_other_files_are_left_out(folder: Path) -> None:
    """Hidden files, notes, and hidden folders; images in folders below are the class's."""
    before = image_folder.read(folder, 8, 3, seed=0)
    (folder / "cat" / "notes.txt").write_text("cats")
    (folder / "cat" / ".0.png").write_text("no image")
    (folder / "cat" / ".hidden").mkdir()
    (folder / "cat" / ".hidden" / "0.png").write_text("no image")
    (folder / ".checkpoints").mkdir()
    (folder / "README").write_text("pets")
    assert image_folder.read(folder, 8, 3, seed=0).content() == before.content()
    (folder / "dog" / "more").mkdir()
    shutil.copy(folder / "dog" / "1.png", folder / "dog" / "more" / "1.PNG")
    assert len(image_folder.read(folder, 8, 3, seed=0).train.images) == 21


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_any_mode_becomes_the_channels(folder: Path, channels: int, mode: str) -> None:
    """Palettes, transparency and grey are converted; the middle square is what is scaled."""
    picture = Image.open(folder / "dog" / "0.png")
    for form, name in (("P", "p.png"), ("RGBA", "t.png"), ("L", "l.png"), ("CMYK", "c.tiff")):
        picture.convert(form).save(folder / "dog" / name)
    parts = image_folder.read(folder, 10, channels, seed=0)
    assert parts.train.images.shape == (24, channels, 10, 10)
    # 12×10 pixels lose one column on either side; the first dog is row 10, behind the cats.
    expected = np.asarray(picture.convert(mode)).reshape(10, 12, channels)[:, 1:11]
    np.testing.assert_array_equal(parts.train.images[10], expected.transpose(2, 0, 1))


def cut(path: Path, keep: float) -> None:
    """Keep the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


@pytest.mark.parametrize("name", ["dog/3.png", "cat/3.jpg"])
@pytest.mark.parametrize("keep", [0.0, 0.05, 0.5])
def test_a_truncated_image_is_named(folder: Path, name: str, keep: float) -> None:
    """Half an image is not filled up with grey."""
    cut(folder / name, keep)
    with pytest.raises(UsageError, match=f"{name} cannot be read as an image: .*; mend it or"):
        image_folder.read(folder, 8, 3, seed=0)


def test_deep_images_are_refused(folder: Path) -> None:
    """Pillow would cut sixteen bits off at 255, which leaves a white image."""
    deep = np.full((8, 8), 40_000, np.uint16)
    Image.fromarray(deep).save(folder / "dog" / "deep.png")
    with pytest.raises(UsageError, match=r"deep\.png has more than 8 bits a channel"):
        image_folder.read(folder, 8, 3, seed=0)


def test_what_other_programs_would_run_is_no_image(folder: Path) -> None:
    """PostScript is not handed to Ghostscript, however the file is called."""
    script = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    (folder / "dog" / "x.png").write_text(script)
    with pytest.raises(UsageError, match=r"x\.png cannot be read as an image"):
        image_folder.read(folder, 8, 3, seed=0)


def test_folders_without_images_are_named(tmp_path: Path, folder: Path) -> None:
    """An empty class, one class only, an empty folder, none, a file: each says what is wrong."""
    (folder / "cow").mkdir()
    with pytest.raises(UsageError, match=r"cow holds no image; .* Fill the folder, or remove it"):
        image_folder.read(folder, 8, 3, seed=0)
    (folder / "cow").rmdir()
    shutil.rmtree(folder / "dog")
    with pytest.raises(UsageError, match=r"pets has one class only \(cat\)"):
        image_folder.read(folder, 8, 3, seed=0)
    shutil.rmtree(folder / "cat")
    with pytest.raises(UsageError, match="pets holds no folder"):
        image_folder.read(folder, 8, 3, seed=0)
    with pytest.raises(UsageError, match="nothing cannot be read as a folder: No such file"):
        image_folder.read(tmp_path / "nothing", 8, 3, seed=0)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file cannot be read as a folder: Not a directory"):
        image_folder.read(tmp_path / "file", 8, 3, seed=0)


def test_too_few_images_of_a_class_are_named(folder: Path) -> None:
    """Three splits need three images."""
    for number in range(2, 10):
        (folder / "dog" / f"{number}.png").unlink()
    with pytest.raises(UsageError, match="has 2 images of the class dog, too few"):
        image_folder.read(folder, 8, 3, seed=0)


def test_two_channels_are_none_of_a_file(folder: Path) -> None:
    """Files hold grey or colour."""
    with pytest.raises(UsageError, match="1 or 3 channels, not 2"):
        image_folder.read(folder, 8, 2, seed=0)


def test_memory_is_looked_at_before_files_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that does not fit is refused before the first of its files is read."""
    cut(folder / "cat" / "0.jpg", 0.5)
    monkeypatch.setattr(room, "available_bytes", lambda: 2**20)
    with pytest.raises(UsageError, match=r"20 images of .*pets at 224×224 would take 14\.4 MiB"):
        image_folder.read(folder, 224, 3, seed=0)
