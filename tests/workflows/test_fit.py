"""Fitting: what stands beside a score, and what is told of what cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import latbench
from latbench.spaces import SearchSpace
from latbench.testing.predictors import TARGET
from latbench.workflows.fit import BASELINES, Examples, fit_predictor


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return latbench.space("digits-mobilenet")


@pytest.fixture(scope="module")
def examples(space: SearchSpace) -> Examples:
    """Sixty networks that are sums of blocks, and all blocks."""
    rng = np.random.default_rng(0)
    block_ms = {block.key: float(rng.uniform(0.1, 2)) for block in space.blocks}
    X = space.sample(rng, 60)
    y = np.asarray(space.path(X) @ np.array(list(block_ms.values())))
    return Examples(space, TARGET, X, y, block_ms, None, "made up")


def test_every_baseline_stands_beside(examples: Examples, tmp_path: Path) -> None:
    """The plain table, a ridge, multiply-accumulates and parameters; here the table is exact."""
    fitted = fit_predictor(examples, "ridge", params={"alpha": 100.0}, out=tmp_path / "ridge")
    assert list(fitted.baselines) == list(BASELINES)
    assert "plain lut has a smaller error than ridge" in "; ".join(fitted.notes)
    card = (tmp_path / "ridge" / "CARD.md").read_text(encoding="utf-8")
    assert "- beaten by: plain lut has a smaller error than ridge" in card
    for name in BASELINES:
        assert f"| {name} | " in card


def test_a_table_with_holes_is_no_baseline(examples: Examples, tmp_path: Path) -> None:
    """A block that could not be measured keeps no other predictor from being fitted."""
    assert examples.block_ms is not None
    holed = dict(list(examples.block_ms.items())[2:])
    fitted = fit_predictor(replace(examples, block_ms=holed), "ridge", out=tmp_path / "ridge")
    assert list(fitted.baselines) == ["flops", "params"]
    (told,) = (note for note in fitted.notes if "plain lut" in note)
    assert "there is no plain lut beside it: no latency of " in told
    card = (tmp_path / "ridge" / "CARD.md").read_text(encoding="utf-8")
    assert "- missing: there is no plain lut beside it" in card


def test_a_network_measured_twice_is_not_on_both_sides(examples: Examples) -> None:
    """Or a score would be of networks that were seen."""
    twice = replace(
        examples,
        X=np.concatenate([examples.X, examples.X]),
        y=np.concatenate([examples.y, examples.y]),
    )
    fitted = fit_predictor(twice, "ridge", seeds=2)
    assert (fitted.n_train + fitted.n_test) == 120
    assert fitted.n_test % 2 == 0


def test_the_card_tells_what_was_set_aside(examples: Examples, tmp_path: Path) -> None:
    """Whoever has the predictor alone reads what was odd about its data."""
    told = replace(examples, notes=["2 rows were set aside: ms is missing", "it is quantised"])
    fit_predictor(told, "flops", out=tmp_path / "flops")
    card = (tmp_path / "flops" / "CARD.md").read_text(encoding="utf-8")
    assert "- about the data: 2 rows were set aside: ms is missing; it is quantised\n" in card


def test_a_baseline_without_blocks_is_told(examples: Examples, tmp_path: Path) -> None:
    """That there is no table beside it is no silence, and the way to one is named."""
    fitted = fit_predictor(replace(examples, block_ms=None), "flops", out=tmp_path / "flops")
    assert list(fitted.baselines) == ["ridge", "params"]
    (told,) = (note for note in fitted.notes if "plain lut" in note)
    assert "latbench profile --space digits-mobilenet --blocks" in told
    card = (tmp_path / "flops" / "CARD.md").read_text(encoding="utf-8")
    assert "- missing: there is no plain lut beside it" in card
