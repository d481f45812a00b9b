"""Checkpoints: one file, whole or not at all, for one training only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from latbench.errors import ArtefactError
from latbench.training.checkpoint import (
    FORMAT,
    VERSION,
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from latbench.training.saving import Pace, replace_file

IDENTITY = {"space": {"name": "toy", "options": {"depth": 3}}, "config": {"lr": 0.1}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint of step 7."""
    place = tmp_path / "training.safetensors"
    write_checkpoint(place, Checkpoint(7, {"a": torch.arange(3)}), IDENTITY)
    return place


def test_tensors_and_values_come_back(tmp_path: Path) -> None:
    """Every dtype and layout, tied tensors, and generator states are returned exactly."""
    tied = torch.randn(4, 3)
    state = Checkpoint(3)
    state.put_tensors(
        "weights",
        {
            "tied": tied,
            "again": tied,
            "half": torch.randn(2, 2).half(),
            "count": torch.tensor(5),
            "view": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        },
    )
    rng = np.random.default_rng(1)
    state.values["rng"] = rng.bit_generator.state
    write_checkpoint(tmp_path / "c", state, IDENTITY)
    read = read_checkpoint(tmp_path / "c", IDENTITY)
    assert read.step == 3
    for name, tensor in read.get_tensors("weights").items():
        assert torch.equal(tensor, state.tensors[f"weights/{name}"])
        assert tensor.dtype == state.tensors[f"weights/{name}"].dtype
    other = np.random.default_rng(2)
    other.bit_generator.state = read.values["rng"]
    assert other.random() == rng.random()


@pytest.mark.parametrize(
    "build",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.5, 0.999)),
    ],
)
def test_an_optimiser_goes_on(tmp_path: Path, build: Any) -> None:
    """A restored optimiser takes the same next steps, with weights that never had a gradient."""

    def steps(module: nn.Module, optimizer: torch.optim.Optimizer, n: int) -> None:
        for _ in range(n):
            optimizer.zero_grad()
            (module[0].weight ** 3).sum().backward()  # type: ignore[index]
            optimizer.step()

    torch.manual_seed(0)
    first = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    second = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    optimizer, restored = build(first.parameters()), build(second.parameters())
    steps(first, optimizer, 3)
    state = Checkpoint(3)
    state.put_tensors("weights", first.state_dict())
    state.put_optimizer("optimizer", optimizer)
    write_checkpoint(tmp_path / "c", state, IDENTITY)
    read = read_checkpoint(tmp_path / "c", IDENTITY)
    second.load_state_dict(read.get_tensors("weights"))
    read.get_optimizer("optimizer", restored)
    steps(first, optimizer, 3)
    steps(second, restored, 3)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_another_trainings_file_is_refused_by_the_difference(path: Path) -> None:
    """The message names the setting, its value there and its value here."""
    other = {"space": {"name": "toy", "options": {"depth": 4}}, "config": {"lr": 0.1}}
    with pytest.raises(ArtefactError, match=r"space\.options\.depth is 3 there and 4 here"):
        read_checkpoint(path, other)


def test_lists_and_tuples_are_the_same(tmp_path: Path) -> None:
    """An identity is compared as JSON would give it back."""
    write_checkpoint(tmp_path / "c", Checkpoint(0), {"sizes": (1, 2)})
    assert read_checkpoint(tmp_path / "c", {"sizes": (1, 2)}).step == 0


@pytest.mark.parametrize("keep", [0, 5, 40, -1])
def test_a_cut_file_is_refused(path: Path, keep: int) -> None:
    """A truncated file is damaged, wherever it was cut."""
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ArtefactError, match="cannot be read as a checkpoint"):
        read_checkpoint(path, IDENTITY)


def test_anybody_elses_file_is_refused(tmp_path: Path) -> None:
    """Weights without latbench's header are no checkpoint."""
    save_file({"a": torch.zeros(2)}, str(tmp_path / "weights"))
    with pytest.raises(ArtefactError, match="is not a checkpoint of latbench"):
        read_checkpoint(tmp_path / "weights", IDENTITY)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ([1], "is not a checkpoint of latbench"),
        ({"format": FORMAT}, "version None"),
        ({"format": FORMAT, "version": VERSION, "identity": IDENTITY}, "damaged: it has no step"),
    ],
)
def test_a_header_that_is_not_whole_is_refused(tmp_path: Path, header: Any, says: str) -> None:
    """JSON of another shape, or without what a state must have, is told by what it lacks."""
    place = tmp_path / "c"
    save_file({"a": torch.zeros(2)}, str(place), metadata={"latbench": json.dumps(header)})
    with pytest.raises(ArtefactError, match=says):
        read_checkpoint(place, IDENTITY)


def test_another_version_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a later latbench is not guessed at."""
    monkeypatch.setattr("latbench.training.checkpoint.VERSION", 2)
    with pytest.raises(ArtefactError, match="version 1, this latbench reads version 2"):
        read_checkpoint(path, IDENTITY)


def test_a_failed_write_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stops a write, the last checkpoint stays and nothing else is left behind."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ArtefactError, match="No space left"):
        write_checkpoint(path, Checkpoint(8), IDENTITY)
    assert read_checkpoint(path, IDENTITY).step == 7
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A path that cannot be written ends in its name."""
    with pytest.raises(ArtefactError, match="nowhere"):
        replace_file(tmp_path / "nowhere" / "file", b"")


def test_saving_takes_a_small_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a save of one second the next is due twenty seconds later."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    pace = Pace()
    assert pace.due()
    pace.saved(started=99.0)
    now = 119.9
    assert not pace.due()
    now = 120.1
    assert pace.due()
