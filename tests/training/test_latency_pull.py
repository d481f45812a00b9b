"""What a penalty does to a gradient, taken apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import latbench
from latbench.errors import UsageError
from latbench.hooks import ExpectedLatency, SampledLatency, penalty
from latbench.hooks.penalties import PENALTIES
from latbench.training.alpha import Alpha
from latbench.training.latency_pull import latency_pull
from latbench.training.notes import Notes
from latbench.training.task import SearchTask

SPACE = latbench.space("nasbench201", image_size=8, width=4, cells=1)
OPTIONS_MS = {
    choice.name: np.random.default_rng(column).uniform(1, 3, 5).tolist()
    for column, choice in enumerate(SPACE.choices)
}
SETTINGS = {"reference_ms": 4.0, "unit_ms": 0.1}


def task(**changes: Any) -> SearchTask:
    """Return a task with the latencies of a table."""
    settings: dict[str, Any] = {
        "target_ms": 4.0,
        "score": lambda X: np.zeros(len(X)),
        "predict_ms": lambda X: np.ones(len(X)),
        "expected": ExpectedLatency.from_table(OPTIONS_MS),
    }
    return SearchTask(SPACE, None, **{**settings, **changes})


def chosen(name: str) -> Any:
    """Return a penalty with the settings that it takes."""
    takes = PENALTIES[name].__init__.__code__.co_varnames
    return penalty(name, **{key: value for key, value in SETTINGS.items() if key in takes})


@pytest.mark.parametrize("name", sorted(PENALTIES))
def test_both_parts_together_are_the_gradient_of_the_whole(name: str) -> None:
    """Scaled and added, they equal differentiating the penalised loss in one piece."""
    alpha = Alpha(SPACE, np.random.default_rng(0), 1.0).double()
    parameters = list(alpha.parameters())
    one = chosen(name)

    def loss() -> torch.Tensor:
        return 1.5 + sum(given[1] ** 2 for given in alpha.probabilities())  # type: ignore[return-value]

    expected = ExpectedLatency.from_table(OPTIONS_MS)
    names = [choice.name for choice in SPACE.choices]
    whole = one(loss(), expected(dict(zip(names, alpha.probabilities(), strict=True))))
    wanted = torch.autograd.grad(whole, parameters)
    pull = latency_pull(task(penalty=one), alpha.probabilities(), loss())
    of_task = torch.autograd.grad(loss(), parameters)
    of_latency = torch.autograd.grad(alpha.probabilities(), parameters, pull.along)
    for full, first, second in zip(wanted, of_task, of_latency, strict=True):
        torch.testing.assert_close(pull.scale * first + second, full)


class Added:
    """A predictor of sums over options, as far as an estimate asks for one."""

    space = SPACE

    def predict(self, X: Any) -> Any:
        """Return the latencies (n,) of architectures (n, choices)."""
        rows = [np.array(row) for row in OPTIONS_MS.values()]
        return np.sum([row[column] for row, column in zip(rows, X.T, strict=True)], axis=0)


def test_an_estimate_bends_the_pull_and_does_not_turn_it() -> None:
    """With a hinge at the mean: the mean pull is the exact gradient, times the mean slope."""
    alpha = Alpha(SPACE, np.random.default_rng(1), 1.0).double()
    probabilities = [given.detach() for given in alpha.probabilities()]
    leaves = [given.clone().requires_grad_() for given in probabilities]
    exact_ms = ExpectedLatency.from_table(OPTIONS_MS)(SPACE.by_choice(leaves))
    gradient = along_softmax(torch.autograd.grad(exact_ms, leaves), probabilities)
    reference_ms = float(exact_ms.detach())
    hinge = penalty("hinge", reference_ms=reference_ms)
    made: Any = Added()
    drawn = SampledLatency(made, samples=2)
    rows = SPACE.by_choice(given.expand(100_000, -1) for given in probabilities)
    slope = float((drawn(rows) > reference_ms).double().mean()) / reference_ms
    assert 0.3 < slope * reference_ms < 0.7
    pulls = []
    for _ in range(2000):
        pull = latency_pull(task(penalty=hinge, expected=drawn), probabilities, torch.tensor(1.0))
        pulls.append(along_softmax(pull.along, probabilities))

    def off(found: torch.Tensor) -> float:
        error = found.std(0) / len(found) ** 0.5
        return float(((found.mean(0) - slope * gradient).abs() / error).max())

    assert off(torch.stack(pulls)) < 4
    # With the same draws for value and slope it is turned.
    many = [given.expand(50_000, -1).clone().requires_grad_() for given in probabilities]
    bent = hinge(torch.tensor(1.0), drawn(SPACE.by_choice(many)))
    assert off(along_softmax(torch.autograd.grad(bent.sum(), many), probabilities)) > 8


def along_softmax(along: Any, probabilities: list[torch.Tensor]) -> torch.Tensor:
    """Return what a gradient in chances is in the logits of all choices."""
    each = [p * (g - (g @ p)[..., None]) for g, p in zip(along, probabilities, strict=True)]
    return torch.cat(each, dim=-1)


def test_without_a_penalty_nothing_pulls() -> None:
    """The task's gradient is as it is."""
    pull = latency_pull(task(), Alpha(SPACE).probabilities(), torch.tensor(2.0))
    assert pull.scale == 1.0
    assert pull.expected_ms is None
    assert not any(one.any() for one in pull.along)


def test_a_penalty_needs_an_expected_latency() -> None:
    """Otherwise it would be left out in silence."""
    with pytest.raises(UsageError, match="give expected too"):
        task(penalty=chosen("hinge"), expected=None)


def test_notes_tell_the_first_number_that_is_none() -> None:
    """By name and step, the earliest step first; and the means of what is."""
    notes = Notes()
    for step, value in enumerate([1.0, 3.0]):
        notes.add("loss", step, torch.tensor(value))
    assert notes.first_bad() is None
    assert notes.means() == {"loss": 2.0}
    notes.add("loss", 7, torch.tensor(float("nan")))
    notes.add("grad", 5, torch.tensor(float("inf")))
    assert notes.first_bad() == ("grad", 5, float("inf"))
    notes.clear()
    assert notes.means() == {}
