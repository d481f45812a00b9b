"""What the checks on search spaces work with: a space, and some of its architectures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import ClassVar

import numpy as np
import pytest

from latbench.spaces import IntArray, SearchSpace


class SpaceFixtures(ABC):
    """A space of :meth:`make_space`, built once a class.

    Attributes:
        networks: how many sampled networks to build; each takes a second or so.
        blocks: how many blocks to build.
        least_std, most_std: bounds of the standard deviation of every activation.
    """

    networks: ClassVar[int] = 2
    blocks: ClassVar[int] = 20
    least_std: ClassVar[float] = 1e-3
    most_std: ClassVar[float] = 1e10

    @abstractmethod
    def make_space(self) -> SearchSpace:
        """Return a small variant of the space: small images, few layers. Called once a class."""

    def other_image_size(self, space: SearchSpace) -> int:
        """Return a side of images, other than the space's own, that its supernet can train on."""
        return space.input_shape[1] + 16

    @pytest.fixture
    def space(self) -> SearchSpace:
        """The space under :meth:`make_space`."""
        return _made(type(self))

    @pytest.fixture
    def X(self, space: SearchSpace) -> IntArray:
        """Some architectures, (networks, choices)."""
        return space.sample(np.random.default_rng(1), self.networks)


# A space exports each block once, so that its networks are stitched quickly from the second on.
@lru_cache(maxsize=1)
def _made(suite: type[SpaceFixtures]) -> SearchSpace:
    return suite().make_space()
