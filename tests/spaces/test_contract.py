"""Every registered space keeps the contract, in a variant small enough to build often."""

from __future__ import annotations

from typing import ClassVar

import latbench
from latbench import registry
from latbench.spaces import SearchSpace
from latbench.testing.spaces import SpaceSuite


class TestMobileNet(SpaceSuite):
    def make_space(self) -> SearchSpace:
        settings = [[24, 3, 2], [32, 2, 2], [40, 1, 1]]
        return latbench.space("mobilenet", settings=settings, image_size=48, classes=11)


class TestDigitsMobileNet(SpaceSuite):
    def make_space(self) -> SearchSpace:
        return latbench.space("digits-mobilenet", image_size=16)


class TestFBNet(SpaceSuite):
    networks: ClassVar[int] = 1

    def make_space(self) -> SearchSpace:
        return latbench.space("fbnet", image_size=32, classes=11)


class TestFBNetLecture(SpaceSuite):
    networks: ClassVar[int] = 1

    def make_space(self) -> SearchSpace:
        return latbench.space("fbnet-lecture", image_size=32, classes=11)


class TestNASBench201(SpaceSuite):
    networks: ClassVar[int] = 3

    def make_space(self) -> SearchSpace:
        return latbench.space("nasbench201", image_size=16, cells=2)


class TestDarts(SpaceSuite):
    networks: ClassVar[int] = 3

    def make_space(self) -> SearchSpace:
        return latbench.space("darts", image_size=16, width=4, cells=4)


def test_every_bundled_space_is_under_contract() -> None:
    """A space that is added to the registry needs a suite here; that of a table has no networks."""
    suites = {suite().make_space().name for suite in SpaceSuite.__subclasses__()}
    bundled = {
        row.name
        for row in registry.listing()
        if (row.group, row.distribution) == (registry.SPACES, "latbench")
    }
    assert bundled - {"table"} <= suites
