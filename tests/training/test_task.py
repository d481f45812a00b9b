"""The search task: what it refuses and what it fills in."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import latbench
from latbench.errors import LatbenchError, UsageError
from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.spaces.space import SearchSpace
from latbench.training.task import SearchTask

SPACE: SearchSpace = latbench.space("digits-mobilenet")


def sum_ms(X: IntArray) -> FloatArray:
    """Return 1 ms and as many more as the options' numbers sum to."""
    return 1.0 + np.asarray(X.sum(axis=1), dtype=np.float64)


def task(**changes: Any) -> SearchTask:
    """Return a task with changes."""
    settings: dict[str, Any] = {"target_ms": 5.0, "score": sum_ms, "predict_ms": sum_ms}
    return SearchTask(SPACE, None, **{**settings, **changes})


X = SPACE.sample(np.random.default_rng(0), 50)


def test_the_limit_itself_is_within() -> None:
    """An architecture predicted exactly at the target meets it."""
    at = sum_ms(X[:1])[0]
    assert task(target_ms=at).within_limit(X[:1]).all()
    assert not task(target_ms=at - 1e-9).within_limit(X[:1]).any()


def test_a_filter_takes_the_place_of_the_limit() -> None:
    """``feasible`` alone decides where it is given."""

    def none(X: IntArray) -> npt.NDArray[np.bool_]:
        return np.zeros(len(X), dtype=np.bool_)

    assert not task(target_ms=1e6, feasible=none).within_limit(X).any()


def test_the_predictor_tells_latencies() -> None:
    """Without ``predict_ms`` the predictor is asked."""

    class Constant:
        space = SPACE

        def predict(self, X: IntArray) -> FloatArray:
            return np.full(len(X), 4.0)

    plain: Any = Constant()
    settings: dict[str, Any] = {"target_ms": 5.0, "score": sum_ms}
    np.testing.assert_array_equal(SearchTask(SPACE, plain, **settings).latency_ms(X), 4.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_ms": 0.0}, "above zero"),
        ({"target_ms": float("nan")}, "above zero"),
        ({"target_ms": float("inf")}, "above zero"),
        ({"evaluations": 0}, "evaluations is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"predict_ms": None}, "give a predictor or predict_ms"),
    ],
)
def test_impossible_tasks_are_refused(changes: dict[str, Any], message: str) -> None:
    """Each bad value is named."""
    with pytest.raises(UsageError, match=message):
        task(**changes)


@pytest.mark.parametrize("role", ["predictor", "surrogate"])
def test_a_predictor_of_another_space_is_refused(role: str) -> None:
    """Also where its architectures have the same shape: another size of images is another space."""
    larger = latbench.space("digits-mobilenet", image_size=64)
    rows = larger.sample(np.random.default_rng(0), 60)
    predictor = latbench.predictor("ridge")(larger).fit(rows, sum_ms(rows), calibrate=False)
    roles: dict[str, Any] = {"predictor": None, role: predictor}
    with pytest.raises(UsageError, match=r"image_size.*64.*give one that was fitted for this"):
        SearchTask(SPACE, target_ms=5.0, score=sum_ms, predict_ms=sum_ms, **roles)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_must_be_finite(value: float) -> None:
    """A latency or score that is no number is an error with the architecture, never a zero."""

    def broken(X: IntArray) -> FloatArray:
        result = sum_ms(X)
        result[3] = value
        return result

    for ask in (task(predict_ms=broken).latency_ms, task(score=broken).scores):
        with pytest.raises(LatbenchError, match=SPACE.decode(X[3])):
            ask(X)


def test_one_value_a_row() -> None:
    """A score for all rows together is refused."""
    with pytest.raises(LatbenchError, match="one value a row"):
        task(score=lambda X: np.array([0.5])).scores(X)


def test_more_evaluations_are_the_same_search() -> None:
    """All that the course depends on is in the identity; the budget is not."""
    assert task(evaluations=10).identity == task(evaluations=20).identity
    for changes in ({"seed": 1}, {"target_ms": 6.0}, {"depends_on": {"predictor": "other"}}):
        assert task(**changes).identity != task().identity
