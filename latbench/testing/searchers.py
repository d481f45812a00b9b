"""What every searcher must do: subclass a suite under a name that pytest collects.

.. code-block:: python

    class TestMySearcher(DiscreteSearcherSuite):
        def make_searcher(self):
            return MySearcher(population=20)
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latbench.errors import ArtefactError, InfeasibleError, LatbenchError
from latbench.searcher import Searcher, SearchResult
from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.testing.searcher_fixtures import SearcherFixtures, Toy
from latbench.training.callbacks import Callback, Work

__all__ = ["SearcherSuite", "Toy"]

BOUND = 200_000


class _Interruption(Exception):
    """Stops a search from within its score."""


class _Recorder(Callback):
    """Writes down the events."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.evaluations: list[tuple[int, float]] = []

    def on_start(self, task: Work) -> None:
        self.events.append("start")

    def on_evaluation(self, n: int, x: IntArray, score: float, latency_ms: float) -> None:
        self.evaluations.append((n, score))

    def on_end(self, result: object) -> None:
        self.events.append("end")

    def close(self) -> None:
        self.events.append("close")


def course(result: SearchResult) -> Mapping[str, Any]:
    """Return all of a result that must repeat: everything but the time it took."""
    values = {**vars(result), "x": result.x.tolist()}
    del values["seconds"]
    return values


