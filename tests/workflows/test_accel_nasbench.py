"""The protocol accel-nasbench: what is fitted, what is scored, in which unit."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latbench.errors import UsageError
from latbench.prediction import metrics
from latbench.workflows.evaluate import evaluate
from latbench.workflows.protocols import accel_nasbench
from latbench.workflows.protocols.accel_nasbench import Column, Method
from latbench.workflows.protocols.rows import Request, Row

DATA = os.environ.get("LATBENCH_EVAL_DATA") or None
needs_data = pytest.mark.skipif(DATA is None, reason="LATBENCH_EVAL_DATA names no data")

PARTS = ["train"] * 200 + ["val"] * 40 + ["test"] * 60


def ours(rows: list[Row], score: str, *methods: str) -> dict[str, Row]:
    """Return our rows by method, for one score."""
    names = [f"latbench {method}" for method in methods or accel_nasbench.OURS]
    return {row.method: row for row in rows if row.score == score and row.method in names}


DEVICES = ("latency_vck190", "throughput_a100", "throughput_tpuv3")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up tables have few columns and want few trees, and nothing that is slow to train."""
    columns = {name: accel_nasbench.DEVICES[name] for name in DEVICES}
    quick = {name: one for name, one in accel_nasbench.OURS.items() if one.kind != "mlp"}
    monkeypatch.setattr(accel_nasbench, "DEVICES", columns)
    monkeypatch.setattr(accel_nasbench, "OURS", quick)
    monkeypatch.setattr(accel_nasbench, "TREES", ({"rounds": 5, "leaves": 3},))


@pytest.fixture
def frame() -> pd.DataFrame:
    """A table like theirs: latencies are sums over columns, throughputs their inverse."""
    rng = np.random.default_rng(2)
    options: dict[str, list[int]] = {"e": [1, 4, 6], "k": [3, 5], "l": [1, 2, 3], "se": [0, 1]}
    table = pd.DataFrame(
        {
            name: rng.choice(options[name.split("_")[1]], len(PARTS))
            for name in accel_nasbench.COLUMNS
        }
    )
    ms = 2 + table.astype(float) @ rng.uniform(0.1, 0.5, len(table.columns))
    for column in accel_nasbench.DEVICES.values():
        table[column] = ms if column.startswith("latency") else 1000 / ms
    return table.assign(split=PARTS)


def written(frame: pd.DataFrame, folder: Path) -> Path:
    """Write the table, and return the folder."""
    frame.to_csv(folder / accel_nasbench.FILE, index=False)
    return folder


def test_equal_seeds_give_equal_rows(frame: pd.DataFrame, tmp_path: Path) -> None:
    """Equal seeds give equal rows, and other labels others."""
    data = written(frame, tmp_path)
    request = Request(data, labels=(50,), seeds=1)
    assert evaluate("accel-nasbench", request) == evaluate("accel-nasbench", request)
    other = Request(data, labels=(50,), seeds=1, seed=5)
    assert evaluate("accel-nasbench", request) != evaluate("accel-nasbench", other)


def test_networks_outside_the_split_are_never_used(frame: pd.DataFrame, tmp_path: Path) -> None:
    """Copies without a part of the split change no score, whatever they say."""
    expected = evaluate("accel-nasbench", Request(written(frame, tmp_path), seeds=1))
    copies = frame.iloc[::7].assign(split=np.nan)
    copies[list(accel_nasbench.DEVICES.values())] = 1e-3
    data = written(pd.concat([frame, copies]), tmp_path)
    assert evaluate("accel-nasbench", Request(data, seeds=1)) == expected


def test_missing_values_are_left_out(frame: pd.DataFrame, tmp_path: Path) -> None:
    """A column may lack networks in each part; the others are fitted and scored."""
    frame.loc[::9, "throughput_tpuv3_mean"] = np.nan
    found = ours(evaluate("accel-nasbench", Request(written(frame, tmp_path), seeds=1)), "mape")
    for row in found.values():
        assert row.scores["throughput_tpuv3"] is not None


