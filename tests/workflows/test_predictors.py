"""Saved predictors in use: only for the target they were fitted for, or with a word of warning."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latbench
from latbench.errors import ArtefactError, MissingMeasurementsError, UsageError
from latbench.predictor import Predictor
from latbench.spaces import SearchSpace
from latbench.target import Target
from latbench.testing.predictors import CARD
from latbench.units import format_ms
from latbench.workflows.predictors import (
    FOLDER,
    cautions,
    default_folder,
    load_asked,
    load_for,
    newest,
    outdated,
)
from latbench.workflows.setting import Setting
from latbench.workflows.table_target import UNKNOWN, stated


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return latbench.space("digits-mobilenet")


@pytest.fixture(scope="module")
def here() -> Target:
    """The target that this machine is."""
    return Setting().here()[0]


@pytest.fixture
def save(
    space: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, Target], Path]:
    """A function that saves a ridge for a target under a name, where the newest is looked for."""
    monkeypatch.chdir(tmp_path)
    X = space.sample(np.random.default_rng(0), 60)
    ridge = latbench.predictor("ridge").for_table(space, None).fit(X, 1.0 + X.sum(axis=1))

    def save(name: str, target: Target) -> Path:
        ridge.save(FOLDER / name, target, CARD)
        return FOLDER / name

    return save


Save = Callable[[str, Target], Path]


def test_another_runtime_version_is_told(space: SearchSpace, here: Target, save: Save) -> None:
    """Predictions stay possible, and both versions are named."""
    other = replace(here, runtime_version="0.1.0")
    (told,) = cautions(
        Predictor.load(save("old", other)), space.sample(np.random.default_rng(0), 1)
    )
    assert f"one for {here.runtime} 0.1.0 and {here.runtime_version} is installed" in told
    assert outdated(here) is None


@pytest.mark.parametrize("change", [{"device": "v100"}, {"runtime": "unknown"}])
def test_what_is_not_here_is_not_compared(here: Target, change: dict[str, Any]) -> None:
    """A predictor for another machine may be used on this one."""
    assert outdated(replace(here, runtime_version="0.1.0", **change)) is None


def test_another_version_is_not_the_newest(space: SearchSpace, here: Target, save: Save) -> None:
    """It is passed over, and named where there is no other."""
    other = replace(here, runtime_version="0.1.0")
    save("old", other)
    with pytest.raises(MissingMeasurementsError, match="no predictor of digits-mobilenet") as told:
        newest(space, here, "latbench fit-predictor")
    assert f"only on {other.label}; make one" in str(told.value)
    folder = save("new", here)
    assert newest(space, here, "latbench fit-predictor")[1] == folder


@pytest.mark.parametrize(
    "change", [{"runtime_version": "0.1.0"}, {"threads": 2}, {"precision": "int8"}, {"batch": 8}]
)
def test_another_target_is_refused_by_name(
    space: SearchSpace, here: Target, save: Save, change: dict[str, Any]
) -> None:
    """What a search is given must be for the very target that it measures on."""
    other = replace(here, **change)
    folder = save("other", other)
    with pytest.raises(ArtefactError) as told:
        load_for(folder, space, here)
    assert f"predicts for {other.label}, not for {here.label}" in str(told.value)


@pytest.mark.parametrize("asked", [{}, {"runtime": "onnxruntime"}])
def test_what_was_asked_for_is_loaded(here: Target, save: Save, asked: dict[str, Any]) -> None:
    """A target in the version that is installed, with its runtime named or not."""
    assert load_asked(save("ridge", here), Setting(**asked)).target == here


@pytest.mark.parametrize(
    "asked",
    [
        {"device": "v100"},
        {"runtime": "openvino"},
        {"precision": "int8"},
        {"batch": 8},
        {"threads": 2},
        {"runtime_options": (("layout", "nhwc"),)},
    ],
)
def test_another_target_than_asked_for_is_refused(
    here: Target, save: Save, asked: dict[str, Any]
) -> None:
    """With both, the one that it predicts for and the one that was asked for."""
    setting = Setting(**asked)
    with pytest.raises(ArtefactError) as told:
        load_asked(save("ridge", here), setting)
    assert f"predicts for {here.label}, not for {setting.label}" in str(told.value)


def test_another_version_than_the_installed_one_is_refused(here: Target, save: Save) -> None:
    """Whoever asks for a target here means it as it is here."""
    folder = save("old", replace(here, runtime_version="0.1.0"))
    with pytest.raises(ArtefactError, match=r"0\.1\.0 and") as told:
        load_asked(folder, Setting())
    assert "name no target to predict for its own" in str(told.value)


def test_a_target_elsewhere_has_any_version(here: Target, save: Save) -> None:
    """A device that is not here has no version to compare with."""
    elsewhere = replace(here, device="v100", runtime="tensorrt", runtime_version="10.4.0")
    folder = save("elsewhere", elsewhere)
    assert load_asked(folder, Setting(device="v100")).target == elsewhere


def test_predictions_beyond_the_fit_are_told(space: SearchSpace, here: Target, save: Save) -> None:
    """How many of them, and between which latencies something was measured."""
    X = space.sample(np.random.default_rng(0), 200)
    predictor = Predictor.load(save("ridge", here))
    assert cautions(predictor, X[:1]) == []
    predicted = predictor.predict(X)
    fastest, slowest = predictor.range_ms_ = np.quantile(predicted, [0.25, 0.75])
    outside = (predicted < fastest) | (predicted > slowest)
    assert 0 < outside.sum() < len(X)
    assert predictor.beyond(X).tolist() == outside.tolist()
    (told,) = cautions(predictor, X)
    assert told.startswith(f"{outside.sum()} of 200 predictions lie beyond the networks")
    assert f"{format_ms(fastest)} to {format_ms(slowest)}" in told


def test_predictions_that_rest_on_measurements_in_part_are_told(
    space: SearchSpace, here: Target
) -> None:
    """How many, and to how much the least of them does: here, options that no network had."""
    X = space.sample(np.random.default_rng(0), 200)
    known = X[X[:, 0] == 0]
    ridge = latbench.predictor("ridge").for_table(space, None).fit(known, 1.0 + known.sum(axis=1))
    ridge.range_ms_ = np.array([0.0, np.inf])
    assert cautions(ridge, known) == []
    new = X[:50]
    partly = int((new[:, 0] != 0).sum())
    share = 100 * ridge.coverage_of(new).min()
    (told,) = cautions(ridge, new)
    assert 0 < partly < 50
    assert 0 < share < 100
    assert told.startswith(f"{partly} of 50 predictions rest on measurements in part only")
    assert f"to {share:.0f} %" in told


def test_another_space_is_refused(here: Target, save: Save) -> None:
    """Equal options too."""
    other = latbench.space("digits-mobilenet", settings=[[16, 2, 1]])
    with pytest.raises(UsageError, match="give the same --space and --space-option"):
        load_for(save("ridge", here), other, here)


def test_a_damaged_one_is_told_beside_none(space: SearchSpace, here: Target, save: Save) -> None:
    """It is no silent reason for there being none."""
    document = save("broken", here) / "predictor.json"
    content = json.loads(document.read_text(encoding="utf-8"))
    document.write_text(json.dumps({**content, "created": "tomorrow"}), encoding="utf-8")
    with pytest.raises(MissingMeasurementsError, match=r"1 could not be read: .*checksum"):
        newest(space, here, "latbench fit-predictor")


@pytest.mark.parametrize("asked", [{}, {"any_device": True}, {"runtime": "onnxruntime"}])
def test_a_version_that_nobody_stated_is_told_and_not_refused(
    space: SearchSpace, here: Target, save: Save, asked: dict[str, Any]
) -> None:
    """A table does not say its version: it may be used on any, and says so each time."""
    folder = save("table", replace(here, runtime_version=UNKNOWN))
    predictor = load_asked(folder, Setting(**asked))
    assert load_for(folder, space, here).target == predictor.target
    (told,) = cautions(predictor, space.sample(np.random.default_rng(0), 1))
    assert told.startswith("nobody stated the version of the runtime that the predictor's")
    with pytest.raises(ArtefactError, match="not for"):
        load_for(folder, space, replace(here, threads=2))


def test_a_device_that_nobody_stated_is_no_device_by_name(
    space: SearchSpace, here: Target, save: Save
) -> None:
    """It serves those who ask for none, and no search, which measures on one."""
    target = stated(Setting(runtime="onnxruntime", any_device=True))
    assert (target.device, target.runtime_version) == (UNKNOWN, UNKNOWN)
    folder = save("table", target)
    predictor = load_asked(folder, Setting(runtime="onnxruntime", any_device=True))
    (told,) = cautions(predictor, space.sample(np.random.default_rng(0), 1))
    assert told.startswith("nobody stated the device and the version of the runtime that")
    with pytest.raises(ArtefactError, match="predicts for unknown, onnxruntime unknown"):
        load_asked(folder, Setting())
    with pytest.raises(ArtefactError, match="predicts for unknown, onnxruntime unknown"):
        load_for(folder, space, here)


def test_default_folders_differ_by_table_and_column(space: SearchSpace, here: Target) -> None:
    """What is fitted to one column replaces nothing that was fitted to another."""
    sources = [(), ("t", "v100"), ("t", "raspi"), ("u", "raspi"), ("t", "a b"), ("t", "a/b")]
    folders = [default_folder(space, here, "ridge", source) for source in sources]
    assert len(set(folders)) == len(sources)
    assert all(folder.parent == FOLDER for folder in folders)
    assert "-t-v100-" in folders[1].name
