"""The protocol help-ofa: slots beyond a stage's depth, and what is scored."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latbench.errors import UsageError
from latbench.spaces import IntArray
from latbench.workflows.evaluate import evaluate
from latbench.workflows.protocols import help_ofa
from latbench.workflows.protocols.rows import Request, Row

DATA = os.environ.get("LATBENCH_EVAL_DATA") or None
needs_data = pytest.mark.skipif(DATA is None, reason="LATBENCH_EVAL_DATA names no data")

MASKED, UNMASKED = "ridge on log latency", "ridge on log latency, unmasked slots"


def mape(rows: list[Row], method: str, labels: int, device: str) -> float:
    """Return the error of one of our rows on a device."""
    (row,) = (
        row
        for row in rows
        if (row.method, row.labels, row.score) == (f"latbench {method}", labels, "mape")
    )
    score = row.scores[device]
    assert score is not None
    return score


DEVICES = ("titan_rtx_64", "v100_1", "v100_32", "v100_64")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some columns do for a test, and what is quick to fit."""
    quick = {name: one for name, one in help_ofa.OURS.items() if one[0] != "gbdt"}
    monkeypatch.setattr(help_ofa, "DEVICES", DEVICES)
    monkeypatch.setattr(help_ofa, "OURS", quick)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """A table like theirs: products of the resolution with what the stages' live slots cost."""
    rng = np.random.default_rng(4)
    n = help_ofa.QUERIES.stop
    slots = help_ofa.STAGES * help_ofa.SLOTS
    ks, e = rng.choice(help_ofa.KERNELS, (n, slots)), rng.choice(help_ofa.EXPANSIONS, (n, slots))
    d, r = rng.choice(help_ofa.DEPTHS, (n, help_ofa.STAGES)), rng.choice(help_ofa.RESOLUTIONS, n)
    live = np.arange(help_ofa.SLOTS) < d[:, :, np.newaxis]
    cost = (0.01 * (ks + 2 * e) * live.reshape(n, slots)).sum(axis=1)
    latency_ms = (r / 224) ** 2 * np.exp(cost)

    def joined(numbers: IntArray) -> list[str]:
        return ["_".join(map(str, row)) for row in numbers]

    columns = {"arch_idx": np.arange(n), "ks": joined(ks), "e": joined(e), "d": joined(d), "r": r}
    return pd.DataFrame({**columns, **dict.fromkeys(DEVICES, latency_ms)})


def written(frame: pd.DataFrame, folder: Path) -> Path:
    """Write the table, and return the folder."""
    frame.to_csv(folder / help_ofa.FILE, index=False)
    return folder


def test_slots_beyond_the_depth_are_masked(frame: pd.DataFrame, tmp_path: Path) -> None:
    """Networks that differ in such slots alone are one architecture, unless they are unmasked."""
    pair = frame.copy()
    pair.loc[[0, 1], "d"] = "2_4_4_4_3"
    pair.loc[[0, 1], "r"] = 128
    for name, dead, alive in (("ks", "3", "7"), ("e", "3", "6")):
        numbers = [alive] * 20
        pair.loc[0, name] = "_".join(numbers)
        for slot in (2, 3, 19):
            numbers[slot] = dead
        pair.loc[1, name] = "_".join(numbers)
    X = help_ofa.load(written(pair, tmp_path)).X
    assert (X[True][0] == X[True][1]).all()
    assert (X[False][0] != X[False][1]).sum() == 6


def test_masking_makes_a_product_exact(frame: pd.DataFrame, tmp_path: Path) -> None:
    """Without what means nothing, a product over slots is a sum of logarithms."""
    rows = evaluate("help-ofa", Request(written(frame, tmp_path), labels=(300,), seeds=1))
    assert mape(rows, MASKED, 300, "v100_32") < 0.1
    assert mape(rows, UNMASKED, 300, "v100_32") > 3


def test_seeds_repeat(frame: pd.DataFrame, tmp_path: Path) -> None:
    """Equal seeds give equal rows, other seeds others."""
    data = written(frame, tmp_path)
    request = Request(data, labels=(10,), seeds=1)
    assert evaluate("help-ofa", request) == evaluate("help-ofa", request)
    assert evaluate("help-ofa", request) != evaluate("help-ofa", Request(data, (10,), 1, seed=5))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda frame: frame.drop(columns="v100_64"), "no column 'v100_64'"),
        (lambda frame: frame.iloc[::-1], "networks 0 to 4999 in order"),
        (lambda frame: frame.assign(ks="3_5_7"), "row 1 has 3 numbers in 'ks' instead of 20"),
        (lambda frame: frame.assign(r=100), "row 1: 100 is no value of the column 'r'"),
        (lambda frame: frame.assign(v100_1=-1.0), "not above zero"),
    ],
)
def test_a_spoilt_table_is_named(
    spoil: Callable[[pd.DataFrame], pd.DataFrame],
    says: str,
    frame: pd.DataFrame,
    tmp_path: Path,
) -> None:
    """What is wrong is told with the file, in one line."""
    with pytest.raises(UsageError, match=says) as caught:
        evaluate("help-ofa", Request(written(spoil(frame), tmp_path)))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_labels_than_the_pool_has_are_refused(tmp_path: Path) -> None:
    """The pool holds 4,000 networks."""
    with pytest.raises(UsageError, match="4001 labels: this protocol takes 3 to 4000"):
        evaluate("help-ofa", Request(tmp_path, labels=(4001,)))


@needs_data
def test_known_figures_come_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all of the pool, the errors on log latency are the 2.43 and 1.28 % that were told."""
    monkeypatch.setattr(help_ofa, "DEVICES", (help_ofa._REFERENCE_COLUMN,))
    monkeypatch.setattr(
        help_ofa, "OURS", {name: help_ofa.OURS[name] for name in (MASKED, UNMASKED)}
    )
    rows = evaluate("help-ofa", Request(Path(DATA or ""), labels=(4000,), seeds=1))
    for method, slots in ((MASKED, "masked slots"), (UNMASKED, "unmasked slots")):
        found = mape(rows, method, 4000, help_ofa._REFERENCE_COLUMN)
        assert found == pytest.approx(help_ofa._REFERENCE[slots], abs=0.005)
