"""What searches are tried on: a chain so small that its supernet trains in moments."""

from __future__ import annotations

import pytest

import latbench
from latbench.spaces.space import SearchSpace


@pytest.fixture(scope="session")
def small() -> SearchSpace:
    """Four places on images of 8x8."""
    return latbench.space(
        "digits-mobilenet",
        settings=[[8, 2, 1], [12, 2, 2]],
        image_size=8,
        stem_width=8,
        head_width=16,
    )
