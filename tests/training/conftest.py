"""Networks and images so small that training takes a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import latbench
from latbench.spaces.space import SearchSpace
from latbench.training.data import ImageData, load_data


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Layers this small take longer to share out than to compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def space() -> SearchSpace:
    """Four places on images of 8x8."""
    return latbench.space(
        "digits-mobilenet",
        settings=[[8, 2, 1], [12, 2, 2]],
        image_size=8,
        stem_width=8,
        head_width=32,
    )


@pytest.fixture(scope="session")
def data() -> ImageData:
    """Digits as they are."""
    return load_data("digits", image_size=8, channels=1)
