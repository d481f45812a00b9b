"""``latbench fit-predictor``: scores beside baselines, from a store or from a table."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import latbench

Run = Callable[..., Any]

SPACE = ("--space", "digits-mobilenet")
COLUMNS = ("--arch-column", "arch", "--latency-column", "ms")
SCORES = {"mape", "rmse_ms", "within_1", "within_5", "within_10", "spearman", "kendall"}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Sixty networks whose latency is the sum of their multiply-accumulates, and five bad rows."""
    space = latbench.space("digits-mobilenet")
    X = space.sample(np.random.default_rng(0), 60)
    rows = [
        f'"{space.decode(x)}",{float(macs) / 1e7}' for x, macs in zip(X, space.macs(X), strict=True)
    ]
    bad = [f'"{space.decode(X[0])}",{text}' for text in ("", "slow", "inf", "0", "-1")]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["arch,ms", *rows, *bad]), encoding="utf-8")
    return path


def test_document(measured: Any) -> None:
    """The keys that scripts rely on; every baseline has the same scores."""
    found = measured.fitted
    assert set(found) >= SCORES | {"kind", "n_train", "n_test", "interval_coverage", "noise_mape"}
    assert found["kind"] == "lut"
    assert found["n_train"] + found["n_test"] == 12
    assert found["noise_mape"] > 0
    assert set(found["baselines"]) == {"plain lut", "ridge", "flops", "params"}
    assert all(set(scores) >= SCORES for scores in found["baselines"].values())


def test_the_card_names_no_place(measured: Any) -> None:
    """What is saved says by which command it was made, without anybody's folders."""
    for file in measured.predictor.glob("*.*"):
        assert str(measured.predictor.parent).encode() not in file.read_bytes()


def test_a_table_is_fitted_and_bad_rows_are_counted(run: Run, table: Path) -> None:
    """Rows without a usable latency are set aside by reason; the others are fitted exactly."""
    options = (*SPACE, "--kind", "flops", "--table", table, *COLUMNS)
    done = run("fit-predictor", *options, "--out", "flops", "--json")
    found = json.loads(done.out)
    assert found["n_train"] + found["n_test"] == 60
    assert found["mape"] == pytest.approx(0, abs=1e-6)
    assert found["interval_coverage"] is not None
    for reason in ("is missing", "is no number", "is infinite", "is not above zero"):
        count = "2 rows were" if reason == "is not above zero" else "1 row was"
        assert f"{count} set aside: ms {reason}" in done.err
    assert Path("flops").is_dir()


def test_the_same_seed_gives_the_same_scores(run: Run, table: Path) -> None:
    """Which networks are held out follows the seed alone."""
    options = (*SPACE, "--kind", "ridge", "--table", table, *COLUMNS, "--out", "ridge", "--json")
    documents = [
        json.loads(run("fit-predictor", *options, "--seed", seed).out) for seed in (1, 1, 2)
    ]
    first, same, other = ({key: row[key] for key in SCORES} for row in documents)
    assert first == same != other


def test_several_seeds_give_means_and_spreads(run: Run, table: Path) -> None:
    """They are those of as many runs with one seed each, the baselines' too."""
    options = ("fit-predictor", *SPACE, "--kind", "flops", "--table", table, *COLUMNS)
    frame = pd.read_csv(table)
    noise = np.exp(np.random.default_rng(0).normal(0, 0.05, len(frame)))
    frame["ms"] = pd.to_numeric(frame["ms"], errors="coerce") * noise
    frame.to_csv(table, index=False)
    found = json.loads(run(*options, "--out", "fitted", "--seed", 3, "--seeds", 3, "--json").out)
    card = Path("fitted/CARD.md").read_text(encoding="utf-8")
    single = [
        json.loads(run(*options, "--out", "fitted", "--seed", seed, "--json").out)
        for seed in (3, 4, 5)
    ]
    assert found["seeds"] == 3
    for name in (*SCORES, "interval_coverage"):
        scores = [one[name] for one in single]
        assert found[name] == pytest.approx(np.mean(scores))
        assert found["spread"]["flops"][name] == pytest.approx(np.std(scores, ddof=1))
    scores = [one["baselines"]["ridge"]["mape"] for one in single]
    assert found["baselines"]["ridge"]["mape"] == pytest.approx(np.mean(scores))
    assert found["spread"]["ridge"]["mape"] == pytest.approx(np.std(scores, ddof=1))
    assert single[0]["spread"] == {}
    assert "means of 3 draws" in card
    assert "from draw to draw: mape ± " in card


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--kind lutt", "did you mean 'lut'?"),
        ("--kind ridge --param alfa=1", "did you mean 'alpha'?"),
        ("--kind ridge --param alpha=0", "alpha is 0"),
        ("--kind ridge --param alpha", "'alpha' is not KEY=VALUE"),
        ("--kind lut", "latbench profile --space digits-mobilenet --blocks"),
        ("--kind ridge --latency-column msec", "did you mean 'ms'?"),
        ("--kind ridge --space fbnet", "table.csv, row 1"),
        ("--kind ridge --table other.csv", "other.csv cannot be read"),
    ],
)
def test_what_cannot_be_is_one_line(run: Run, table: Path, arguments: str, says: str) -> None:
    """An unknown name comes with the nearest; what is missing comes with the way to it."""
    given = (*SPACE, "--table", table.name, *COLUMNS)
    done = run("fit-predictor", *given, *arguments.split())
    assert done.code in (1, 2)
    assert done.out == ""
    assert says in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--arch-column arch", "--latency-column go with --table"),
        ("--table table.csv", "--table needs --latency-column L, and --arch-column A or"),
        ("--table table.csv --arch-column arch", "--table needs"),
    ],
)
def test_a_table_goes_with_its_columns(run: Run, table: Path, arguments: str, says: str) -> None:
    """A table without columns, or columns without a table, is wrong usage."""
    done = run("fit-predictor", *SPACE, *arguments.split())
    assert done.code == 2
    assert says in done.err


def test_rows_that_are_all_bad_are_no_table(run: Run, tmp_path: Path) -> None:
    """Where nothing is left, the reasons are told."""
    (tmp_path / "bad.csv").write_text("arch,ms\nx,0\ny,\n", encoding="utf-8")
    done = run("fit-predictor", *SPACE, "--table", "bad.csv", *COLUMNS)
    assert done.code == 2
    assert "no row that can be used: ms is missing in 1, ms is not above zero in 1" in done.err


def test_missing_measurements_name_the_command(run: Run, measured: Any) -> None:
    """What the store lacks is named with what measures it."""
    done = run("fit-predictor", "--space", "fbnet", "--threads", 2, "--store", measured.url)
    assert done.code == 1
    assert "Measure: latbench profile --space fbnet --networks 100 --threads 2" in done.err


def test_too_few_networks_name_the_command(run: Run, table: Path) -> None:
    """Three networks are too few to hold any out."""
    lines = table.read_text(encoding="utf-8").splitlines()[:4]
    table.write_text("\n".join(lines), encoding="utf-8")
    done = run("fit-predictor", *SPACE, "--kind", "ridge", "--table", table, *COLUMNS)
    assert done.code == 1
    assert "there are 3" in done.err
    assert "latbench profile --space digits-mobilenet --networks 50" in done.err
