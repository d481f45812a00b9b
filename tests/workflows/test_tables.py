"""Tables of others: what of them can be used, what is set aside, what is told."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import latbench
from latbench.errors import UsageError
from latbench.spaces.table import TableSpace
from latbench.workflows.tables import read_columns, read_table

N = 40


@pytest.fixture
def frame() -> pd.DataFrame:
    """Forty different networks of three columns, one of them joined numbers, on two devices."""
    every = list(itertools.product(*[(3, 5, 7)] * 4, (0.5, 0.75, 1.0), (True, False)))
    drawn = np.random.default_rng(0).choice(len(every), N, replace=False)
    kernels = np.array([every[row][:4] for row in drawn])
    width = np.array([every[row][4] for row in drawn])
    wide = [bool(every[row][5]) for row in drawn]
    return pd.DataFrame(
        {
            "ks": ["_".join(map(str, row)) for row in kernels],
            "width": width,
            "wide": wide,
            "cpu": 1.0 + kernels.sum(axis=1) * width + 0.001 * np.arange(N),
            "phone": np.round(10 + kernels.sum(axis=1)),
        }
    )


COLUMNS = ("ks", "width", "wide")


def write(frame: pd.DataFrame, folder: Path, name: str = "t.csv") -> Path:
    """Return the file ``name`` that holds ``frame``."""
    path = folder / name
    if name.endswith(".parquet"):
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


def test_columns_become_choices(frame: pd.DataFrame, tmp_path: Path) -> None:
    """Joined numbers are one choice a place; numbers keep their values, texts are sorted."""
    table = read_columns(write(frame, tmp_path), COLUMNS, "cpu")
    choices = {choice.name: choice for choice in table.space.choices}
    assert list(choices) == ["ks[0]", "ks[1]", "ks[2]", "ks[3]", "width", "wide"]
    assert choices["ks[0]"].values == (3.0, 5.0, 7.0)
    assert choices["width"].options == ("0.5", "0.75", "1")
    assert choices["wide"].options == ("False", "True")
    assert table.space.decode(table.X[0]).replace(",", "_").startswith(frame["ks"][0])
    np.testing.assert_array_equal(table.y, frame["cpu"])


def test_parquet_and_csv_agree(frame: pd.DataFrame, tmp_path: Path) -> None:
    """The same rows make the same space and the same architectures."""
    frame.index = pd.Index(range(100, 100 + N))
    tables = [
        read_columns(write(frame, tmp_path, name), COLUMNS, "cpu")
        for name in ("t.csv", "t.csv.gz", "t.parquet")
    ]
    for table in tables[1:]:
        assert table.space.spec == tables[0].space.spec
        np.testing.assert_array_equal(table.X, tables[0].X)


def test_a_known_space_reads_other_rows(frame: pd.DataFrame, tmp_path: Path) -> None:
    """Fewer rows of the same columns are read by the space that more rows made."""
    space = read_columns(write(frame, tmp_path), COLUMNS, "cpu").space
    assert isinstance(space, TableSpace)
    few = read_columns(write(frame[:3], tmp_path, "few.csv"), space)
    assert few.space is space
    assert len(few.y) == 0
    assert [space.decode(x).count(",") for x in few.X] == [5, 5, 5]


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("ks", "3_3_3_9", r"row 2: '9' is no value of the column 'ks\[3\]'; known: 3, 5, 7"),
        ("ks", "3_3_3", "is to hold 4 numbers a row"),
        ("wide", "maybe", "row 2: 'maybe' is no value of the column 'wide'; known: False, True"),
        ("width", 0.6, "row 2: 0.6 is no value of the column 'width'; known: 0.5, 0.75, 1"),
    ],
)
def test_unknown_values_are_refused_by_row(
    frame: pd.DataFrame, tmp_path: Path, column: str, value: object, says: str
) -> None:
    """What the predictor never saw is no architecture of its table."""
    space = read_columns(write(frame, tmp_path), COLUMNS, "cpu").space
    assert isinstance(space, TableSpace)
    frame[column] = [frame[column][0], value, *frame[column][2:]]
    with pytest.raises(UsageError, match=says):
        read_columns(write(frame, tmp_path), space)


def test_missing_columns_are_refused(frame: pd.DataFrame, tmp_path: Path) -> None:
    """Whether the user or the predictor names it."""
    space = read_columns(write(frame, tmp_path), COLUMNS, "cpu").space
    assert isinstance(space, TableSpace)
    path = write(frame.drop(columns="width"), tmp_path)
    with pytest.raises(UsageError, match=r"no column 'width'.*did you mean 'wide'"):
        read_columns(path, COLUMNS, "cpu")
    with pytest.raises(UsageError, match="no column 'width'; the predictor was fitted on"):
        read_columns(path, space)


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    """Nothing tells which of the two is meant."""
    path = tmp_path / "twice.csv"
    path.write_text("width,latency_ms,latency_ms\n1,1.0,2.0\n2,2.0,3.0\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"names the column 'latency_ms' twice"):
        read_columns(path, ["width"], "latency_ms")


def test_rows_that_lack_a_value_are_counted(frame: pd.DataFrame, tmp_path: Path) -> None:
    """They are set aside by reason, and never taken for a value."""
    frame["width"] = frame["width"].where(frame.index > 2)
    frame.loc[5, "cpu"] = 0.0
    table = read_columns(write(frame, tmp_path), COLUMNS, "cpu")
    assert len(table.y) == N - 4
    assert table.notes() == [
        "1 row was set aside: cpu is not above zero",
        "3 rows were set aside: width is missing",
    ]


def test_rows_without_an_architecture_are_counted(tmp_path: Path) -> None:
    """An empty cell is no architecture of an odd name."""
    space = latbench.space("digits-mobilenet")
    texts = [space.decode(x) for x in space.sample(np.random.default_rng(0), 5)]
    frame = pd.DataFrame({"arch": [*texts, None], "ms": [1.0] * 6})
    table = read_table(write(frame, tmp_path), space, "arch", "ms")
    assert len(table.y) == 5
    assert table.notes()[0] == "1 row was set aside: arch is missing"


def test_yes_and_no_are_no_latencies(frame: pd.DataFrame, tmp_path: Path) -> None:
    """They would pass for 1 and 0."""
    with pytest.raises(UsageError, match="no row that can be used: wide is no number in 40"):
        read_columns(write(frame, tmp_path), ("ks", "width"), "wide")


@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_values_far_from_the_others_are_told(
    frame: pd.DataFrame, tmp_path: Path, factor: float
) -> None:
    """They are kept, for tables hold networks that compute nothing, but not in silence."""
    frame.loc[:1, "cpu"] *= factor
    table = read_columns(write(frame, tmp_path), COLUMNS, "cpu")
    assert len(table.y) == N
    (told,) = table.notes()
    assert told.startswith("2 of 40 values of cpu are more than a factor of 50 from the median")


def test_whole_numbers_are_told(frame: pd.DataFrame, tmp_path: Path) -> None:
    """A column of whole numbers is quantised; one of others is not said to be."""
    path = write(frame, tmp_path)
    (told,) = read_columns(path, COLUMNS, "phone").notes()
    assert f"{frame['phone'].nunique()} different ones: it is quantised" in told
    assert read_columns(path, COLUMNS, "cpu").notes() == []


@pytest.mark.parametrize(
    ("factor", "whole", "unit", "fitting"),
    [
        (1e6, True, "ms", "ns or us"),
        (1e9, False, "ms", "ns or us"),
        (1e-9, False, "ms", None),
        (1e-6, False, "ms", "s"),
        (1e-3, False, "ns", "us or ms or s"),
    ],
)
def test_what_cannot_be_in_the_unit_is_refused(
    frame: pd.DataFrame, tmp_path: Path, factor: float, whole: bool, unit: str, fitting: str | None
) -> None:
    """A network takes neither nanoseconds nor hours; the units that would do are named."""
    frame["cpu"] *= factor
    if whole:
        frame["cpu"] = frame["cpu"].round()
    path = write(frame, tmp_path)
    with pytest.raises(UsageError, match=f"which no network takes(: is it in {fitting})?") as told:
        read_columns(path, COLUMNS, "cpu", unit)
    assert ("--latency-unit" in str(told.value)) == (fitting is not None)


def test_units_are_turned_into_ms(frame: pd.DataFrame, tmp_path: Path) -> None:
    """Microseconds are a thousandth."""
    expected = read_columns(write(frame, tmp_path), COLUMNS, "cpu").y
    frame["cpu"] *= 1e3
    found = read_columns(write(frame, tmp_path), COLUMNS, "cpu", "us").y
    np.testing.assert_allclose(found, expected)


def test_repeats_are_kept_and_give_the_noise(frame: pd.DataFrame, tmp_path: Path) -> None:
    """An architecture may stand there twice; how far apart is told, and how noisy that is."""
    again = frame[:10].assign(cpu=1.02 * frame["cpu"][:10])
    table = read_columns(write(pd.concat([frame, again]), tmp_path), COLUMNS, "cpu")
    assert len(table.y) == N + 10
    (told,) = table.notes()
    assert "of 10 architectures there are several rows, with latencies up to 2 % apart" in told
    assert table.noise_mape == pytest.approx(1.4, abs=0.8)


def test_contradictions_are_set_aside(frame: pd.DataFrame, tmp_path: Path) -> None:
    """One architecture with latencies more than twice apart: neither can be told to be right."""
    again = frame[:1].assign(cpu=3 * frame["cpu"][:1])
    table = read_columns(write(pd.concat([frame, again]), tmp_path), COLUMNS, "cpu")
    assert len(table.y) == N - 1
    assert table.notes() == [
        "2 rows were set aside: the same architecture stands there with latencies more than a "
        "factor of 2 apart"
    ]


def test_sources_keep_rows_that_the_target_lacks(frame: pd.DataFrame, tmp_path: Path) -> None:
    """A target with few latencies leaves the other column whole."""
    frame["cpu"] = frame["cpu"].where(frame.index < 8)
    table = read_columns(write(frame, tmp_path), COLUMNS, "cpu", sources=["phone"])
    assert len(table.y) == 8
    assert len(table.sources["phone"][1]) == N
    assert "32 rows were set aside: cpu is missing" in table.notes()


def test_options_may_be_separated_by_bars(tmp_path: Path) -> None:
    """HELP's FBNet table writes them so."""
    space = latbench.space("fbnet", image_size=32)
    X = space.sample(np.random.default_rng(0), 5)
    texts = [space.decode(x).replace(",", "|") for x in X]
    path = write(pd.DataFrame({"op_str": texts, "ms": [1.0] * 5}), tmp_path)
    np.testing.assert_array_equal(read_table(path, space, "op_str", "ms").X, X)


