"""Saving is all or nothing, and loading refuses what it cannot vouch for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latbench
from latbench.errors import ArtefactError, NotFittedError, UsageError
from latbench.prediction import artefact
from latbench.predictor import Predictor
from latbench.testing.predictors import CARD, TARGET


@pytest.fixture(scope="module")
def ridge() -> Predictor:
    space = latbench.space("digits-mobilenet", settings=[[16, 2, 1]])
    X = space.sample(np.random.default_rng(0), 40)
    return latbench.predictor("ridge").for_table(space, None, alpha=0.5).fit(X, 1 + X.sum(axis=1))


@pytest.fixture
def folder(ridge: Predictor, tmp_path: Path) -> Path:
    ridge.save(tmp_path / "ridge", TARGET, CARD)
    return tmp_path / "ridge"


def rewrite(folder: Path, **changes: Any) -> None:
    """Change entries of the document and give it a fitting checksum, as an attacker could."""
    document = json.loads((folder / artefact.DOCUMENT).read_text(encoding="utf-8"))
    del document["sha256"]
    document.update(changes)
    document["sha256"] = artefact._checksum(document)
    (folder / artefact.DOCUMENT).write_text(json.dumps(document), encoding="utf-8")


def test_the_space_and_its_options_come_back(folder: Path, ridge: Predictor) -> None:
    """Loading needs nothing but the folder."""
    loaded = Predictor.load(folder)
    assert loaded.space.spec == ridge.space.spec
    assert loaded.get_params()["alpha"] == 0.5


def test_saving_again_replaces_the_older_one(folder: Path, ridge: Predictor) -> None:
    """A predictor's folder may be overwritten, and nothing else is left lying about."""
    other = ridge.clone().set_params(alpha=7.0)
    space = latbench.space(ridge.space.spec["name"], **ridge.space.spec["options"])
    X = space.sample(np.random.default_rng(1), 30)
    other.fit(X, 1 + X.sum(axis=1)).save(folder, TARGET, CARD)
    assert Predictor.load(folder).get_params()["alpha"] == 7.0
    assert [entry.name for entry in folder.parent.iterdir()] == ["ridge"]


