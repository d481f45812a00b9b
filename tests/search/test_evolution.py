"""Regularised evolution: what its name promises."""

from __future__ import annotations

import numpy as np
import pytest

import latbench
from latbench.errors import UsageError
from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.spaces.space import SearchSpace
from latbench.training.task import SearchTask
from latbench_search.evolution import Evolution
from latbench_search.random_search import RandomSearch


class Problem:
    """Additive latencies and scores of single options, unrelated to each other."""

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.space = space
        self.starts = np.concatenate([[0], np.cumsum(space.sizes)[:-1]])
        self.options_ms = rng.uniform(0.1, 1.0, sum(space.sizes))
        self.gains = rng.uniform(0.0, 1.0, sum(space.sizes)) / len(space.sizes)
        self.calls = 0

    def predict_ms(self, X: IntArray) -> FloatArray:
        self.calls += 1
        return np.asarray(self.options_ms[X + self.starts].sum(axis=1))

    def score(self, X: IntArray) -> FloatArray:
        return np.asarray(self.gains[X + self.starts].sum(axis=1))

    def task(self, evaluations: int = 300, seed: int = 0, share: float = 0.5) -> SearchTask:
        X = self.space.sample(np.random.default_rng(1), 1000)
        return SearchTask(
            self.space,
            None,
            target_ms=float(np.quantile(self.predict_ms(X), share)),
            score=self.score,
            predict_ms=self.predict_ms,
            evaluations=evaluations,
            seed=seed,
        )


@pytest.fixture(scope="module")
def mobilenet() -> SearchSpace:
    """A space of 21 choices."""
    return latbench.space("mobilenet")


@pytest.fixture
def problem(mobilenet: SearchSpace) -> Problem:
    """A problem over mobilenet."""
    return Problem(mobilenet)


def filled(evolution: Evolution, task: SearchTask) -> Evolution:
    """Return the searcher with its first population told."""
    evolution.start(task)
    X = evolution.ask(evolution.population)
    evolution.tell(X, task.scores(X))
    return evolution


def distances(x: IntArray, evolution: Evolution) -> IntArray:
    """Return in how many genes ``x`` differs from each member."""
    members = np.array([member.x for member in evolution.members])
    return np.asarray((members != x).sum(axis=1))


def test_a_child_differs_in_one_gene_from_a_member(problem: Problem) -> None:
    """Exactly one mutation: no copies, no crossovers, no second mutation."""
    task = problem.task()
    evolution = filled(Evolution(population=20, tournament=5), task)
    for _ in range(200):
        X = evolution.ask()
        assert distances(X[0], evolution).min() == 1
        evolution.tell(X, task.scores(X))


def test_the_oldest_leaves_and_the_size_stays(problem: Problem) -> None:
    """Each child replaces the oldest member, even if that is the best."""
    task = problem.task()
    evolution = filled(Evolution(population=20, tournament=5), task)
    for _ in range(60):
        before = evolution.members
        X = evolution.ask()
        evolution.tell(X, task.scores(X))
        assert evolution.members[:-1] == before[1:]
        np.testing.assert_array_equal(evolution.members[-1].x, X[0])
        assert len(evolution.members) == 20


def test_a_tournament_of_all_is_won_by_the_best(problem: Problem) -> None:
    """Without replacement, a tournament as large as the population always holds the best."""
    for seed in range(25):
        evolution = filled(Evolution(population=10, tournament=10), problem.task(seed=seed))
        best = int(np.argmax([member.score for member in evolution.members]))
        assert distances(evolution.ask()[0], evolution)[best] == 1


def test_a_tournament_of_one_lets_anyone_breed(problem: Problem) -> None:
    """Selection comes from the tournament alone: of one, every member has children."""
    evolution = filled(Evolution(population=10, tournament=1), problem.task())
    X = evolution.ask(200)
    members = np.array([member.x for member in evolution.members])
    parents = (X[:, None] != members).sum(axis=2).argmin(axis=1)
    assert set(parents) == set(range(10))


