"""The settings of a training."""

from __future__ import annotations

from typing import Any

import pytest

from latbench.errors import UsageError
from latbench.training.config import AlphaConfig, TrainConfig, WarmupConfig


def test_epochs_leave_out_the_unfilled_batch() -> None:
    """1,078 images make 16 batches of 64."""
    assert TrainConfig(epochs=3, batch=64).total_steps(1078) == 48
    assert TrainConfig(epochs=3, batch=64, steps=5).total_steps(1078) == 5


def test_steps_of_several_batches_are_fewer() -> None:
    """48 batches make 24 steps of two; a step at least is left."""
    assert TrainConfig(epochs=3, batch=64, accumulate=2).total_steps(1078) == 24
    assert TrainConfig(epochs=3, batch=64, accumulate=100).total_steps(1078) == 1
    assert TrainConfig(epochs=3, batch=64, accumulate=2, steps=5).total_steps(1078) == 5


def test_a_pass_is_as_many_batches_as_there_are() -> None:
    """16 batches of 64 are one pass over 1,078 images, and so are 8 steps of two."""
    assert [TrainConfig(batch=64).passes_after(step, 1078) for step in (15, 16, 32)] == [0, 1, 2]
    assert TrainConfig(batch=64, accumulate=2).passes_after(8, 1078) == 1


def test_the_warm_up_differs_in_what_is_given() -> None:
    """All else is as afterwards."""
    config = TrainConfig(lr=0.2, momentum=0.8, warmup=WarmupConfig(lr=0.5, clip_norm=1.0))
    assert config.in_warmup() == TrainConfig(lr=0.5, momentum=0.8, clip_norm=1.0)
    assert TrainConfig(lr=0.2).in_warmup() == TrainConfig(lr=0.2)


@pytest.mark.parametrize("values", [{"lr": 0.0}, {"momentum": 1.0}, {"clip_norm": "some"}])
def test_values_of_the_warm_up_are_named_too(values: dict[str, Any]) -> None:
    """As those of the training itself."""
    with pytest.raises(UsageError, match=f"in the warmup, {next(iter(values))} is"):
        TrainConfig(warmup=WarmupConfig(**values))


def test_a_batch_fits_the_data() -> None:
    """A batch larger than the split is refused with the largest that fits."""
    with pytest.raises(UsageError, match="at most 100"):
        TrainConfig(batch=101).total_steps(100)


def test_the_rate_falls_as_half_a_cosine() -> None:
    """It begins at ``lr``, is half of it half-way, and always falls."""
    config = TrainConfig(lr=0.2)
    rates = [config.lr_at(step, 10) for step in range(10)]
    assert rates[0] == 0.2
    assert rates[5] == pytest.approx(0.1)
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.01


def test_the_rate_of_the_architecture_falls_to_what_is_left() -> None:
    """From the first step after the warm-up, as half a cosine; by default it stays."""
    assert AlphaConfig(0.1, warmup=0.2).rate_at(99, 100) == 0.1
    config = AlphaConfig(1e-3, warmup=0.2, rate_left=0.3)
    rates = [config.rate_at(step, 100) for step in range(20, 101)]
    assert rates[0] == config.rate_at(0, 100) == 1e-3
    assert rates[40] == pytest.approx(6.5e-4)
    assert rates[80] == pytest.approx(3e-4)
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize(
    "values",
    [
        {"rate": 0.0},
        {"momentum": 1.0},
        {"momentum": "much"},
        {"clip_norm": -1.0},
        {"clip_norm": float("nan")},
        {"rate_left": 1.5},
        {"rate_left": -0.1},
        {"every": 0},
        {"warmup": 1.0},
    ],
)
def test_values_of_the_architecture_are_named_too(values: dict[str, Any]) -> None:
    """Each that cannot be."""
    with pytest.raises(UsageError, match=next(iter(values))):
        AlphaConfig(**{"rate": 0.1, **values})


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 0},
        {"steps": 0},
        {"batch": 1},
        {"accumulate": 0},
        {"alpha_accumulate": 0},
        {"alpha_accumulate": 1.5},
        {"epochs": 2.5},
        {"epochs": None},
        {"lr": "fast"},
        {"seed": True},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"momentum": 0.0},
        {"momentum": 1.0},
        {"weight_decay": -1e-4},
        {"label_smoothing": 1.5},
        {"clip_norm": 0.0},
        {"clip_norm": float("inf")},
        {"report_every": 0},
        {"seed": -1},
    ],
)
def test_values_out_of_range_are_named(values: dict[str, Any]) -> None:
    """A bad value ends in its name, not in a training that diverges."""
    with pytest.raises(UsageError, match=next(iter(values))):
        TrainConfig(**values)
