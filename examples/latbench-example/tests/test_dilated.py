"""The space keeps its contract; it has to be installed, because workers build it by name."""

from __future__ import annotations

import latbench
from latbench.spaces import SearchSpace
from latbench.testing.spaces import SpaceSuite


class TestDilated(SpaceSuite):
    """Every rule of the contract, on images small enough to be quick."""

    def make_space(self) -> SearchSpace:
        """Return a small variant of the space."""
        return latbench.space("dilated", image_size=16, width=8)


def test_macs_do_not_tell_dilations_apart() -> None:
    """Dilations are different blocks of equal MACs: only measuring tells their latencies."""
    space = latbench.space("dilated")
    near, far = space.encode("near,near,near,near"), space.encode("far,far,far,far")
    assert space.macs(near) == space.macs(far)
    assert (space.path(near) != space.path(far)).nnz > 0