def test_the_winner_is_as_good_as_the_tournament_says(problem: Problem) -> None:
    """The best of 3 out of 10 has rank r with probability C(9-r, 2) / C(10, 3)."""
    evolution = filled(Evolution(population=10, tournament=3), problem.task())
    ranks = np.argsort(np.argsort([-member.score for member in evolution.members]))
    by_row = {
        member.x.tobytes(): rank for member, rank in zip(evolution.members, ranks, strict=True)
    }
    drawn = [by_row[x.tobytes()] for x in evolution._parents(20_000)]
    share = np.bincount(drawn, minlength=10) / len(drawn)
    expected = [(9 - r) * (8 - r) / 2 / 120 for r in range(10)]
    np.testing.assert_allclose(share, expected, atol=0.015)


def test_equal_scores_are_drawn_fairly(problem: Problem) -> None:
    """Where all members score the same, age decides nothing."""
    task = problem.task()
    evolution = Evolution(population=10, tournament=10)
    evolution.start(task)
    evolution.tell(evolution.ask(10), np.full(10, 0.5))
    by_row = {member.x.tobytes(): place for place, member in enumerate(evolution.members)}
    drawn = [by_row[x.tobytes()] for x in evolution._parents(10_000)]
    np.testing.assert_allclose(np.bincount(drawn) / len(drawn), 0.1, atol=0.02)


def test_it_beats_random_search(mobilenet: SearchSpace) -> None:
    """With equal evaluations it finds a better network, on each of several problems."""
    for seed in range(4):
        problem = Problem(mobilenet, seed)
        task = problem.task(evaluations=600, seed=seed, share=0.2)
        evolved = Evolution(population=50, tournament=12).run(task)
        assert evolved.score > RandomSearch().run(task).score + 0.05


def test_cells_are_searched_too() -> None:
    """A space whose architectures have a canonical form gives distinct canonical children."""
    space = latbench.space("nasbench201")
    problem = Problem(space)
    result = Evolution(population=20, tournament=5).run(problem.task(evaluations=100))
    X = np.array([row["x"] for row in result.history])
    np.testing.assert_array_equal(space.check(X), X)
    assert len({space.hash(x) for x in X}) == 100


def test_many_are_proposed_in_few_predictions(problem: Problem) -> None:
    """Proposing, filtering and sorting out duplicates work on whole batches."""
    evolution = filled(Evolution(), problem.task(evaluations=5000))
    problem.calls = 0
    assert len(evolution.ask(2000)) == 2000
    assert problem.calls < 100


def test_batches_breed_from_one_population(problem: Problem) -> None:
    """``ask(n)`` takes every parent from the members there are."""
    evolution = filled(Evolution(population=50, tournament=5), problem.task())
    X = evolution.ask(64)
    assert {int(distances(x, evolution).min()) for x in X} == {1}


def test_a_finished_search_goes_on_with_more(problem: Problem) -> None:
    """A state may be continued with more evaluations, as if they had been allowed at once."""
    short = Evolution(population=20, tournament=5)
    short.run(problem.task(evaluations=100))
    longer = Evolution(population=20, tournament=5)
    longer.start(problem.task(evaluations=160))
    longer.restore(short.state())
    while len(longer.trials) < 160:
        X = longer.ask()
        longer.tell(X, problem.score(X))
    whole = Evolution(population=20, tournament=5).run(problem.task(evaluations=160))
    assert longer.result().history == whole.history


@pytest.mark.parametrize(
    ("population", "tournament", "message"),
    [
        (1, 1, "population must be a whole number from 2"),
        (10, 11, "tournament is 11"),
        (10, 0, "tournament must be a whole number from 1"),
        (300, 25, "300 evaluations do not go beyond the first population of 300"),
    ],
)
def test_sizes_that_cannot_work_are_refused(
    problem: Problem, population: int, tournament: int, message: str
) -> None:
    """Each bad size is named before anything is scored."""
    with pytest.raises(UsageError, match=message):
        Evolution(population, tournament).run(problem.task(evaluations=300))
