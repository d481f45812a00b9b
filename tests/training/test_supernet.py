"""Supernet training: one path a step, and nothing else moves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

import latbench
from latbench.errors import ArtefactError, InfeasibleError, UsageError
from latbench.spaces.entanglement import SlicedConv2d
from latbench.spaces.graph import IntArray
from latbench.spaces.network import Supernet
from latbench.spaces.space import SearchSpace
from latbench.training.callbacks import Callback
from latbench.training.config import TrainConfig
from latbench.training.data import ImageData, load_data
from latbench.training.supernet import TRIES, sample_path, train_supernet


class Watch(Callback):
    """Notes which blocks of a supernet run, and its state at each report."""

    def __init__(self, supernet: Supernet) -> None:
        self.supernet = supernet
        self.ran: list[set[str]] = [set()]
        self.states: list[dict[str, Tensor]] = []
        for name, block in supernet.blocks.named_children():
            block.register_forward_hook(self._note(name))

    def _note(self, name: str) -> Callable[[nn.Module, object, object], None]:
        def note(module: nn.Module, inputs: object, output: object) -> None:
            self.ran[-1].add(name)

        return note

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        self.ran.append(set())
        self.states.append({k: v.clone() for k, v in self.supernet.state_dict().items()})


def block_of(name: str) -> str:
    """Return the block that the weight or buffer ``blocks.<block>.…`` belongs to."""
    return name.split(".")[1]


def test_what_is_not_sampled_stays_bit_for_bit(space: SearchSpace, data: ImageData) -> None:
    """Neither momentum, nor weight decay, nor batch norm moves what the path has no part in."""
    supernet = space.supernet()
    tensors = {name: value.data_ptr() for name, value in supernet.state_dict().items()}
    watch = Watch(supernet)
    config = TrainConfig(steps=30, batch=32, lr=0.1, weight_decay=0.01, report_every=1)
    train_supernet(supernet, data, config, callbacks=[watch])
    ran_before: set[str] = set()
    rested = 0
    for step in range(1, 30):
        ran_before |= watch.ran[step - 1]
        # Candidates of one family hold the same tensor, each under its own name.
        in_path = {at for name, at in tensors.items() if block_of(name) in watch.ran[step]}
        for name, value in watch.states[step].items():
            block = block_of(name)
            same = torch.equal(value, watch.states[step - 1][name])
            if tensors[name] not in in_path:
                assert same, f"{name} moved in step {step} without being sampled"
                # Only what was trained before has a momentum to be moved by.
                rested += block in ran_before
    assert rested > 100


def test_the_rest_of_a_shared_weight_is_moved_by_momentum_alone(data: ImageData) -> None:
    """A path has a gradient of zero in what it does not take; and momentum and decay go on."""
    space = latbench.space("mobilenet", image_size=8, channels=1, settings=[[8, 1, 1]])
    supernet = space.supernet()
    shared = next(
        part.weight
        for part in supernet.blocks["node1-option0"].modules()
        if isinstance(part, SlicedConv2d) and part.weight.shape[-1] == 7
    )
    before = shared.detach().clone()
    seen: list[Tensor] = []
    paths = iter([[5], [0], [0]])  # all of it, then the centre of half of its channels
    forward = supernet.forward

    def chosen(images: Tensor, x: IntArray) -> Tensor:
        seen.append(shared.detach().clone())
        return forward(images, next(paths))

    supernet.forward = chosen  # type: ignore[assignment]
    config = TrainConfig(steps=3, batch=16, lr=0.1, weight_decay=0.0, momentum=0.5, clip_norm=1e9)
    train_supernet(supernet, data, config)
    steps = [now - was for was, now in itertools.pairwise([*seen, shared.detach()])]
    assert torch.equal(seen[0], before)
    rates = [config.lr_at(step, 3) for step in range(3)]
    ring = (slice(None), slice(None), 0)
    assert bool(steps[0][ring].any())
    # Nesterov: a step of gradient g and momentum m is lr (g + 0.5 m), m = 0.5 m' + g.
    gradient = -steps[0][ring] / (1.5 * rates[0])
    for number, factor in ((1, 0.25), (2, 0.125)):
        torch.testing.assert_close(
            steps[number][ring], -rates[number] * factor * gradient, rtol=1e-3, atol=1e-7
        )


def test_what_is_sampled_moves(space: SearchSpace, data: ImageData) -> None:
    """Every weight of the path of a step changes in it."""
    supernet = space.supernet()
    watch = Watch(supernet)
    train_supernet(
        supernet, data, TrainConfig(steps=6, batch=32, report_every=1), callbacks=[watch]
    )
    for step in range(1, 6):
        for name in dict(supernet.named_parameters()):
            if block_of(name) in watch.ran[step]:
                assert not torch.equal(watch.states[step][name], watch.states[step - 1][name])


def test_every_candidate_is_trained(space: SearchSpace, data: ImageData) -> None:
    """Uniform sampling leaves no candidate out for long."""
    supernet = space.supernet()
    watch = Watch(supernet)
    train_supernet(
        supernet, data, TrainConfig(steps=40, batch=8, report_every=40), callbacks=[watch]
    )
    assert watch.ran[0] == set(dict(supernet.blocks.named_children()))


def test_a_filter_restricts_the_paths(space: SearchSpace, data: ImageData) -> None:
    """Only what the filter accepts is trained."""
    supernet = space.supernet()
    trained: list[IntArray] = []
    forward = supernet.forward

    def noted(images: Tensor, x: IntArray) -> Tensor:
        trained.append(x)
        return forward(images, x)

    supernet.forward = noted  # type: ignore[assignment]
    train_supernet(
        supernet, data, TrainConfig(steps=20, batch=8), feasible=lambda X: X[:, 1] == X[:, 2]
    )
    X = np.array(trained)
    assert len(X) == 20
    assert (X[:, 1] == X[:, 2]).all()
    assert len(np.unique(X, axis=0)) > 10


def test_paths_are_uniform_within_the_filter(space: SearchSpace) -> None:
    """Rejection keeps every feasible path equally likely."""

    def feasible(X: IntArray) -> npt.NDArray[np.bool_]:
        return np.asarray((X[:, 0] + X[:, 1] <= 2) & (X[:, 2:] == 0).all(axis=1))

    rng = np.random.default_rng(0)
    X = np.array([sample_path(space, feasible, rng) for _ in range(2400)])
    _, counts = np.unique(X, axis=0, return_counts=True)
    assert len(counts) == 6
    assert np.abs(counts / 400 - 1).max() < 0.2


def test_an_empty_filter_ends_after_bounded_tries(space: SearchSpace, data: ImageData) -> None:
    """A limit that no draw meets is an error, not an endless loop."""
    tried = 0

    def none(X: IntArray) -> npt.NDArray[np.bool_]:
        nonlocal tried
        tried += len(X)
        return np.zeros(len(X), dtype=np.bool_)

    with pytest.raises(InfeasibleError, match="raise the limit, or train on all"):
        train_supernet(space.supernet(), data, TrainConfig(steps=2, batch=8), feasible=none)
    assert tried <= 2 * TRIES


def test_training_is_resumed_bit_for_bit(
    space: SearchSpace, data: ImageData, tmp_path: Path
) -> None:
    """Paths, batches, momentum and batch norm go on where they were."""

    class Stop(Callback):
        def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
            if step == 12:
                raise KeyboardInterrupt

    config = TrainConfig(steps=20, batch=16, report_every=3)
    whole, first, second = space.supernet(), space.supernet(), space.supernet(seed=4)
    train_supernet(whole, data, config)
    with pytest.raises(KeyboardInterrupt):
        train_supernet(first, data, config, checkpoint=tmp_path / "c", callbacks=[Stop()])
    train_supernet(second, data, config, checkpoint=tmp_path / "c")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_a_checkpoint_of_another_space_or_limit_is_refused(
    space: SearchSpace, data: ImageData, tmp_path: Path
) -> None:
    """What the paths were drawn from belongs to the checkpoint."""
    config, path = TrainConfig(steps=2, batch=8), tmp_path / "c"
    train_supernet(space.supernet(), data, config, checkpoint=path)
    wider = type(space)(**{**space.options, "head_width": 16})
    with pytest.raises(ArtefactError, match="head_width is 32 there and 16 here"):
        train_supernet(wider.supernet(), data, config, checkpoint=path)
    with pytest.raises(ArtefactError, match="feasible"):
        train_supernet(
            space.supernet(),
            data,
            config,
            feasible=lambda X: X[:, 0] == 0,
            depends_on={"limit_ms": 2.0},
            checkpoint=path,
        )


def test_data_of_other_channels_is_refused(space: SearchSpace) -> None:
    """The mistake is named before a convolution fails."""
    with pytest.raises(UsageError, match="channels=1"):
        train_supernet(space.supernet(), load_data("digits", 8, 3), TrainConfig(steps=1))
