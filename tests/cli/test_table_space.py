"""Tables of spaces that latbench does not have, and of several targets, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import latbench
from latbench.spaces.table import TableSpace
from latbench.store import InstanceRow, JobRow, MeasurementRow, Store, SubjectRow, WorkloadRow
from latbench.testing.predictors import CARD, TARGET
from latbench.workflows.setting import Setting

Run = Callable[..., Any]

COLUMNS = ("--arch-columns", "kernel,width,kind", "--latency-column", "ms")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A hundred networks of three columns; two devices differ in scale, and one in few rows."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "kernel": rng.choice([3, 5, 7], 100),
            "width": rng.choice([16, 24, 32, 48], 100),
            "kind": rng.choice(["plain", "separable", "grouped, four"], 100),
        }
    )
    cost = 0.3 * frame["kernel"] + 0.05 * frame["width"] + 0.4 * (frame["kind"] == "plain")
    frame["ms"] = cost * np.exp(rng.normal(0, 0.01, 100))
    frame["gpu"] = 0.1 * cost * np.exp(rng.normal(0, 0.01, 100))
    frame["phone"] = (7 * cost + 1 * np.exp(rng.normal(0, 0.01, 100))).where(frame.index < 8)
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    return path


def fit(run: Run, *arguments: object) -> dict[str, Any]:
    """Return the document of a fit that worked."""
    done = run("fit-predictor", *arguments, "--json")
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_the_shortest_form_fits_a_ridge(run: Run, table: Path) -> None:
    """Columns make the space; the ridge reads them, and baselines that need a graph stay away."""
    found = fit(run, "--table", table, *COLUMNS, "--out", "fitted")
    assert found["kind"] == "ridge"
    assert found["mape"] < 5
    assert "flops" not in found["baselines"]


def test_the_artefact_keeps_columns_and_values(run: Run, table: Path) -> None:
    """Its document lists them, and another table is read by them alone."""
    fit(run, "--table", table, *COLUMNS, "--out", "fitted")
    document = json.loads(Path("fitted/predictor.json").read_text(encoding="utf-8"))
    columns = document["space"]["options"]["columns"]
    assert [column["name"] for column in columns] == ["kernel", "width", "kind"]
    assert columns[0]["values"] == [3.0, 5.0, 7.0]
    Path("new.csv").write_text('kind,kernel,width\n"grouped, four",5,24\n', encoding="utf-8")
    done = run("predict", "--predictor", "fitted", "--table", "new.csv", "--json")
    (row,) = json.loads(done.out)["rows"]
    assert row["arch"] == '5,24,"grouped, four"'
    assert row["latency_ms"] == pytest.approx(0.3 * 5 + 0.05 * 24, rel=0.1)
    assert row["coverage"] == 1
    done = run("predict", "--predictor", "fitted", "--sample", 3, "--json")
    assert len(json.loads(done.out)["rows"]) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kernel,width,kind\n9,16,plain\n", "row 1: '9' is no value"),
        ("kernel,width,kind\n3,16,wide\n", "known: grouped, four, plain, separable"),
        ("kernel,width\n3,16\n", "no column 'kind'; the predictor was fitted on kernel, width"),
        ("kernel,width,kind\n,16,plain\n", "no row that can be used"),
    ],
)
def test_another_table_is_refused(run: Run, table: Path, text: str, says: str) -> None:
    """An unknown value is named with the known ones, a missing column with those needed."""
    fit(run, "--table", table, *COLUMNS, "--out", "fitted")
    Path("new.csv").write_text(text, encoding="utf-8")
    done = run("predict", "--predictor", "fitted", "--table", "new.csv")
    assert done.code == 2
    assert says.replace("'9'", "9") in done.err


def test_strict_refuses_what_rests_on_nothing(run: Run, table: Path) -> None:
    """Measured, interpolated and nothing are told apart; strictness takes the first two alone."""
    frame = pd.read_csv(table)
    few = frame[(frame["kernel"] != 5) & (frame["kind"] != "plain")]
    columns: list[dict[str, Any]] = [
        {"name": "kernel", "values": [3, 5, 7]},
        {"name": "width", "values": [16, 24, 32, 48]},
        {"name": "kind", "values": ["grouped, four", "plain", "separable"]},
    ]
    space = TableSpace(columns=columns)
    X = space.read({name: few[name].tolist() for name in ("kernel", "width", "kind")})
    ridge = latbench.predictor("ridge").for_table(space, None).fit(X, few["ms"].to_numpy())
    ridge.save("fitted", TARGET, CARD)
    Path("new.csv").write_text(
        "kernel,width,kind\n3,16,separable\n5,16,separable\n5,16,plain\n", encoding="utf-8"
    )
    options = ("predict", "--predictor", "fitted", "--table", "new.csv")
    rows = json.loads(run(*options, "--json").out)["rows"]
    told = [[row[name] for name in ("measured", "interpolated", "nothing")] for row in rows]
    for row, thirds in zip(told, ([3, 0, 0], [2, 1, 0], [1, 1, 1]), strict=True):
        assert row == pytest.approx([share / 3 for share in thirds])
    assert [row["coverage"] for row in rows] == pytest.approx([1, 1, 2 / 3])
    done = run(*options, "--strict")
    assert (done.code, done.out) == (1, "")
    assert "1 of 3 predictions rest in part on nothing that was measured" in done.err
    assert "'5,16,plain' to 33.3 % (unknown: kind=plain)" in done.err
    Path("new.csv").write_text("kernel,width,kind\n5,16,separable\n", encoding="utf-8")
    assert run(*options, "--strict").code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--kind flops", "no network behind them"),
        ("--kind lut", "no network behind them"),
        ("--space fbnet", "--space fbnet names another"),
        ("--arch-column kernel", "--arch-column A or --arch-columns A,B"),
        ("--source gpu", "--source goes with a kind that learns from other targets, not ridge"),
        ("--kind transfer --source cpu", "no column 'cpu'"),
        ("--latency-unit us", "is it in"),
        ("--latency-unit min", "--latency-unit"),
        ("--arch-columns kernel,kernel", "'kernel' stands twice"),
        ("--latency-column width", None),
    ],
)
def test_what_does_not_fit_together(
    run: Run, table: Path, arguments: str, says: str | None
) -> None:
    """Each is told in one line; a column of whole numbers is merely told to be one."""
    frame = pd.read_csv(table)
    if "us" in arguments:
        frame.assign(ms=frame["ms"] / 100).to_csv(table, index=False)
    done = run("fit-predictor", "--table", table, *COLUMNS, *arguments.split(), "--out", "fitted")
    if says is None:
        assert done.code == 0
        assert "quantised" in done.err
    else:
        assert done.code == 2
        assert says in done.err.splitlines()[-1]


def test_transfer_learns_from_other_columns(run: Run, table: Path) -> None:
    """Sources are columns of the table; the card counts what was measured on the target."""
    options = ("--table", table, *COLUMNS[:2], "--latency-column", "phone", "--kind", "transfer")
    alone = fit(run, *options, "--out", "alone")
    helped = fit(run, *options, "--source", "ms", "--source", "gpu", "--out", "helped")
    assert helped["mape"] < alone["mape"]
    card = Path("helped/CARD.md").read_text(encoding="utf-8")
    assert "- measured on the target: " in card
    assert "- other targets: ms (" in card
    assert "; gpu (" in card


def test_networks_of_a_table_cannot_be_measured(run: Run, url: str) -> None:
    """``profile`` refuses the space of a table with the reason."""
    column = '[{"name":"kernel","values":[3,5]}]'
    options = ("--space", "table", "--space-option", f"columns={column}", "--blocks")
    done = run("--store", url, "profile", *options)
    assert done.code == 2
    assert "no network behind them" in done.err


@pytest.fixture
def several(url: str) -> str:
    """The URL of a store with twelve made-up networks on each of three targets."""
    space = latbench.space("digits-mobilenet")
    X = space.sample(np.random.default_rng(0), 12)
    target, instance = Setting().here()
    with Store.open(url) as store:
        store.add_instance(InstanceRow(instance.id, instance.device, instance.facts))
        for threads in (1, 2, 3):
            target = replace(target, threads=threads)
            store.add_target(target)
            for number, x in enumerate(X):
                workload = f"g1:{number}"
                store.add_workload(WorkloadRow(workload, workload, [], 1))
                store.add_subjects([SubjectRow(space.id, "network", space.decode(x), workload)])
                job = store.add_job(JobRow(target.key, instance.id, workload, "quick"))
                ms = float(space.macs(x)[0]) / 1e6 / threads
                store.add_measurement(
                    MeasurementRow(job, "ok", latency_ms=ms, low_ms=ms, high_ms=ms, half_width=0.0)
                )
    return url


def test_transfer_learns_from_the_other_targets_of_a_store(run: Run, several: str) -> None:
    """Every other target with networks of the space is a source, or those that are named."""
    kind = ("--space", "digits-mobilenet", "--kind", "transfer")
    options = ("--store", several, "fit-predictor", *kind)
    done = run(*options, "--out", "all")
    assert done.code == 0, done.err
    told = [line for line in done.err.splitlines() if line.startswith("learns from ")]
    assert len(told) == 2
    name = told[0].removeprefix("learns from 12 networks on ")
    assert "2 threads" in name
    done = run(*options, "--source", name, "--out", "one")
    assert done.err.count("learns from ") == 1
    done = run(*options, "--source", "gpu", "--out", "none")
    assert done.code == 1
    assert f"it has them on: {name}" in done.err


def test_nothing_is_stated_that_nobody_gave(run: Run, table: Path) -> None:
    """Without a device there is none on the card, and the predictor serves none by name."""
    found = fit(run, "--table", table, *COLUMNS, "--out", "fitted")
    assert found["target"]["device"] == "unknown"
    card = Path("fitted/CARD.md").read_text(encoding="utf-8")
    assert "- Target: unknown, unknown unknown fp32" in card
    options = ("predict", "--predictor", "fitted", "--sample", 2)
    done = run(*options, "--device", "cpu")
    assert (done.code, done.out) == (1, "")
    assert "predicts for unknown" in done.err
    assert "nobody stated the device, the runtime and the version" in run(*options).err
    given = fit(run, "--table", table, *COLUMNS, "--device", "v100", "--out", "fitted")
    assert given["target"]["device"] == "v100"
    assert run(*options, "--device", "v100").code == 0


def test_a_table_of_a_runtime_is_used_on_that_runtime(run: Run, table: Path) -> None:
    """Which version it had cannot be stated, so it is told and not held against the table."""
    asked = ("--runtime", "onnxruntime")
    fit(run, "--table", table, *COLUMNS, *asked, "--out", "fitted")
    done = run("predict", "--predictor", "fitted", "--sample", 2, *asked, "--json")
    assert done.code == 0, done.err
    (told,) = (note for note in json.loads(done.out)["notes"] if "nobody stated" in note)
    assert "the version of the runtime" in told


def test_columns_of_one_table_have_folders_of_their_own(run: Run, table: Path) -> None:
    """A fit on another column replaces nothing; one on the same column does."""
    architecture = ("--table", table, *COLUMNS[:2])
    names = ("ms", "gpu", "ms")
    folders = [fit(run, *architecture, "--latency-column", name)["out"] for name in names]
    assert folders[0] == folders[2] != folders[1]


def test_what_was_set_aside_is_in_the_document_and_on_the_card(run: Run, table: Path) -> None:
    """Not on the screen alone: of the fit, and of a table that is predicted."""
    frame = pd.read_csv(table)
    frame["ms"] = frame["ms"].where(frame.index > 2)
    frame.to_csv(table, index=False)
    sentence = "3 rows were set aside: ms is missing"
    done = run("fit-predictor", "--table", table, *COLUMNS, "--out", "fitted", "--json")
    notes = json.loads(done.out)["notes"]
    assert notes[0] == sentence
    assert any("no plain lut, flops, params beside it" in note for note in notes)
    assert done.err.count(sentence) == 1
    assert f"- about the data: {sentence}" in Path("fitted/CARD.md").read_text(encoding="utf-8")
    Path("new.csv").write_text("kernel,width,kind\n,16,plain\n3,16,plain\n", encoding="utf-8")
    done = run("predict", "--predictor", "fitted", "--table", "new.csv", "--json")
    assert "1 row was set aside: kernel is missing" in json.loads(done.out)["notes"]


DESCRIBED = [
    {"name": "kernel", "values": [3, 5, 7, 9]},
    {"name": "width", "values": [16, 24, 32, 48]},
    {
        "name": "kind",
        "values": ["grouped, four", "plain", "separable"],
        "active": ["kernel", [5, 7]],
    },
]


@pytest.mark.parametrize("named", [(), ("--arch-columns", "width,kind,kernel")])
def test_columns_may_be_described(run: Run, table: Path, named: tuple[str, ...]) -> None:
    """With values that no row has, and with places that only matter beside others."""
    described = ("--space", "table", "--space-option", f"columns={json.dumps(DESCRIBED)}")
    options = ("--table", table, *named, "--latency-column", "ms", *described)
    assert fit(run, *options, "--out", "fitted")["kind"] == "ridge"
    document = json.loads(Path("fitted/predictor.json").read_text(encoding="utf-8"))
    assert document["space"]["options"]["columns"] == DESCRIBED


def test_described_columns_are_the_ones_named(run: Run, table: Path) -> None:
    """Neither of two descriptions is passed over for the other."""
    described = ("--space", "table", "--space-option", f"columns={json.dumps(DESCRIBED)}")
    options = ("--table", table, "--arch-columns", "kernel,width", "--latency-column", "ms")
    done = run("fit-predictor", *options, *described, "--out", "fitted")
    assert done.code == 2
    said = "name kernel, width, and the columns of --space table are kernel, width, kind"
    assert said in done.err
