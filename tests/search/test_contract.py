"""Every registered searcher keeps the contract."""

from __future__ import annotations

import pytest

from latbench import registry
from latbench.discrete_searcher import DiscreteSearcher
from latbench.searcher import Searcher
from latbench.testing.discrete_searchers import DiscreteSearcherSuite

KINDS: dict[str, type[Searcher]] = {
    name: registry.load(registry.SEARCHERS, name) for name in registry.names(registry.SEARCHERS)
}
DISCRETE = {name: kind for name, kind in KINDS.items() if issubclass(kind, DiscreteSearcher)}


class TestDiscreteSearchers(DiscreteSearcherSuite):
    """The shipped suite over what the registry lists."""

    kind: str

    @pytest.fixture(autouse=True, params=sorted(DISCRETE))
    def _kind(self, request: pytest.FixtureRequest) -> None:
        self.kind = request.param

    def make_searcher(self) -> DiscreteSearcher:
        return DISCRETE[self.kind]()


def test_every_registered_searcher_has_a_suite() -> None:
    """A searcher that neither asks nor tells needs a suite of its own here."""
    assert set(KINDS) == set(DISCRETE)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_searchers_kind_is_its_registered_name(name: str) -> None:
    """Results name the searcher as the command line does."""
    assert KINDS[name].kind == name
