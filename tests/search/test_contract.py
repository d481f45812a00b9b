"""Every registered searcher keeps the contract."""

from __future__ import annotations

from typing import Any

import pytest

from latbench import registry
from latbench.discrete_searcher import DiscreteSearcher
from latbench.one_shot_searcher import OneShotSearcher
from latbench.searcher import Searcher
from latbench.testing.discrete_searchers import DiscreteSearcherSuite
from latbench.testing.one_shot_searchers import OneShotSearcherSuite

KINDS: dict[str, type[Searcher]] = {
    name: registry.load(registry.SEARCHERS, name) for name in registry.names(registry.SEARCHERS)
}
DISCRETE = {name: kind for name, kind in KINDS.items() if issubclass(kind, DiscreteSearcher)}

ONE_SHOT = {name: kind for name, kind in KINDS.items() if issubclass(kind, OneShotSearcher)}


class TestDiscreteSearchers(DiscreteSearcherSuite):
    """The shipped suite over what the registry lists."""

    kind: str

    @pytest.fixture(autouse=True, params=sorted(DISCRETE))
    def _kind(self, request: pytest.FixtureRequest) -> None:
        self.kind = request.param

    def make_searcher(self) -> DiscreteSearcher:
        return DISCRETE[self.kind]()


class TestOneShotSearchers(OneShotSearcherSuite):
    """The same for those that train a supernet."""

    kind: str

    @pytest.fixture(autouse=True, params=sorted(ONE_SHOT))
    def _kind(self, request: pytest.FixtureRequest) -> None:
        self.kind = request.param

    def make_searcher(self, **params: Any) -> OneShotSearcher:
        return ONE_SHOT[self.kind]().set_params(**params)


def test_every_registered_searcher_has_a_suite() -> None:
    """A searcher of another kind needs a suite of its own here."""
    assert set(KINDS) == set(DISCRETE) | set(ONE_SHOT)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_searchers_kind_is_its_registered_name(name: str) -> None:
    """Results name the searcher as the command line does."""
    assert KINDS[name].kind == name
