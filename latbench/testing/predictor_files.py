"""Checks that a predictor survives being saved, and that damage does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from latbench.errors import ArtefactError
from latbench.prediction import artefact
from latbench.predictor import Predictor
from latbench.target import Target
from latbench.testing.predictor_fixtures import CARD, TARGET, Data, PredictorFixtures


class PredictorFileChecks(PredictorFixtures):
    """One check a rule of saving and loading."""

    def test_loading_is_exact(self, fitted: Predictor, saved: Path, new: Data) -> None:
        """A loaded predictor answers bit for bit as the saved one, and knows its target."""
        loaded = type(fitted).load(saved, TARGET)
        np.testing.assert_array_equal(loaded.predict(new[0]), fitted.predict(new[0]))
        np.testing.assert_array_equal(
            loaded.predict_interval(new[0], 0.9), fitted.predict_interval(new[0], 0.9)
        )
        np.testing.assert_array_equal(loaded.coverage_of(new[0]), fitted.coverage_of(new[0]))
        assert loaded.target == TARGET

    def test_a_loaded_predictor_can_be_saved_again(
        self, fitted: Predictor, saved: Path, tmp_path: Path, new: Data
    ) -> None:
        """Saving what was loaded changes nothing."""
        type(fitted).load(saved).save(tmp_path / "again", TARGET, CARD)
        again = type(fitted).load(tmp_path / "again")
        np.testing.assert_array_equal(again.predict(new[0]), fitted.predict(new[0]))

    def test_the_card_names_target_data_and_baselines(self, saved: Path) -> None:
        """The model card says what the predictor is for and how good it is beside baselines."""
        card = (saved / artefact.CARD).read_text(encoding="utf-8")
        for words in (TARGET.label, CARD["data"], "| mean | 20 | - |", CARD["made"]):
            assert words in card

    def test_nothing_is_pickled(self, saved: Path) -> None:
        """The arrays open with pickles forbidden; beside them there are JSON and texts alone."""
        known = {artefact.DOCUMENT, artefact.ARRAYS, artefact.CARD}
        files = {entry.name for entry in saved.iterdir()}
        assert files >= known
        assert all(name.endswith(".txt") for name in files - known)
        with np.load(saved / artefact.ARRAYS, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype.kind in "biufU" for name in arrays.files)

    @pytest.mark.parametrize("name", [artefact.DOCUMENT, artefact.ARRAYS])
    def test_truncated_files_are_refused(self, fitted: Predictor, saved: Path, name: str) -> None:
        """A file cut short is refused by its name."""
        content = (saved / name).read_bytes()
        (saved / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(ArtefactError, match=name):
            type(fitted).load(saved)

    @pytest.mark.parametrize("name", [artefact.DOCUMENT, artefact.ARRAYS])
    def test_changed_files_are_refused(self, fitted: Predictor, saved: Path, name: str) -> None:
        """One changed character is enough to be refused."""
        content = (saved / name).read_bytes()
        old, new = (b"1.20.0", b"1.21.0") if name == artefact.DOCUMENT else (b"PK", b"PX")
        (saved / name).write_bytes(content.replace(old, new, 1))
        with pytest.raises(ArtefactError, match=f"{name} does not match its checksum"):
            type(fitted).load(saved)

    def test_a_newer_schema_is_refused(self, fitted: Predictor, saved: Path) -> None:
        """What a newer latbench wrote is refused with that reason."""
        document = json.loads((saved / artefact.DOCUMENT).read_text(encoding="utf-8"))
        document["schema"] = artefact.SCHEMA + 1
        (saved / artefact.DOCUMENT).write_text(json.dumps(document), encoding="utf-8")
        with pytest.raises(ArtefactError, match="upgrade latbench"):
            type(fitted).load(saved)

    def test_another_target_is_refused(self, fitted: Predictor, saved: Path) -> None:
        """A predictor for one target does not pass for another; both are named."""
        other = Target("v100", "onnxruntime", "1.20.0")
        with pytest.raises(ArtefactError, match=r"for cpu, .*, not for v100, "):
            type(fitted).load(saved, other)
