"""``latbench search`` with every one-shot searcher, on a tiny space, to a measured network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latbench
from latbench import registry
from latbench.one_shot_searcher import OneShotSearcher
from latbench.predictor import Predictor
from latbench.spaces.graph import IntArray
from latbench.spaces.onnx_file import workload_from_file
from latbench.spaces.space import SearchSpace
from latbench.testing.predictors import CARD
from latbench.workflows.setting import Setting

Run = Callable[..., Any]

SPACE = {
    "settings": [[8, 2, 1]],
    "image_size": 8,
    "stem_width": 8,
    "head_width": 16,
}
ONE_SHOT = [
    name
    for name in sorted(registry.names(registry.SEARCHERS))
    if issubclass(registry.load(registry.SEARCHERS, name), OneShotSearcher)
]


@dataclass(frozen=True, eq=False)
class Tiny:
    """Two places, and a predictor for them whose latencies are made up.

    Attributes:
        space: the space.
        every: all its architectures.
        predictor: says that later options are faster, and all far slower than they are.
        known: the options of a search that name these, and a store for all searches.
    """

    space: SearchSpace
    every: IntArray
    predictor: Predictor
    known: tuple[object, ...]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """What all searches here share, so that a block is measured once."""
    folder = tmp_path_factory.mktemp("tiny")
    space = latbench.space("digits-mobilenet", **SPACE)
    every = np.indices(space.sizes).reshape(len(space.sizes), -1).T
    predictor = saved(space, every, 100.0, folder / "slow")
    options = [f"--space-option={key}={json.dumps(value)}" for key, value in SPACE.items()]
    known = (
        *("--space", "digits-mobilenet", *options, "--predictor", folder / "slow"),
        *("--store", f"sqlite:///{folder / 'measured.db'}", "--data-size", 8, "--json"),
    )
    return Tiny(space, every, predictor, known)


def saved(space: SearchSpace, every: IntArray, unit_ms: float, folder: Path) -> Predictor:
    """Return a predictor in ``folder`` by which an option takes a unit less than the one before."""
    latencies_ms = unit_ms * (1 + (np.array(space.sizes) - 1 - every).sum(axis=1))
    predictor = latbench.predictor("ridge")(space).fit(every, latencies_ms)
    predictor.save(folder, Setting().here()[0], CARD)
    return predictor


@pytest.mark.parametrize("kind", ONE_SHOT)
def test_it_ends_with_a_measured_network(run: Run, tiny: Tiny, kind: str) -> None:
    """Trained, chosen, exported, compiled and timed; the files hold what is told."""
    # So few networks are within it that most searches find one that was measured before.
    limit_ms = float(np.quantile(tiny.predictor.predict(tiny.every), 0.1))
    done = run(
        *("search", *tiny.known, "--algorithm", kind, "--param", "finalists=2"),
        *("--latency-target", f"{limit_ms!r}ms", "--epochs", 1, "--out", "found"),
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    x = tiny.space.from_json(json.loads(Path("found/arch.json").read_text(encoding="utf-8")))
    assert found["predicted_ms"] == pytest.approx(tiny.predictor.predict(x)[0])
    assert found["predicted_ms"] <= limit_ms
    exported = workload_from_file(Path("found/network.onnx"))
    assert exported.id == tiny.space.network_workload(x).id
    assert 0 < found["true_low_ms"] <= found["true_ms"] <= found["true_high_ms"]
    assert found["accumulated_ms"] > 0
    assert found["met"]
    assert 0 <= found["accuracy"] <= 1
    assert found["details"]["steps"] == 16
    over = found["details"]["most_likely_ms"] > limit_ms
    assert any("the most likely architecture is" in note for note in found["notes"]) == over


def test_a_likeliest_network_over_the_target_is_noted(run: Run, tiny: Tiny) -> None:
    """Where nothing is learned the first options are the likeliest, which are the slowest here."""
    slowest_ms = float(tiny.predictor.predict(tiny.every[:1])[0])
    done = run(
        *("search", *tiny.known, "--algorithm", "fbnet", "--param", "warmup=0.99"),
        *("--param", "finalists=1", "--latency-target", f"{0.9 * slowest_ms!r}ms", "--epochs", 1),
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["details"]["most_likely_ms"] == pytest.approx(slowest_ms)
    assert found["predicted_ms"] <= 0.9 * slowest_ms
    said = [note for note in found["notes"] if "the most likely architecture is predicted" in note]
    assert len(said) == 1
    assert "over the target" in said[0]


def test_a_miss_of_the_fastest_is_told(run: Run, tiny: Tiny, tmp_path: Path) -> None:
    """Where the fastest network itself misses, no nearer one is looked for."""
    rosy = saved(tiny.space, tiny.every, 1e-6, tmp_path / "rosy")
    first, second = np.sort(rosy.predict(tiny.every))[:2]
    told = ("--predictor", tmp_path / "rosy", "--surrogate", tmp_path / "rosy")
    done = run(
        *("search", *tiny.known, *told, "--algorithm", "random", "--evaluations", 1),
        *("--latency-target", f"{float(first + second) / 2!r}ms"),
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["met"], found["nearest"]) == (False, None)
    assert any("no network is predicted to be faster than the one" in n for n in found["notes"])
