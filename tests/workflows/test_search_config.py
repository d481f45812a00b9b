"""A search in a file: what is written is read, and what cannot be is told by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import latbench
from latbench.errors import LatbenchError, UsageError
from latbench.training.config import ONE_SHOT, TrainConfig, WarmupConfig
from latbench.workflows.search_config import SearchConfig, read_config, write_config
from latbench.workflows.search_settings import SearchSettings
from latbench.workflows.searchers import build, settled
from latbench.workflows.setting import Setting

SPACE = latbench.space("digits-mobilenet", image_size=16)
SETTING = Setting(
    runtime="openvino", precision="bf16", runtime_options=(("hint", "latency"),), threads=2
)
SETTINGS = SearchSettings(
    target_ms=0.1 + 0.2,
    algorithm="darts",
    params={"order": 2, "rate": 1e-4},
    data_size=16,
    train=TrainConfig(
        epochs=3, accumulate=2, lr=1e-3, alpha_accumulate=4, warmup=WarmupConfig(lr=1e-2)
    ),
    penalty={"name": "additive", "weight": 0.2},
    reward="measured",
    evaluations=50,
    confidence=0.95,
    seed=4,
)


def text(tmp_path: Path, content: str) -> SearchConfig:
    """Return what a file with this content says."""
    path = tmp_path / "config.yaml"
    path.write_text(content, encoding="utf-8")
    return read_config(path)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every setting, the space, the target and the predictors, bit for bit."""
    path = tmp_path / "config.yaml"
    folders = Path("lut"), Path("surrogate"), Path("mlp")
    write_config(path, SETTINGS, SPACE.spec, SETTING, *folders)
    found = read_config(path)
    assert SearchSettings(**found.settings) == SETTINGS
    assert found.space == {"name": SPACE.name, "options": SPACE.spec["options"]}
    assert found.setting == SETTING
    assert (found.predictor, found.surrogate, found.control) == folders


def test_defaults_are_written_out(tmp_path: Path) -> None:
    """Of the algorithm, its penalty and the training; not what follows from the target."""
    path = tmp_path / "config.yaml"
    whole = settled(SearchSettings(5.0, algorithm="proxylessnas", params={"mode": "two"}))
    write_config(path, whole, SPACE.spec, Setting(), Path("lut"))
    found = read_config(path)
    params = {**build("proxylessnas", {}).get_params(), "mode": "two"}
    assert found.settings["params"] == params
    assert found.settings["penalty"] == {"name": "hinge", "weight": 1.0}
    assert found.settings["train"] == TrainConfig()


def test_a_penalty_is_settled_only_where_it_is_followed() -> None:
    """UNAS and evolution have none, and neither has ProxylessNAS by rewards."""
    for algorithm, params in (
        ("unas", {}),
        ("evolution", {}),
        ("proxylessnas", {"mode": "reinforce"}),
    ):
        assert settled(SearchSettings(5.0, algorithm=algorithm, params=params)).penalty is None


def test_what_is_left_out_is_missing(tmp_path: Path) -> None:
    """A file may say a part; numbers may have an exponent without a point."""
    found = text(tmp_path, "train: {weight_decay: 1e-3}\nconfidence: 0.9\n")
    assert found == SearchConfig({"train": TrainConfig(weight_decay=1e-3), "confidence": 0.9})


@pytest.mark.parametrize(
    ("content", "seed"),
    [
        ("seed: 5\ntrain: {epochs: 3}", 5),
        ("train: {epochs: 3}\nseed: 5", 5),
        ("seed: 5\ntrain: {seed: 2}", 2),
        ("train: {epochs: 3}", 0),
    ],
)
def test_the_seed_is_that_of_the_training_too(tmp_path: Path, content: str, seed: int) -> None:
    """Where the training names none of its own."""
    assert text(tmp_path, content).settings["train"].seed == seed


def test_a_file_of_before_the_warm_up_is_read(tmp_path: Path) -> None:
    """A training without the newer settings has their defaults."""
    old = {k: v for k, v in TrainConfig().to_dict().items() if k not in ONE_SHOT}
    found = text(tmp_path, f"train: {json.dumps(old)}")
    assert found.settings["train"] == TrainConfig()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("space: {nme: mobilenet}", "did you mean 'name'?"),
        ("space: {options: {}}", "space has no name"),
        ("space: mobilenet", "space is 'mobilenet'"),
        ("target: {devise: cpu}", "did you mean 'device'?"),
        ("target: {precision: fp15}", "did you mean 'fp16'?"),
        ("target: {batch: many}", "batch of target is 'many'; it must be a whole number"),
        ("target: {threads: 0}", "at least 1"),
        ("penalty: {weight: 1}", "penalty has no name"),
        ("penalty: {name: hinge, weight: heavy}", "weight of penalty is 'heavy'"),
        ("train: {accumulate: 0}", "accumulate is 0"),
        ("train: {accumulat: 2}", "did you mean 'accumulate'?"),
        ("train: {warmup: {rate: 1}}", "no setting of warmup of train 'rate'"),
        ("train: {warmup: {lr: 0}}", "in the warmup, lr is 0"),
        ("train: {warmup: 3}", "warmup of train is 3"),
        ("train: {epochs: 2.5}", "epochs is 2.5; it must be a whole number"),
        ("train: {epochs: null}", "epochs is None"),
        ("predictor: 3", "predictor is 3"),
        ("control: [mlp]", "control is ['mlp']"),
        ("reward: measures", "did you mean 'measured'?"),
        ("params: [1]", "params is [1]"),
    ],
)
def test_what_cannot_be_is_named(tmp_path: Path, content: str, says: str) -> None:
    """With its name, its value, and the nearest name."""
    with pytest.raises(UsageError) as told:
        text(tmp_path, content)
    assert says in str(told.value)
    assert "config.yaml" in str(told.value)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"rates": 0.1}, "did you mean 'rate'?"),
        ({"rate": "fast"}, "rate of darts is 'fast'; it must be a number, such as 0.01"),
        ({"every": 1.5}, "every of darts is 1.5; it must be a whole number, such as 1"),
        ({"finalists": True}, "finalists of darts is True"),
        ({"momentm": 0.5}, "did you mean 'momentum'?"),
        ({"clip_norm": "none"}, "clip_norm of darts is 'none'; it must be a number, such as 0.0"),
        ({"rate_left": None}, "rate_left of darts is None; it must be a number, such as 1.0"),
    ],
)
def test_hyperparameters_are_of_the_kind_of_their_defaults(
    params: dict[str, object], says: str
) -> None:
    """Whatever a searcher makes of them, text is no number."""
    with pytest.raises(LatbenchError) as told:
        build("darts", params)
    assert says in str(told.value)


def test_a_whole_number_is_a_number() -> None:
    """A rate of 1 needs no point."""
    assert build("darts", {"rate": 1}).get_params()["rate"] == 1
