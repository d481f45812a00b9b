"""Splits of labelled images by seed, in which every class has its share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from latbench.errors import UsageError
from latbench.training.images.parts import Labels, Part

HELD_OUT = 0.1
"""Share of a split that is taken out of a training split that was published as such."""
THREE_WAY = (0.2, 0.2)
"""Shares of validation and test in what was published as one."""


def split_off(
    source: str, whole: Part, shares: Sequence[float], class_names: Sequence[str], seed: int
) -> list[Part]:
    """Return what is left of ``whole``, and a part for each share, drawn class by class.

    Args:
        source: what is split, for messages.
        whole: the images.
        shares: of each part that is taken off; a class has at least one image in each.
        class_names: the name of each label.
        seed: draws the parts.

    Raises:
        UsageError: a class has too few images for one in every part; names it.
    """
    rng = np.random.default_rng(seed)
    labels = whole.labels[whole.rows]
    drawn: list[list[Labels]] = [[] for _ in range(len(shares) + 1)]
    for label, name in enumerate(class_names):
        rows = rng.permutation(whole.rows[labels == label])
        if len(rows) < len(drawn):
            raise UsageError(
                f"{source} has {len(rows)} images of the class {name}, too few for one in each of "
                f"{len(drawn)} splits; add images of it, or leave the class out"
            )
        left = len(rows)
        for place, share in enumerate(shares, 1):
            # One image at least is left for each part that is still to come, and for the first.
            most = left - (len(shares) - place) - 1
            taken = min(max(1, round(share * len(rows))), most)
            drawn[place].append(rows[left - taken : left])
            left -= taken
        drawn[0].append(rows[:left])
    return [dataclasses.replace(whole, rows=np.sort(np.concatenate(rows))) for rows in drawn]
