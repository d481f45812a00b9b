"""scikit-learn's handwritten digits."""

from __future__ import annotations

import numpy as np

from latbench.training.images.parts import Part, Parts


def read(seed: int) -> Parts:
    """Return 1,797 grey images of 8x8, split 60/20/20 with equal shares of the classes."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images, labels = digits.images[:, np.newaxis], digits.target.astype(np.int64)
    # Published accuracies rest on this very draw.
    train, rest = train_test_split(
        np.arange(len(labels)), test_size=0.4, stratify=labels, random_state=seed
    )
    validation, test = train_test_split(
        rest, test_size=0.5, stratify=labels[rest], random_state=seed
    )
    train, validation, test = (Part(images, labels, rows) for rows in (train, validation, test))
    return Parts(tuple(map(str, digits.target_names)), train, validation, test)
