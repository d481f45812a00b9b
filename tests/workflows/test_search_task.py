"""What a search follows: predictions, estimates, measurements; and what it says of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import latbench
from latbench.errors import ArtefactError, UsageError
from latbench.hooks import ExpectedLatency, SampledLatency
from latbench.predictor import Predictor
from latbench.spaces import FloatArray, IntArray, SearchSpace
from latbench.training.config import TrainConfig
from latbench.workflows.search import _binding, _estimated, search
from latbench.workflows.search_settings import SearchSettings
from latbench.workflows.search_task import search_task
from latbench.workflows.searchers import build
from latbench.workflows.setting import Setting

SPACE = latbench.space("digits-mobilenet", image_size=16)


def fitted(kind: str, space: SearchSpace = SPACE, **params: Any) -> Predictor:
    """Return a predictor of made-up latencies; of those here, ``flops`` alone is no sum."""
    X = space.sample(np.random.default_rng(0), 80)
    y = 1e-6 * space.macs(X) + 0.1 * X.sum(axis=1)
    predictor = latbench.predictor(kind)(space).set_params(**params)
    return predictor.fit(X, y, calibrate=False)


def settings(algorithm: str, **changes: Any) -> SearchSettings:
    """Return settings of a small search."""
    train = TrainConfig(steps=2, batch=16)
    return SearchSettings(50.0, algorithm=algorithm, data_size=8, train=train, **changes)


def task_of(algorithm: str, predictor: Predictor, params: Any = (), **changes: Any) -> Any:
    """Return the task that ``algorithm`` is given."""
    asked = {name: changes.pop(name) for name in ("reward", "penalty") if name in changes}
    searcher = build(algorithm, dict(params))
    return search_task(searcher, predictor, settings(algorithm, **asked), **changes)[0]


@pytest.fixture(scope="module")
def flops() -> Predictor:
    """A predictor whose mean has no formula."""
    return fitted("flops")


@pytest.fixture(scope="module")
def mlp() -> Predictor:
    """A predictor with a gradient."""
    return fitted("mlp", width=8, epochs=2)


def test_a_sum_is_exact_and_needs_no_word() -> None:
    """The expected latency is that of the predictor itself."""
    ridge = fitted("ridge")
    task = task_of("darts", ridge)
    assert isinstance(task.expected, ExpectedLatency)
    assert _estimated(task, ridge) == []


def test_an_estimate_is_told(flops: Predictor) -> None:
    """That it is one, why, and what may help."""
    task = task_of("darts", flops)
    assert isinstance(task.expected, SampledLatency)
    (told,) = _estimated(task, flops)
    assert "the expected latency is an estimate" in told
    assert "what flops predicts for digits-mobilenet is no sum over choices" in told
    assert "--control DIR" in told


def test_a_control_is_used_where_a_gradient_is_estimated(flops: Predictor, mlp: Predictor) -> None:
    """By the estimate of the mean, and by UNAS's own."""
    task = task_of("darts", flops, control=mlp)
    assert task.expected._control is not None
    assert "--control" not in _estimated(task, flops)[0]
    assert task_of("unas", flops, control=mlp).surrogate is mlp
    assert task_of("unas", fitted("ridge"), control=mlp).surrogate is mlp


@pytest.mark.parametrize(
    ("algorithm", "params", "of", "by", "says"),
    [
        ("evolution", {}, "flops", "mlp", "evolution follows no gradient; leave the control out"),
        ("darts", {}, "ridge", "mlp", "that of the ridge is exact; leave the control out"),
        ("proxylessnas", {"mode": "reinforce"}, "flops", "mlp", "follows no gradient of latencies"),
        ("unas", {}, "ridge", "flops", "a flops, tells nothing of choices between options"),
    ],
)
def test_a_control_without_use_is_refused(
    algorithm: str, params: dict[str, Any], of: str, by: str, says: str
) -> None:
    """Rather than left out in silence."""
    with pytest.raises(UsageError, match=says):
        task_of(algorithm, fitted(of), params, control=fitted(by))


def test_measured_rewards_are_those_of_unas(flops: Predictor) -> None:
    """It is given what measures only where that is asked for; and no other takes it."""

    def measure(X: IntArray) -> FloatArray:
        return np.ones(len(X))

    assert task_of("unas", flops, measure=measure).measure is None
    task = task_of("unas", flops, measure=measure, reward="measured")
    assert task.measure is measure
    assert task.identity != task_of("unas", flops, measure=measure).identity
    for algorithm in ("evolution", "darts"):
        with pytest.raises(UsageError, match=f"{algorithm} follows predictions"):
            task_of(algorithm, flops, measure=measure, reward="measured")
    with pytest.raises(UsageError, match="did you mean 'measured'"):
        task_of("unas", flops, reward="measure")


@pytest.mark.parametrize("role", ["surrogate", "control"])
def test_a_predictor_of_another_space_is_refused(flops: Predictor, role: str) -> None:
    """Also where its architectures look alike."""
    other = fitted("mlp", latbench.space("digits-mobilenet", image_size=32), width=8, epochs=2)
    roles: dict[str, Any] = {role: other}
    with pytest.raises(UsageError, match="give one that was fitted for this space"):
        task_of("unas", flops, **roles)


def test_a_predictor_of_another_target_is_refused(flops: Predictor) -> None:
    """Before anything is trained, whoever asks."""
    target, instance = Setting(threads=1).here()
    flops.target = Setting(threads=2).here()[0]
    store: Any = None
    with pytest.raises(ArtefactError, match=r"2 threads.*not for.*fit one for that target"):
        search(store, flops, target, instance, settings("random"))


def test_a_target_excludes_nothing_above_the_slowest_alone() -> None:
    """In a space where no draw comes near the slowest network, that is found all the same."""
    space = latbench.space("mobilenet")
    ridge = fitted("ridge", space)
    drawn = ridge.predict(space.sample(np.random.default_rng(1), 2000))
    slowest_ms = (
        sum(float(max(row)) for row in ridge.expected_sum().options_ms.values())
        + ridge.expected_sum().fixed_ms
    )
    assert slowest_ms > 1.05 * drawn.max()
    assert _binding(space, ridge, 0.5 * (slowest_ms + float(drawn.max()))) == []
    (told,) = _binding(space, ridge, 1.001 * slowest_ms)
    assert "excludes nothing: the slowest architecture that was found" in told
