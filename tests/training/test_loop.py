"""The training loop: repeatable, resumable, and loud when it breaks down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from latbench.errors import ArtefactError, LatbenchError, UsageError
from latbench.training.callbacks import Callback, Work
from latbench.training.config import TrainConfig, WarmupConfig
from latbench.training.data import ImageData
from latbench.training.loop import History, fit, sgd

CONFIG = TrainConfig(steps=24, batch=32, report_every=2, lr=0.1)
Weights = dict[str, Tensor]


class Interruption(Exception):
    """Stops a training from within a callback."""


class StopAt(Callback):
    """Interrupts at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        if step >= self.step:
            raise Interruption


def network(seed: int = 0) -> nn.Module:
    """Return a network with batch norm and dropout, both of which have a state to lose."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3),
            nn.Linear(36, 10),
        )  # fmt: skip


def train(
    module: nn.Module,
    data: ImageData,
    config: TrainConfig = CONFIG,
    checkpoint: Path | None = None,
    callbacks: tuple[Callback, ...] = (),
) -> History:
    """Train with noise that comes from the loop's generator."""

    def forward(images: Tensor, rng: np.random.Generator) -> Tensor:
        logits: Tensor = module(images + 0.1 * float(rng.normal()))
        return logits

    return fit(
        module,
        forward,
        data,
        config,
        identity={"network": "toy"},
        checkpoint=checkpoint,
        callbacks=callbacks,
    )


def assert_equal(first: nn.Module, second: nn.Module) -> None:
    """Weights and buffers are bit for bit the same."""
    for (name, a), (_, b) in zip(
        first.state_dict().items(), second.state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name


def test_two_small_batches_are_a_large_one(data: ImageData) -> None:
    """The gradients of a step are averaged over its batches; so is the loss that is told."""
    ends = []
    for batch, accumulate in ((32, 1), (16, 2)):
        linear = nn.Linear(64, 10)
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)

        def forward(images: Tensor, rng: np.random.Generator, linear: nn.Linear = linear) -> Tensor:
            logits: Tensor = linear(images.flatten(1))
            return logits

        config = TrainConfig(steps=6, batch=batch, accumulate=accumulate, report_every=1)
        history = fit(linear, forward, data, config, identity={"network": "linear"})
        ends.append((linear.weight, [row["loss"] for row in history]))
    (large, losses), (small, others) = ends
    torch.testing.assert_close(large, small)
    assert losses == pytest.approx(others, rel=1e-5)


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (TrainConfig(warmup=WarmupConfig(lr=0.05)), "warmup"),
        (TrainConfig(alpha_accumulate=2), "alpha_accumulate"),
    ],
)
def test_settings_of_one_shot_searches_are_refused(
    data: ImageData, config: TrainConfig, name: str
) -> None:
    """By name, since they would have no effect."""
    with pytest.raises(UsageError, match=f"^{name} is for one-shot searches"):
        train(network(), data, config)


def test_training_learns(data: ImageData) -> None:
    """The loss falls, and the network is left ready to evaluate."""
    module = network()
    history = train(module, data, TrainConfig(epochs=5, batch=32, lr=0.1))
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]
    assert not module.training


def test_same_seed_same_weights(data: ImageData) -> None:
    """The seed decides batches, draws and dropout; another gives another course."""
    first, second, third = network(), network(), network()
    history = train(first, data)
    torch.manual_seed(123)
    assert train(second, data) == history
    assert_equal(first, second)
    assert train(third, data, TrainConfig(**{**CONFIG.to_dict(), "seed": 1})) != history