def test_what_is_a_sum_in_ms_is_found_through_ms(frame: pd.DataFrame, tmp_path: Path) -> None:
    """A throughput whose inverse is a sum is predicted well through ms, and worse as it stands."""
    rows = evaluate("accel-nasbench", Request(written(frame, tmp_path), seeds=1))
    found = ours(rows, "mape", "gbdt", "gbdt, through ms an image")
    direct, inverted = (row.scores["throughput_a100"] or 0 for row in found.values())
    assert inverted < 0.1 < direct
    assert len({row.scores["latency_vck190"] for row in found.values()}) == 1


def test_every_score_has_a_row(frame: pd.DataFrame, tmp_path: Path) -> None:
    """An error in ms is one of latencies; images/s have none."""
    rows = evaluate("accel-nasbench", Request(written(frame, tmp_path), seeds=1))
    for score in metrics.summary([1.0], [1.0]):
        for row in ours(rows, score).values():
            untold = [name for name, value in row.scores.items() if value is None]
            assert untold == (list(DEVICES[1:]) if score == "rmse_ms" else [])
        assert len(ours(rows, score)) == len(accel_nasbench.OURS)


def test_turning_twice_gives_the_column_back() -> None:
    """1000 / t is its own inverse, and latencies stay as they are."""
    values = np.array([250.0, 4.0])
    images = Column(values, inverted=True)
    assert images.turned(values).tolist() == [4.0, 250.0]
    assert images.turned(images.turned(values)).tolist() == values.tolist()
    assert Column(values, inverted=False).turned(values).tolist() == values.tolist()


def test_the_rows_of_reference_come_first(frame: pd.DataFrame, tmp_path: Path) -> None:
    """They name their source, and ours do not; each score has its rows."""
    rows = evaluate("accel-nasbench", Request(written(frame, tmp_path), labels=(20,), seeds=2))
    sources = [bool(row.source) for row in rows]
    assert sources == sorted(sources, reverse=True)
    for score in accel_nasbench.SHOWN:
        assert len(ours(rows, score)) == len(accel_nasbench.OURS)


def test_what_draws_nothing_has_no_spread(frame: pd.DataFrame, tmp_path: Path) -> None:
    """A ridge on all of ``train`` is the same for every seed, and runs once."""
    rows = evaluate("accel-nasbench", Request(written(frame, tmp_path), seeds=2))
    found = ours(rows, "r2", "ridge", "gbdt")
    assert [row.seeds for row in found.values()] == [1, 2]
    assert [row.spread is None for row in found.values()] == [True, False]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda frame: frame.drop(columns="split"), "no column 'split'"),
        (lambda frame: frame.drop(columns="block6_se"), "no column 'block6_se'"),
        (lambda frame: frame.drop(columns="throughput_a100_mean"), "no column 'throughput_a100"),
        (lambda frame: frame.assign(latency_vck190_mean=0.0), "not above zero"),
        (lambda frame: frame.assign(latency_vck190_mean="fast"), "holds no number"),
        (lambda frame: frame.assign(split="train"), "no networks of 'val'"),
        (lambda frame: frame.assign(block0_e=[f"b{n}" for n in frame.index]), "names rows"),
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
        evaluate("accel-nasbench", Request(written(spoil(frame), tmp_path)))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_labels_than_the_split_has_are_refused(frame: pd.DataFrame, tmp_path: Path) -> None:
    """The part ``train`` of this table has 200 networks."""
    with pytest.raises(UsageError, match="201 labels: this protocol takes 3 to 200"):
        evaluate("accel-nasbench", Request(written(frame, tmp_path), labels=(201,)))


@needs_data
def test_gbdt_is_as_good_as_lightgbm_on_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its R2 is within .005 of the row of reference, on columns of each kind."""
    monkeypatch.setattr(accel_nasbench, "TREES", ({"rounds": 1500, "leaves": 15},))
    monkeypatch.setattr(accel_nasbench, "OURS", {"gbdt": Method("gbdt")})
    rows = evaluate("accel-nasbench", Request(Path(DATA or ""), seeds=1))
    told = next(row for row in rows if row.method.startswith("LightGBM") and row.score == "r2")
    (found,) = ours(rows, "r2").values()
    for name in DEVICES:
        assert (found.scores[name] or 0) > (told.scores[name] or 1) - 0.005, name