def test_a_folder_with_other_things_is_left_alone(ridge: Predictor, tmp_path: Path) -> None:
    """Saving never replaces what is no predictor; an empty folder may be filled."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds no predictor"):
        ridge.save(tmp_path, TARGET, CARD)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    ridge.save(tmp_path / "empty", TARGET, CARD)
    assert Predictor.load(tmp_path / "empty").kind == "ridge"


def test_a_failed_save_leaves_the_older_one(
    folder: Path, ridge: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the last step fails, the predictor that was there still loads."""
    rename = Path.rename

    def full(path: Path, target: Path) -> Path:
        if path.name.endswith(".new"):
            raise OSError("no space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(UsageError, match="no space left"):
        ridge.save(folder, TARGET, CARD)
    assert Predictor.load(folder).kind == "ridge"
    assert [entry.name for entry in folder.parent.iterdir()] == ["ridge"]


def test_parameters_that_are_no_json_are_refused(ridge: Predictor, tmp_path: Path) -> None:
    """What could not be read back is refused before anything is written."""
    odd = ridge.clone()
    odd.__dict__.update(vars(ridge), alpha=object())
    with pytest.raises(UsageError, match="JSON values"):
        odd.save(tmp_path / "odd", TARGET, CARD)
    assert not list(tmp_path.iterdir())


def test_an_unfitted_predictor_is_not_saved(ridge: Predictor, tmp_path: Path) -> None:
    """There is nothing to save before a fit."""
    with pytest.raises(NotFittedError):
        ridge.clone().save(tmp_path / "ridge", TARGET, CARD)


@pytest.mark.parametrize("field", ["data", "scores", "baselines", "made"])
def test_an_incomplete_card_is_refused(ridge: Predictor, tmp_path: Path, field: str) -> None:
    """A predictor without its data, scores, baselines or origin is not written."""
    card = {name: value for name, value in CARD.items() if name != field}
    with pytest.raises(UsageError, match=f"no '{field}'"):
        ridge.save(tmp_path / "ridge", TARGET, card)


def test_an_empty_place_is_a_usage_error(tmp_path: Path) -> None:
    """A folder that holds no predictor was mistyped."""
    with pytest.raises(UsageError, match="no predictor in"):
        Predictor.load(tmp_path / "nowhere")


def test_missing_arrays_are_named(folder: Path) -> None:
    """Half a copy is recognised."""
    (folder / artefact.ARRAYS).unlink()
    with pytest.raises(ArtefactError, match=r"arrays\.npz is missing"):
        Predictor.load(folder)


def test_other_json_is_no_predictor(folder: Path) -> None:
    """A JSON file of something else is told apart."""
    (folder / artefact.DOCUMENT).write_text("[1, 2]")
    with pytest.raises(ArtefactError, match="describes no predictor"):
        Predictor.load(folder)


def test_an_unknown_kind_is_refused(folder: Path) -> None:
    """A kind that nobody registered is named with those there are."""
    rewrite(folder, kind="forest")
    with pytest.raises(ArtefactError, match=r"no predictor 'forest'; known: .*ridge"):
        Predictor.load(folder)


def test_a_changed_space_is_refused(folder: Path) -> None:
    """Numbers in an architecture mean nothing when the options are others."""
    document = json.loads((folder / artefact.DOCUMENT).read_text(encoding="utf-8"))
    choices = document["choices"]
    rewrite(folder, choices={name: options[::-1] for name, options in choices.items()})
    with pytest.raises(ArtefactError, match="other choices"):
        Predictor.load(folder)


@pytest.mark.parametrize("options", [{"sides": 32}, {"image_size": -1}])
def test_a_space_with_other_options_is_refused(folder: Path, options: dict[str, int]) -> None:
    """An option that the space no longer has, or no longer takes, is told with the remedy."""
    space = {"name": "digits-mobilenet", "options": options}
    rewrite(folder, space=space)
    with pytest.raises(ArtefactError, match=r"options that it no longer takes .*; fit again"):
        Predictor.load(folder)


@pytest.mark.parametrize("entry", ["target", "choices", "arrays_sha256"])
def test_a_document_that_lacks_an_entry_is_refused(folder: Path, entry: str) -> None:
    """Even with a fitting checksum."""
    document = json.loads((folder / artefact.DOCUMENT).read_text(encoding="utf-8"))
    del document["sha256"], document[entry]
    document["sha256"] = artefact._checksum(document)
    (folder / artefact.DOCUMENT).write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ArtefactError, match=f"has no '{entry}'"):
        Predictor.load(folder)


def test_a_target_of_other_fields_is_refused(folder: Path) -> None:
    """What tells targets apart has changed since."""
    rewrite(folder, target={**TARGET.to_dict(), "cooling": "fan"})
    with pytest.raises(ArtefactError, match="another version of latbench"):
        Predictor.load(folder)


def test_missing_learned_arrays_are_refused(folder: Path) -> None:
    """Arrays of another version of the predictor are told by name."""
    arrays = artefact._packed({"intercept_ms": np.array(1.0)})
    (folder / artefact.ARRAYS).write_bytes(arrays)
    rewrite(folder, arrays_sha256=hashlib.sha256(arrays).hexdigest())
    with pytest.raises(ArtefactError, match="lacks the array 'options_ms'"):
        Predictor.load(folder)


def test_pickled_arrays_are_never_opened(folder: Path) -> None:
    """Even with a fitting checksum, an array of objects is refused, not unpickled."""
    with (folder / artefact.ARRAYS).open("wb") as file:
        np.savez(file, intercept_ms=np.array([object()], dtype=object))
    packed = (folder / artefact.ARRAYS).read_bytes()
    rewrite(folder, arrays_sha256=hashlib.sha256(packed).hexdigest())
    with pytest.raises(ArtefactError, match="no plain arrays"):
        Predictor.load(folder)