def test_the_callers_generator_is_left_alone(data: ImageData) -> None:
    """Dropout repeats without setting torch's generator for anybody else."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(network(), data)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("stop", [2, 6, 20])
def test_resumed_equals_uninterrupted(data: ImageData, tmp_path: Path, stop: int) -> None:
    """Stopped anywhere and resumed in a fresh network, training ends bit for bit the same."""
    whole, first, second = network(), network(), network(seed=9)
    history = train(whole, data)
    with pytest.raises(Interruption):
        train(first, data, checkpoint=tmp_path / "c", callbacks=(StopAt(stop + 2),))
    assert (tmp_path / "c").exists()
    assert train(second, data, checkpoint=tmp_path / "c") == history
    assert_equal(whole, second)


def test_a_finished_training_is_not_repeated(data: ImageData, tmp_path: Path) -> None:
    """With the checkpoint of a finished training the weights are just loaded."""
    first, second = network(), network(seed=9)
    history = train(first, data, checkpoint=tmp_path / "c")
    assert train(second, data, checkpoint=tmp_path / "c", callbacks=(StopAt(0),)) == history
    assert_equal(first, second)


def test_a_checkpoint_of_other_settings_is_refused(data: ImageData, tmp_path: Path) -> None:
    """A checkpoint belongs to its settings."""
    train(network(), data, checkpoint=tmp_path / "c")
    other = TrainConfig(**{**CONFIG.to_dict(), "batch": 16})
    with pytest.raises(ArtefactError, match=r"config\.batch is 32 there and 16 here"):
        train(network(), data, other, tmp_path / "c")


def test_reports_cover_every_step(data: ImageData) -> None:
    """A report comes every so many steps, and one for the rest."""

    class Recorder(Callback):
        def __init__(self) -> None:
            self.heard: list[object] = []

        def on_start(self, task: Work) -> None:
            self.heard.append((task.title, task.total, task.unit))

        def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
            self.heard.append(step)
            assert set(metrics) == {"loss", "grad_norm", "lr"}

        def on_end(self, result: object) -> None:
            self.heard.append("end")

    recorder = Recorder()
    config = TrainConfig(steps=11, batch=32, report_every=4)
    history = train(network(), data, config, callbacks=(recorder,))
    assert recorder.heard == [("training", 11, "steps"), 4, 8, 11, "end"]
    assert [row["step"] for row in history] == [4, 8, 11]


@pytest.mark.parametrize("kept", [True, False])
def test_a_broken_training_names_step_and_last_good_state(
    data: ImageData, tmp_path: Path, kept: bool
) -> None:
    """A NaN stops at once; the checkpoint before it can be resumed from."""
    module, path = network(), tmp_path / "c"
    steps = 0

    def forward(images: Tensor, rng: np.random.Generator) -> Tensor:
        nonlocal steps
        steps += 1
        logits: Tensor = module(images)
        return logits * (float("nan") if steps == 11 else 1.0)

    with pytest.raises(LatbenchError, match="at step 11: the loss is nan") as raised:
        fit(
            module,
            forward,
            data,
            TrainConfig(steps=24, batch=32, report_every=4),
            identity={"network": "toy"},
            checkpoint=path if kept else None,
        )
    assert steps == 12
    if kept:
        assert f"the last good state, of step 4, is in {path}" in str(raised.value) or (
            f"the last good state, of step 8, is in {path}" in str(raised.value)
        )
        healed = network(seed=9)
        config = TrainConfig(steps=24, batch=32, report_every=4)
        history = fit(
            healed,
            lambda images, rng: healed(images),
            data,
            config,
            identity={"network": "toy"},
            checkpoint=path,
        )
        assert all(np.isfinite(row["loss"]) for row in history)
    else:
        assert "no checkpoint was kept" in str(raised.value)


def test_biases_and_norms_do_not_decay() -> None:
    """Weight decay is for kernels and matrices."""
    module = network()
    decay = {
        id(p): group["weight_decay"]
        for group in sgd(module.parameters(), TrainConfig(weight_decay=0.1)).param_groups
        for p in group["params"]
    }
    for parameter in module.parameters():
        assert decay[id(parameter)] == (0.1 if parameter.ndim > 1 else 0.0)
