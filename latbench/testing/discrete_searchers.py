"""What every searcher that asks and tells must do beside what all searchers must."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest

from latbench.discrete_searcher import DiscreteSearcher
from latbench.errors import ArtefactError, LatbenchError, UsageError
from latbench.hooks import ExpectedLatency
from latbench.hooks.penalties import Additive
from latbench.searcher import Searcher
from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.testing.searchers import BOUND, SearcherSuite, Toy, course
from latbench.training.task import SearchTask

__all__ = ["DiscreteSearcherSuite", "Toy"]


class DiscreteSearcherSuite(SearcherSuite):
    """One check a rule of :class:`latbench.discrete_searcher.DiscreteSearcher`."""

    @abstractmethod
    def make_searcher(self) -> DiscreteSearcher:
        """Return the searcher under test."""

    def start(self, searcher: Searcher, task: SearchTask) -> DiscreteSearcher:
        """Return the searcher, begun with ``task``."""
        discrete = cast(DiscreteSearcher, searcher)
        discrete.start(task)
        return discrete

    def test_evaluations_are_exact(self, searcher: Searcher, toy: Toy) -> None:
        """As many architectures are scored as allowed, where there are enough."""
        for evaluations in (self.evaluations, self.evaluations + 7):
            result = searcher.run(self.make_task(toy, evaluations=evaluations))
            assert result.evaluations == evaluations

    def test_a_penalty_is_refused(self, searcher: Searcher, toy: Toy) -> None:
        """It would be followed by nothing, and whoever gave it would not know."""
        expected = ExpectedLatency(toy.predictor)
        task = self.make_task(toy, expected=expected, penalty=Additive(0.1))
        with pytest.raises(UsageError, match="follows no penalty"):
            searcher.run(task)
        assert not toy.scored

    def test_only_different_feasible_architectures_are_scored(
        self, searcher: Searcher, toy: Toy
    ) -> None:
        """Nothing is scored twice, and nothing over the limit, in whatever form."""
        task = self.make_task(toy)
        searcher.run(task)
        X = np.array(toy.scored)
        np.testing.assert_array_equal(toy.space.check(X), X)
        assert len({toy.space.hash(x) for x in X}) == len(X)
        assert (toy.predictor.predict(X) <= task.target_ms).all()

    def test_what_is_over_the_limit_is_counted(self, searcher: Searcher, toy: Toy) -> None:
        """Where four in five are too slow, some of what is proposed is filtered, and told."""
        result = searcher.run(self.make_task(toy, target_ms=toy.quantile_ms(0.2)))
        assert result.proposals["filtered"] > 0

    def test_the_filter_decides(self, searcher: Searcher, toy: Toy) -> None:
        """``feasible`` takes the place of the predicted limit, and is asked about everything."""

        def first_choice_first(X: IntArray) -> npt.NDArray[np.bool_]:
            return np.asarray(X[:, 0] == 0)

        result = searcher.run(
            self.make_task(toy, target_ms=1e-3, feasible=first_choice_first, confidence=0.9)
        )
        assert {row["x"][0] for row in result.history} == {0}

    def test_a_limit_that_hardly_any_meets_is_solved(self, searcher: Searcher, toy: Toy) -> None:
        """The fastest architecture alone is found, though chance would never propose it."""
        task = self.make_task(toy, target_ms=toy.fastest_ms * (1 + 1e-9))
        result = searcher.run(task)
        assert result.evaluations == 1
        np.testing.assert_array_equal(result.x, toy.fastest)
        assert toy.predicted < BOUND

    def test_a_tight_limit_still_gives_many(self, searcher: Searcher, toy: Toy) -> None:
        """Where one in some thousand draws is feasible, the search still gets its candidates."""
        result = searcher.run(self.make_task(toy, target_ms=toy.quantile_ms(5e-4)))
        assert result.evaluations >= self.evaluations // 2

    def test_a_small_feasible_set_ends_early(self, searcher: Searcher, toy: Toy) -> None:
        """With fewer feasible architectures than evaluations, all are scored once and it ends."""

        def latency_ms(X: IntArray) -> FloatArray:
            return np.asarray(1.0 + (X[:, 2:] != 0).sum(axis=1), dtype=np.float64)

        result = searcher.run(self.make_task(toy, predict_ms=latency_ms, target_ms=1.0))
        assert result.evaluations == math.prod(toy.space.sizes[:2]) < self.evaluations
        assert len(set(toy.scored)) == len(toy.scored)

    # Asking and telling

    def test_nothing_happens_before_the_start(self, searcher: Searcher) -> None:
        """Asking without a task says what to call."""
        discrete = cast(DiscreteSearcher, searcher)
        for use in (discrete.ask, discrete.state):
            with pytest.raises(UsageError, match=r"call start\(task\) first"):
                use()

    def test_ask_gives_what_it_is_asked_for(self, searcher: Searcher, toy: Toy) -> None:
        """``ask(n)`` gives n new feasible rows, whether or not the last ones were told."""
        discrete = self.start(searcher, self.make_task(toy))
        X = np.concatenate([discrete.ask(), discrete.ask(7), discrete.ask(300)])
        assert X.shape == (308, len(toy.space.choices))
        assert len(np.unique(X, axis=0)) == 308
        assert not toy.scored

    def test_by_hand_equals_run(self, searcher: Searcher, toy: Toy) -> None:
        """Asking and telling one at a time in the wanted numbers is what ``run`` does."""
        task = self.make_task(toy)
        result = searcher.run(task)
        discrete = self.start(searcher, task)
        while len(discrete.trials) < task.evaluations:
            left = task.evaluations - len(discrete.trials)
            X = discrete.ask(min(discrete.wanted(), left))
            discrete.tell(X, task.scores(X))
        assert [trial.x.tolist() for trial in discrete.trials] == [
            row["x"] for row in result.history
        ]

    def test_tell_takes_any_order(self, searcher: Searcher, toy: Toy) -> None:
        """Scores may come one by one and in another order than asked."""
        discrete = self.start(searcher, self.make_task(toy))
        X = discrete.ask(5)
        for x in X[::-1]:
            discrete.tell(x, [0.5])
        assert [trial.x.tolist() for trial in discrete.trials] == X[::-1].tolist()

    def test_tell_refuses_what_was_not_asked(self, searcher: Searcher, toy: Toy) -> None:
        """A row that was not asked for, one told twice, or too few scores, is a mistake."""
        discrete = self.start(searcher, self.make_task(toy))
        X = discrete.ask(3)
        others = toy.space.sample(np.random.default_rng(8), 20)
        asked = {x.tobytes() for x in X}
        stranger = next(x for x in others if x.tobytes() not in asked)
        with pytest.raises(UsageError, match="not asked for"):
            discrete.tell(stranger, [0.1])
        with pytest.raises(UsageError, match="scores"):
            discrete.tell(X, [0.1])
        with pytest.raises(LatbenchError, match="inf"):
            discrete.tell(X, [0.1, 0.1, np.inf])
        with pytest.raises(UsageError, match="told before"):
            discrete.tell(X[[0, 0]], [0.1, 0.1])
        assert not discrete.trials
        discrete.tell(X[0], [0.1])
        with pytest.raises(UsageError, match="told before"):
            discrete.tell(X[0], [0.1])

    def test_state_goes_through_json(self, searcher: Searcher, toy: Toy) -> None:
        """A state saved between asking and telling goes on exactly, open questions included."""
        task = self.make_task(toy)
        first = self.start(searcher, task)
        X = first.ask(self.evaluations - 20)
        first.tell(X[:-5], task.scores(X[:-5]))
        text = json.dumps(first.state())
        second = self.start(self.make_searcher(), task)
        second.restore(json.loads(text))
        for discrete in (first, second):
            discrete.tell(X[-5:], task.scores(X[-5:]))
        np.testing.assert_array_equal(first.ask(30), second.ask(30))
        assert course(first.result()) == course(second.result())

    def test_another_state_is_refused(self, searcher: Searcher, toy: Toy) -> None:
        """What is no state, or one of another version, is refused."""
        discrete = self.start(searcher, self.make_task(toy))
        with pytest.raises(ArtefactError, match="not the state of a search"):
            discrete.restore({"rng": {}})
        with pytest.raises(ArtefactError, match="version 99"):
            discrete.restore({**discrete.state(), "version": 99})
        with pytest.raises(ArtefactError, match="version None"):
            discrete.restore({"format": discrete.state()["format"]})
        with pytest.raises(ArtefactError, match="has no told"):
            discrete.restore({k: v for k, v in discrete.state().items() if k != "told"})

    def test_a_file_that_is_no_state_is_refused(
        self, searcher: Searcher, toy: Toy, tmp_path: Path
    ) -> None:
        """JSON of another kind, by the name of the file."""
        path = tmp_path / "state.json"
        path.write_text("[1]", encoding="utf-8")
        with pytest.raises(ArtefactError, match=r"state\.json is not the state of a search"):
            searcher.run(self.make_task(toy), checkpoint=path)
