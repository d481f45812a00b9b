"""Predictors that were saved before are read by whichever Python runs this, and predict alike.

``python tests/predictors/test_kept.py`` fits and saves them anew. That is due when a kind, or what
it makes of a network, has changed so that what was saved can no longer be read: then users have to
fit again, too, and CHANGELOG.md says so.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latbench
from latbench import registry
from latbench.predictor import Predictor
from latbench.target import Target
from latbench.testing.predictors import CARD

FOLDER = Path(__file__).with_name("kept")
TOLD = "predictions.json"
TARGET = Target("cpu", "onnxruntime", "1.20.0")
PARAMS: dict[str, dict[str, Any]] = {
    "gbdt": {"rounds": 5},
    "mlp": {"shortcut": False, "epochs": 5, "width": 8},
}
KINDS = registry.names(registry.PREDICTORS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kept_predictor_predicts_what_it_did(kind: str) -> None:
    """Predictions, intervals and coverage are those of the process that saved it."""
    told = json.loads((FOLDER / TOLD).read_text(encoding="utf-8"))[kind]
    loaded = Predictor.load(FOLDER / kind, TARGET)
    for name, found in _answers(loaded, np.array(told["X"])).items():
        np.testing.assert_allclose(found, told[name], rtol=1e-9, err_msg=name)


def test_nothing_else_is_kept() -> None:
    """A kind that is gone leaves no folder behind."""
    assert sorted(entry.name for entry in FOLDER.iterdir()) == sorted([*KINDS, TOLD])


def _answers(predictor: Predictor, X: Any) -> dict[str, Any]:
    low, high = predictor.predict_interval(X, 0.8)
    return {
        "predicted": predictor.predict(X).tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "coverage": predictor.coverage_of(X).tolist(),
    }


def _keep() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    space = latbench.space("nasbench201", cells=1)
    rng = np.random.default_rng(0)
    block_ms = {block.key: float(rng.uniform(0.05, 0.5)) for block in space.blocks}
    X, asked = space.sample(rng, 200), space.sample(rng, 8)
    y = 0.2 + space.path(X) @ np.array(list(block_ms.values()))
    y *= np.exp(rng.normal(0, 0.02, len(X)))
    told = {}
    for kind in KINDS:
        found: type[Predictor] = registry.load(registry.PREDICTORS, kind)
        predictor = found.for_table(space, block_ms, **PARAMS.get(kind, {})).fit(X, y)
        predictor.save(FOLDER / kind, TARGET, CARD)
        told[kind] = {"X": asked.tolist(), **_answers(predictor, asked)}
    (FOLDER / TOLD).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _keep()