def test_a_name_of_the_row_describes_nothing(frame: pd.DataFrame, tmp_path: Path) -> None:
    """A column with a text of its own in every row is refused as a description."""
    frame["name"] = [f"network {row}" for row in range(N)]
    frame = pd.concat([frame] * 4).assign(name=[f"network {row}" for row in range(4 * N)])
    with pytest.raises(UsageError, match="'name' has 160 different texts in 160 rows"):
        read_columns(write(frame, tmp_path), ("ks", "name"), "cpu")


@pytest.mark.parametrize("word", ["None", "NA", "null", "N/A", "nan"])
def test_an_option_may_be_called_like_nothing(
    frame: pd.DataFrame, tmp_path: Path, word: str
) -> None:
    """Among texts it is a text, in CSV as in Parquet; only an empty cell is missing there."""
    frame["wide"] = [word if wide else "plain" for wide in frame["wide"]]
    frame.loc[0, "wide"] = None
    tables = [
        read_columns(write(frame, tmp_path, name), COLUMNS, "cpu")
        for name in ("t.csv", "t.parquet")
    ]
    for table in tables:
        assert table.space.choices[-1].options == tuple(sorted([word, "plain"]))
        assert table.notes() == ["1 row was set aside: wide is missing"]
    np.testing.assert_array_equal(tables[0].X, tables[1].X)


