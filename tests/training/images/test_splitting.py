"""Splits class by class."""

from __future__ import annotations

import numpy as np
import pytest

from latbench.errors import UsageError
from latbench.training.images.parts import Part, every_row
from latbench.training.images.splitting import HELD_OUT, THREE_WAY, split_off


def labelled(*counts: int) -> Part:
    """Return so many images of each class, in mixed order."""
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    np.random.default_rng(0).shuffle(labels)
    return every_row(np.zeros((len(labels), 1, 1, 1), np.uint8), labels)


def split(whole: Part, shares: tuple[float, ...] = THREE_WAY, seed: int = 0) -> list[Part]:
    """Return the parts of ``whole``, whose classes are called 0, 1 and so on."""
    names = [str(label) for label in range(int(whole.labels.max()) + 1)]
    return split_off("it", whole, shares, names, seed)


def test_every_row_is_in_one_part() -> None:
    """Nothing is lost, nothing is in two parts, and every class has its share."""
    whole = labelled(50, 10, 200)
    parts = split(whole)
    assert sorted(np.concatenate([part.rows for part in parts])) == list(range(260))
    counts = [np.bincount(part.labels[part.rows]).tolist() for part in parts]
    assert counts == [[30, 6, 120], [10, 2, 40], [10, 2, 40]]


@pytest.mark.parametrize(("n", "expected"), [(3, [1, 1, 1]), (4, [2, 1, 1]), (5, [3, 1, 1])])
def test_small_classes_are_in_every_part(n: int, expected: list[int]) -> None:
    """As long as there is an image for each part, each gets one."""
    assert [len(part) for part in split(labelled(n))] == expected


def test_too_few_images_are_named() -> None:
    """A class that cannot be in every part is refused by its name."""
    with pytest.raises(UsageError, match="it has 2 images of the class 1, too few for one in each"):
        split(labelled(5, 2))


def test_a_part_can_be_split_again() -> None:
    """Only rows of the part are drawn, and it keeps its labels."""
    train = split(labelled(40, 40))[0]
    kept, taken = split(train, (HELD_OUT,))
    assert sorted([*kept.rows, *taken.rows]) == train.rows.tolist()
    assert np.bincount(taken.labels[taken.rows]).tolist() == [2, 2]


def test_the_seed_draws_the_parts() -> None:
    """Equal seeds split alike, others do not."""
    whole = labelled(40, 40)
    first, same, other = (split(whole, seed=seed)[2].rows.tolist() for seed in (1, 1, 2))
    assert first == same
    assert first != other
