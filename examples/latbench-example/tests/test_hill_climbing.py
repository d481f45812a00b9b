"""The searcher keeps its contract."""

from __future__ import annotations

import pytest
from latbench.discrete_searcher import DiscreteSearcher
from latbench.errors import UsageError
from latbench.testing.discrete_searchers import DiscreteSearcherSuite, Toy

from latbench_example.hill_climbing import HillClimbing


class TestHillClimbing(DiscreteSearcherSuite):
    """Every rule of the contract, and one of its own."""

    evaluations = 60

    def make_searcher(self) -> DiscreteSearcher:
        """Return the searcher under test."""
        return HillClimbing(first=5)

    @pytest.mark.parametrize("first", [0, 1000])
    def test_an_impossible_beginning_is_refused(self, toy: Toy, first: int) -> None:
        """At least one random network, and no more than may be scored."""
        with pytest.raises(UsageError, match=f"first is {first}"):
            HillClimbing(first).run(self.make_task(toy))