class SearcherSuite(SearcherFixtures):
    """One check a rule of :class:`latbench.searcher.Searcher`.

    A subclass gives :meth:`make_searcher`, and :meth:`make_task` where it needs more in its task.
    """

    # Hyperparameters

    def test_constructor_only_stores(self, searcher: Searcher, toy: Toy) -> None:
        """A search leaves the hyperparameters as they are, and a clone has the same."""
        before = searcher.get_params()
        searcher.run(self.make_task(toy))
        assert searcher.get_params() == before
        assert searcher.clone().get_params() == before

    # Repeating

    def test_same_seed_same_course(self, searcher: Searcher, toy: Toy) -> None:
        """Two searches with one seed evaluate the same architectures in the same order."""
        first = searcher.run(self.make_task(toy))
        assert course(first) == course(self.make_searcher().run(self.make_task(toy)))
        assert course(first) == course(searcher.run(self.make_task(toy)))

    def test_another_seed_another_course(self, searcher: Searcher, toy: Toy) -> None:
        """The seed is used."""
        first = searcher.run(self.make_task(toy, seed=1))
        second = searcher.run(self.make_task(toy, seed=2))
        assert (first.history, first.details) != (second.history, second.details)

    def test_global_generators_are_left_alone(self, searcher: Searcher, toy: Toy) -> None:
        """Every draw comes from the task's seed, none from a generator of the process."""
        random.seed(9)
        np.random.seed(9)
        before = random.getstate(), repr(np.random.get_state())
        searcher.run(self.make_task(toy))
        assert (random.getstate(), repr(np.random.get_state())) == before

    # Results

    def test_the_result_is_within_the_limit(
        self, searcher: Searcher, toy: Toy, tmp_path: Path
    ) -> None:
        """What is found is canonical, predicted within the limit, and the best of the history.

        Its latency is that of its document, written and read again.
        """
        task = self.make_task(toy)
        result = searcher.run(task)
        np.testing.assert_array_equal(toy.space.check(result.x)[0], result.x)
        assert result.predicted_ms <= task.target_ms == result.target_ms
        path = tmp_path / "arch.json"
        path.write_text(json.dumps(toy.space.to_json(result.x)), encoding="utf-8")
        read = toy.space.from_json(json.loads(path.read_text(encoding="utf-8")))
        np.testing.assert_array_equal(read, result.x)
        assert result.predicted_ms == pytest.approx(toy.predictor.predict(read)[0])
        assert result.score == pytest.approx(toy.score(result.x[np.newaxis])[0])
        assert result.score == max(row["score"] for row in result.history)

    def test_evaluations_are_counted_and_bounded(self, searcher: Searcher, toy: Toy) -> None:
        """No more architectures are scored than allowed, and the result says how many."""
        result = searcher.run(self.make_task(toy))
        assert result.evaluations == len(toy.scored) == len(result.history) <= self.evaluations
        assert [row["n"] for row in result.history] == list(range(1, result.evaluations + 1))
        assert [tuple(row["x"]) for row in result.history] == toy.scored

    def test_proposals_are_counted(self, searcher: Searcher, toy: Toy) -> None:
        """Every rejection is reported: proposals are taken, duplicates or over the limit."""
        result = searcher.run(self.make_task(toy, target_ms=toy.quantile_ms(0.2)))
        counts = result.proposals
        assert counts["proposed"] - counts["duplicates"] - counts["filtered"] == result.evaluations

    def test_a_tighter_target_gives_a_faster_network(self, searcher: Searcher, toy: Toy) -> None:
        """Where slower networks score higher, the limit decides how fast the found one is."""
        found = [
            searcher.run(self.make_task(toy, target_ms=toy.quantile_ms(share))).predicted_ms
            for share in (0.9, 0.4, 0.05)
        ]
        assert found[0] > found[1] > found[2]

    # Limits

    def test_an_infeasible_limit_names_the_fastest(self, searcher: Searcher, toy: Toy) -> None:
        """Nothing within the limit: an error after bounded tries, with the best value seen."""
        task = self.make_task(toy, target_ms=0.9 * toy.fastest_ms)
        with pytest.raises(InfeasibleError) as raised:
            searcher.run(task)
        assert toy.space.decode(toy.fastest) in str(raised.value)
        assert f"{toy.fastest_ms:.4g} ms" in str(raised.value)
        assert toy.predicted < BOUND
        assert not toy.scored

    def test_a_score_that_is_no_number_is_refused(self, searcher: Searcher, toy: Toy) -> None:
        """A NaN ends the search with the name of the architecture."""

        def broken(X: IntArray) -> FloatArray:
            return np.full(len(X), np.nan)

        with pytest.raises(LatbenchError, match="nan"):
            searcher.run(self.make_task(toy, score=broken))

    # Going on

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
    def test_resumed_equals_uninterrupted(self, toy: Toy, tmp_path: Path, share: float) -> None:
        """A search that was stopped ends as if it had not been, without doing all over again."""
        path = tmp_path / "search"
        whole = self.make_searcher().run(self.make_task(toy))
        toy.scored.clear()
        stop = int(share * whole.evaluations)

        def interrupted(X: IntArray) -> FloatArray:
            if len(toy.scored) + len(X) > stop:
                raise _Interruption
            return toy.score(X)

        with pytest.raises(_Interruption):
            self.make_searcher().run(self.make_task(toy, score=interrupted), checkpoint=path)
        saved = path.exists()
        toy.scored.clear()
        resumed = self.make_searcher().run(self.make_task(toy), checkpoint=path)
        assert course(resumed) == course(whole)
        assert len(toy.scored) < whole.evaluations or not saved

    def test_a_finished_search_is_not_repeated(
        self, searcher: Searcher, toy: Toy, tmp_path: Path
    ) -> None:
        """Running again with the checkpoint of a finished search scores nothing."""
        path = tmp_path / "search"
        first = searcher.run(self.make_task(toy), checkpoint=path)
        toy.scored.clear()
        assert course(searcher.run(self.make_task(toy), checkpoint=path)) == course(first)
        assert not toy.scored

    def test_another_searchs_checkpoint_is_refused(
        self, searcher: Searcher, toy: Toy, tmp_path: Path
    ) -> None:
        """A checkpoint of another limit or seed is refused by the name of what differs."""
        path = tmp_path / "search"
        searcher.run(self.make_task(toy), checkpoint=path)
        for name, value in {"seed": 5, "target_ms": toy.quantile_ms(0.7)}.items():
            with pytest.raises(ArtefactError, match=name):
                searcher.run(self.make_task(toy, **{name: value}), checkpoint=path)

    def test_a_damaged_checkpoint_is_refused(
        self, searcher: Searcher, toy: Toy, tmp_path: Path
    ) -> None:
        """Half a file ends in an error, not in a search from the start."""
        path = tmp_path / "search"
        searcher.run(self.make_task(toy), checkpoint=path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ArtefactError, match="search"):
            searcher.run(self.make_task(toy), checkpoint=path)

    # Telling

    def test_callbacks_hear_everything(self, searcher: Searcher, toy: Toy) -> None:
        """Start, every evaluation in order, end, close; without changing the search."""
        recorder = _Recorder()
        result = searcher.run(self.make_task(toy), callbacks=[recorder])
        assert recorder.events == ["start", "end", "close"]
        assert recorder.evaluations == [(row["n"], row["score"]) for row in result.history]
        assert course(result) == course(searcher.run(self.make_task(toy)))

    def test_callbacks_are_closed_after_a_failure(self, searcher: Searcher, toy: Toy) -> None:
        """A search that fails leaves no progress bar open."""
        recorder = _Recorder()
        with pytest.raises(InfeasibleError):
            searcher.run(self.make_task(toy, target_ms=0.9 * toy.fastest_ms), [recorder])
        assert recorder.events == ["start", "close"]
