"""Searches whose expected latency is an estimate: they repeat and resume as all others do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from latbench import registry
from latbench.hooks import SampledLatency
from latbench.hooks.penalties import Additive
from latbench.one_shot_searcher import OneShotSearcher
from latbench.testing.one_shot_searchers import Toy, ToySupernet, toy_data
from latbench.testing.searchers import course
from latbench.training.config import TrainConfig
from latbench.training.task import SearchTask

KINDS: dict[str, Any] = {
    name: kind
    for name in registry.names(registry.SEARCHERS)
    if issubclass(kind := registry.load(registry.SEARCHERS, name), OneShotSearcher)
}


@pytest.fixture(scope="module")
def toy() -> Toy:
    """Latencies of a small space."""
    return Toy(registry.load(registry.SPACES, "digits-mobilenet")())


def task(toy: Toy, hook: SampledLatency, kind: str, **changes: Any) -> SearchTask:
    """Return the toy's task for a searcher, with an expected latency that is drawn."""
    settings: dict[str, Any] = {
        "target_ms": toy.quantile_ms(0.5),
        "score": toy.score,
        "supernet": ToySupernet(toy),
        "data": toy_data(),
        "train": TrainConfig(steps=40, batch=16, lr=0.05, report_every=10),
        "expected": hook,
        "penalty": followed(kind),
        "seed": 1,
    }
    return SearchTask(toy.space, toy.predictor, **{**settings, **changes})


def drawn(toy: Toy, controlled: bool = False) -> SampledLatency:
    """Return an estimate from few draws."""
    control = toy.predictor.expected_ms if controlled else None
    return SampledLatency(toy.predictor, samples=4, control=control)


def followed(kind: str) -> Additive | None:
    """Return the penalty where the searcher follows one."""
    return Additive(0.5) if searcher(kind).follows_penalty else None


def searcher(kind: str) -> OneShotSearcher:
    """Return a searcher whose architecture learns all the time."""
    found: OneShotSearcher = KINDS[kind]().set_params(rate=0.1, warmup=0.0, every=1)
    return found


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_same_hook_gives_the_same_course_again(toy: Toy, kind: str) -> None:
    """Every search draws from its own seed, and leaves the hook's draws alone."""
    hook = drawn(toy)
    first, second = (searcher(kind).run(task(toy, hook, kind)) for _ in range(2))
    assert course(first) == course(second)
    fresh = searcher(kind).run(task(toy, drawn(toy), kind))
    assert course(first) == course(fresh)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("controlled", [False, True])
def test_resumed_equals_uninterrupted(
    toy: Toy, tmp_path: Path, kind: str, controlled: bool
) -> None:
    """The draws of the expected latency go on where they were, its last one included."""
    calls = 0

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise KeyboardInterrupt
        return F.cross_entropy(logits, labels, reduction="none")

    stop = -1
    whole = searcher(kind).run(task(toy, drawn(toy, controlled), kind, loss=loss))
    stop, calls, path = calls // 2, 0, tmp_path / "search"
    with pytest.raises(KeyboardInterrupt):
        searcher(kind).run(task(toy, drawn(toy, controlled), kind, loss=loss), checkpoint=path)
    assert path.exists()
    stop = -1
    resumed = searcher(kind).run(
        task(toy, drawn(toy, controlled), kind, loss=loss), checkpoint=path
    )
    assert course(resumed) == course(whole)
    ended = searcher(kind).run(task(toy, drawn(toy, controlled), kind, loss=loss), checkpoint=path)
    assert course(ended) == course(whole)


def test_draws_matter(toy: Toy) -> None:
    """Another seed gives another course, so that the tests above can fail."""
    one, other = (
        searcher("snas").run(task(toy, drawn(toy), "snas", seed=seed)).details["expected_ms"]
        for seed in (1, 2)
    )
    assert one != other
    assert torch.isfinite(torch.tensor([one, other])).all()
