"""Every registered searcher keeps the contract, in every mode it has."""

from __future__ import annotations

from collections.abc import Mapping
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
MODES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    **{name: (name, {}) for name in ONE_SHOT},
    "darts-second-order": ("darts", {"order": 2}),
    "proxylessnas-two": ("proxylessnas", {"mode": "two"}),
    "proxylessnas-reinforce": ("proxylessnas", {"mode": "reinforce"}),
    "unas-batch": ("unas", {"draws": "batch"}),
}
"""Name of a mode -> the searcher, and the hyperparameters that make another search of it."""
OTHERWISE: Mapping[tuple[str, str], str] = {
    (
        "proxylessnas-two",
        "test_the_latency_adds_its_exact_gradient",
    ): "two options of a choice learn: test_two_paths_follow_the_latency_between_them",
    (
        "proxylessnas-reinforce",
        "test_the_gradient_beside_enumeration",
    ): "its rewards are no losses, and tell of latencies under any target: test_gradients.py",
    (
        "proxylessnas-reinforce",
        "test_a_tighter_target_gives_a_faster_network",
    ): "a target scales all its rewards alike",
}
"""A mode and a check that the mode's publication rules out -> why, and what is checked instead."""


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

    mode: str

    @pytest.fixture(autouse=True, params=sorted(MODES))
    def _mode(self, request: pytest.FixtureRequest) -> None:
        self.mode = request.param
        if reason := OTHERWISE.get((self.mode, request.function.__name__)):
            pytest.skip(reason)

    def make_searcher(self, **params: Any) -> OneShotSearcher:
        kind, chosen = MODES[self.mode]
        return ONE_SHOT[kind]().set_params(**{**chosen, **params})


def test_every_registered_searcher_has_a_suite() -> None:
    """A searcher of another kind needs a suite of its own here."""
    assert set(KINDS) == set(DISCRETE) | set(ONE_SHOT)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_searchers_kind_is_its_registered_name(name: str) -> None:
    """Results name the searcher as the command line does."""
    assert KINDS[name].kind == name