@pytest.mark.parametrize("word", ["None", "NA", "null", "N/A", "nan"])
def test_a_word_among_numbers_is_a_missing_number(
    frame: pd.DataFrame, tmp_path: Path, word: str
) -> None:
    """The column stays one of numbers, joined ones too; and no latency is no latency."""
    frame = frame.astype({"width": object, "cpu": object})
    frame.loc[0, "width"] = frame.loc[1, "ks"] = frame.loc[2, "cpu"] = word
    table = read_columns(write(frame, tmp_path), COLUMNS, "cpu")
    assert table.space.choices[0].values == (3.0, 5.0, 7.0)
    assert table.space.choices[-2].values == (0.5, 0.75, 1.0)
    assert table.notes() == [
        f"1 row was set aside: {column} is missing" for column in ("cpu", "ks", "width")
    ]


@pytest.mark.parametrize(
    ("factor", "unit", "fitting"),
    [(1e-3, "ms", "s"), (1.0, "us", "ms or s"), (2e-3, "s", None), (1.0, "ms", None)],
)
def test_latencies_that_few_networks_reach_are_told(
    frame: pd.DataFrame, tmp_path: Path, factor: float, unit: str, fitting: str | None
) -> None:
    """Seconds that are read as milliseconds are kept, with the question whether they are that."""
    frame["cpu"] *= factor
    told = read_columns(write(frame, tmp_path), COLUMNS, "cpu", unit).notes()
    if fitting is None:
        assert told == []
    else:
        (sentence,) = told
        assert f" {unit}, and few networks are as fast: is it in {fitting}? If so" in sentence
