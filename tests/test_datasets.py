"""Bundled data sets, and how one is made: what a card says is what its table holds."""

import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import latbench
from benchmarks import datasets
from benchmarks.card import COMMAND
from latbench.errors import MissingMeasurementsError, StoreError, UsageError
from latbench.spaces import SearchSpace
from latbench.store import (
    STATUSES,
    ExportedTable,
    InstanceRow,
    JobRow,
    MeasurementRow,
    ProcessRow,
    Store,
    SubjectRow,
    WorkloadRow,
)
from latbench.store.leaks import leaks
from latbench.target import Target
from latbench.timing import Protocol, noise
from latbench.workflows.architectures import draw

GREATEST_BYTES = 1_000_000
NAME = "digits-mobilenet-cpu-onnxruntime"
NETWORKS, REPEATS = 12, 8
FACTS = {"name": "A processor", "host": {"physical_cores": 2, "memory_bytes": 2**33}}
H200 = {
    **FACTS,
    "name": "NVIDIA H200",
    "card": {
        "memory_bytes": 140 * 2**30,
        "driver": "570.1",
        "power_limit_w": 700.0,
        "max_sm_clock_mhz": 1980.0,
        "compute_capability": "9.0",
        "ecc": "Enabled",
        "mig": None,
    },
}
BY_EVENTS = Target("h200", "torch", "2.9", options=(("clock", "gpu"), ("launch", "graph")))
ALL: dict[str, Any] = {"campaign": None, "statuses": STATUSES, "origin": True}

Add = Callable[..., None]


@pytest.mark.parametrize("folder", datasets.folders(), ids=lambda folder: folder.name)
def test_every_data_set_is_what_its_card_says(folder: Path) -> None:
    """Loading checks every value; the card follows from the table; nobody is told in either."""
    table = latbench.dataset(folder.name)
    latency_ms = table.table(campaign=None)["latency_ms"].dropna()
    assert len(latency_ms)
    assert (np.isfinite(latency_ms) & (latency_ms > 0)).all()
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text == datasets.carded(folder)
    assert (folder / "data.parquet").stat().st_size < GREATEST_BYTES
    frame = table.table(**ALL)
    told = {name: frame[name].map(str).unique().tolist() for name in ("name", "key", "reason")}
    provenance = [json.loads(text) for text in frame["provenance"].map(json.dumps).unique()]
    spoken = {**told, "card": text, "attrs": dict(table.attrs), "provenance": provenance}
    assert list(leaks(spoken, socket.gethostname(), folder.name)) == []
    assert {path.name for path in folder.iterdir()} == {"data.parquet", "README.md"}


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """The space that the data set is of."""
    return latbench.space("digits-mobilenet")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with Store.open(f"sqlite:///{tmp_path / 'measured.db'}") as opened:
        yield opened


@pytest.fixture
def add(store: Store, space: SearchSpace) -> Add:
    """A function that adds made-up measurements on a target of a runtime to the store."""

    def add(
        runtime: str = "onnxruntime",
        threads: int = 1,
        instance: str = "i1:x",
        seed: int = 0,
        failed: int = 0,
        shared: bool = False,
        target: Target | None = None,
        cards: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        rng = np.random.default_rng(threads)
        target = target or Target("cpu", runtime, "1.0", threads=threads)
        facts = FACTS if target.device == "cpu" else H200
        store.add_instance(InstanceRow(instance, target.device, facts))
        store.add_target(target)
        X = draw(space, NETWORKS, seed)
        block_ms = {block.key: 0.1 + 0.01 * place for place, block in enumerate(space.blocks)}
        network_ms = space.path(X) @ np.array(list(block_ms.values()))
        whole = list(zip(map(space.decode, X), map(float, network_ms), strict=True))
        rows = [
            *(("block", "main", *row) for row in block_ms.items()),
            *(("network", "main", *row) for row in whole),
            *(("network", "repeat", *row) for row in whole[:REPEATS]),
        ]
        same = {whole[-1][0]: f"g1:{whole[0][0]}"} if shared else {}
        for number, (kind, campaign, key, true_ms) in enumerate(rows):
            workload = same.get(key, f"g1:{key}")
            store.add_workload(WorkloadRow(workload, key, [], 1))
            assert kind in ("block", "network")
            which: Any = kind
            store.add_subjects([SubjectRow(space.id, which, key, workload)])
            protocol = Protocol.standard().name
            job = store.add_job(JobRow(target.key, instance, workload, protocol, campaign))
            store.add_process(ProcessRow(job, "w", "fp32"))
            value_ms = true_ms * (1 + rng.normal(0, 0.01))
            row = MeasurementRow(
                job,
                "unconverged" if number % 10 == 9 else "ok",
                latency_ms=value_ms,
                low_ms=0.98 * value_ms,
                high_ms=1.02 * value_ms,
                half_width=0.004,
                drift=0.01,
                rounds=18,
                tainted=2,
                provenance={
                    "latbench": "0.1.0",
                    "load": [0.5, 0.4, 0.3],
                    "packages": {"onnx": "1"},
                    **({"card": dict(cards[number % len(cards)])} if cards else {}),
                },
                created=1.7e9 + number,
            )
            if number < failed:
                row = MeasurementRow(job, "failed", "it broke", created=1.7e9)
            store.add_measurement(row)

    return add


@pytest.fixture
def folder(store: Store, space: SearchSpace, add: Add, tmp_path: Path) -> Path:
    """A data set of one machine, two targets and another runtime that is not in it."""
    add(threads=1)
    add(threads=2)
    add(runtime="openvino")
    made = tmp_path / NAME
    datasets.write(datasets.collect(store, space, "onnxruntime"), store, made)
    return made


def numbers(text: str, pattern: str) -> list[tuple[str, ...]]:
    """Return what the groups of ``pattern`` match in each place."""
    found = re.findall(pattern, text)
    return [one if isinstance(one, tuple) else (one,) for one in found]


def test_a_card_counts_what_the_table_holds(folder: Path) -> None:
    """Rows, targets and statuses are those of the file."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    frame = ExportedTable.open(folder / "data.parquet").table(**ALL)
    assert f"{len(frame)} rows on 2 targets of onnxruntime 1.0" in text
    for target, rows in frame.groupby("target_key"):
        label = Target.from_dict(rows["target"].iloc[0]).label
        section = text.split(f"## {label}\n")[1].split("\n## ")[0]
        networks = rows[(rows["kind"] == "network") & (rows["campaign"] == "main")]
        counts = networks["status"].value_counts()
        said = numbers(section, r"networks \| (\d+) ok, (\d+) unconverged \|")
        assert said == [(str(counts["ok"]), str(counts["unconverged"]))], target


def test_a_card_tells_noise_and_bias(folder: Path, space: SearchSpace) -> None:
    """Worked out by hand from the rows of one target."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    frame = ExportedTable.open(folder / "data.parquet").table(**ALL)
    rows = frame[frame["threads"] == 1].set_index("key")
    main = rows[(rows["kind"] == "network") & (rows["campaign"] == "main")]["latency_ms"]
    again = rows[rows["campaign"] == "repeat"]["latency_ms"]
    between = noise(main[again.index].tolist(), again.tolist())
    block_ms = rows[rows["kind"] == "block"]["latency_ms"]
    X = np.array([space.encode(key) for key in main.index])
    summed = space.path(X) @ block_ms[[block.key for block in space.blocks]].to_numpy()
    section = text.split("batch 1, 1 thread\n")[1].split("\n## ")[0]
    assert f"from {REPEATS} networks measured twice" in section
    assert f"mean error of {between.within:.2f} % on it (mape)" in section
    assert f"of {between.single:.2f} % on another sweep" in section
    assert f"bias {100 * (summed / main.to_numpy() - 1).mean():+.2f} %" in section


def test_a_card_says_how_it_was_measured(folder: Path) -> None:
    """The commands, the machine without its name, and the protocol with its values."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    measured = f"--blocks --networks {NETWORKS} --repeats {REPEATS} --runtime onnxruntime"
    assert f"\nlatbench profile --space digits-mobilenet {measured}\n" in text
    assert f"{measured} --threads 2\n" in text
    assert "| name | A processor |" in text
    assert "| memory | 8.0 GiB |" in text
    for name, value in Protocol.standard().to_dict().items():
        assert f"{name} {value}" in text
    assert "openvino" not in text


def test_a_card_tells_of_the_graphics_card(
    store: Store, space: SearchSpace, add: Add, tmp_path: Path
) -> None:
    """What it is, and what its driver said while it was measured, over all measurements."""
    state = {
        "driver": "570.1",
        "sm_clock_mhz": 1900,
        "sm_clock_set_mhz": 1980,
        "temperature_c": 40,
        "power_cap_w": 700.0,
        "slowdowns": [],
    }
    slowed = {**state, "sm_clock_mhz": 1700, "slowdowns": ["software power cap"]}
    add(target=BY_EVENTS, cards=[state, slowed])
    datasets.write(datasets.collect(store, space, "torch"), store, tmp_path / NAME)
    text = (tmp_path / NAME / "README.md").read_text(encoding="utf-8")
    rows = len(space.blocks) + NETWORKS + REPEATS
    for line in (
        "name | NVIDIA H200",
        "compute capability | 9.0",
        "memory of the card | 140 GiB",
        "highest clock of the card | 1980 MHz",
        "error correction (ECC) | Enabled",
        "driver | 570.1",
        "power cap | 700 W",
        "clock set for applications | 1980 MHz",
        "clock of the card in MHz | least 1700, median 18",
        "temperature in °C | least 40, median 40, greatest 40",
        f"what slowed the card | software power cap ({rows // 2} of {rows})",
    ):
        assert f"\n| {line}" in text
    options = "--runtime-option clock=gpu --runtime-option launch=graph"
    assert f"--device h200 --runtime torch {options}\n" in text
    assert "state of the card" not in text


def test_a_card_that_nothing_reads_says_why(
    store: Store, space: SearchSpace, add: Add, tmp_path: Path
) -> None:
    """Its driver is known without NVML, and the rest is not told."""
    add(target=BY_EVENTS, cards=[{"untold": "NVML does not start", "driver": "570.1"}])
    datasets.write(datasets.collect(store, space, "torch"), store, tmp_path / NAME)
    text = (tmp_path / NAME / "README.md").read_text(encoding="utf-8")
    assert "\n| driver | 570.1 |" in text
    assert "\n| power cap | not told |" in text
    assert "\n| what slowed the card | not told |" in text
    assert "\n| state of the card | not told: NVML does not start |" in text


def test_notes_stay(folder: Path) -> None:
    """What somebody wrote below the card is kept when the card is written anew."""
    card = folder / "README.md"
    before = card.read_text(encoding="utf-8")
    card.write_text(f"{before}\n{datasets.NOTES}\nMind the gap.\n", encoding="utf-8")
    datasets.write_card(folder)
    assert card.read_text(encoding="utf-8") == f"{before}\n{datasets.NOTES}\nMind the gap.\n"


def test_failures_are_in_it(store: Store, space: SearchSpace, add: Add, tmp_path: Path) -> None:
    """A block that could not be measured is a row with its reason, and a defect on the card."""
    add(failed=2)
    frame = datasets.collect(store, space, "onnxruntime")
    datasets.write(frame, store, tmp_path / NAME)
    text = (tmp_path / NAME / "README.md").read_text(encoding="utf-8")
    blocks = len(space.blocks)
    assert f"2 of {blocks} blocks failed: it broke" in text
    assert f"2 of {blocks} blocks have no latency" in text
    assert "True and accumulated latency are not compared: " in text
    assert (frame["status"] == "failed").sum() == 2


def test_a_data_set_is_a_store(folder: Path, space: SearchSpace, store: Store) -> None:
    """Its rows are the store's own, of one runtime."""
    with ExportedTable.open(folder / "data.parquet") as table:
        for campaign in ("main", "repeat"):
            of_store = store.table(campaign=campaign)
            of_store = of_store[of_store["runtime"] == "onnxruntime"]
            pd.testing.assert_frame_equal(
                table.table(campaign=campaign)
                .sort_values(["target_key", "key"])
                .reset_index(drop=True),
                of_store.sort_values(["target_key", "key"]).reset_index(drop=True),
            )


def test_other_networks_need_a_command(store: Store, space: SearchSpace, add: Add) -> None:
    """A command is told only if it measures just these networks."""
    add(seed=5)
    with pytest.raises(UsageError, match="say with --command"):
        datasets.collect(store, space, "onnxruntime")
    frame = datasets.collect(store, space, "onnxruntime", command="by hand")
    assert frame.attrs[COMMAND] == "by hand"


def test_networks_may_share_a_workload(
    store: Store, space: SearchSpace, add: Add, tmp_path: Path
) -> None:
    """The last network has a repeat because the first has one; the command repeats it alone."""
    add(shared=True)
    frame = datasets.collect(store, space, "onnxruntime")
    assert len(frame[frame["campaign"] == "repeat"]) == REPEATS + 1
    assert f"--networks {NETWORKS} --repeats {REPEATS} " in frame.attrs[COMMAND]
    datasets.write(frame, store, tmp_path / NAME)
    text = (tmp_path / NAME / "README.md").read_text(encoding="utf-8")
    assert "- 1 network stands for several architectures" in text


def test_targets_are_chosen_by_precision_and_options(
    store: Store, space: SearchSpace, add: Add
) -> None:
    """A runtime may have been measured in other ways too; what is not meant is left out."""
    others = [Target("h200", "torch", "2.9"), replace(BY_EVENTS, precision="amp")]
    for target in (BY_EVENTS, *others):
        add(target=target)
    every = datasets.collect(store, space, "torch")
    assert set(every["target_key"]) == {target.key for target in (BY_EVENTS, *others)}
    by_events = datasets.collect(store, space, "torch", options={"clock": "gpu"})
    assert set(by_events["target_key"]) == {BY_EVENTS.key, others[1].key}
    one = datasets.collect(store, space, "torch:fp32", options={"clock": "gpu"})
    assert set(one["target_key"]) == {BY_EVENTS.key}
    with pytest.raises(MissingMeasurementsError, match="on torch, clock=host, but on: h200, torch"):
        datasets.collect(store, space, "torch", options={"clock": "host"})


def test_machines_are_not_mixed(store: Store, space: SearchSpace, add: Add) -> None:
    """Of several machines one is chosen."""
    add()
    add(instance="i1:y")
    with pytest.raises(UsageError, match="2 machines measured; choose one: i1:x, i1:y"):
        datasets.collect(store, space, "onnxruntime")
    assert set(datasets.collect(store, space, "onnxruntime", instance="i1:y")["instance"]) == {
        "i1:y"
    }


def test_nothing_is_no_data_set(store: Store, space: SearchSpace, add: Add) -> None:
    """The runtimes that there are are told."""
    add()
    with pytest.raises(MissingMeasurementsError, match="on torch, but on: cpu, onnxruntime 1"):
        datasets.collect(store, space, "torch")


@pytest.mark.parametrize("name", ["mobilenet", "a_b-c", "-a", "A-b"])
def test_a_name_has_hyphens(
    store: Store, space: SearchSpace, add: Add, tmp_path: Path, name: str
) -> None:
    """A folder that could be imported would be taken for a package."""
    add()
    with pytest.raises(UsageError, match="is no name for a data set"):
        datasets.write(datasets.collect(store, space, "onnxruntime"), store, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_command_with_a_path_is_refused(
    store: Store, space: SearchSpace, add: Add, tmp_path: Path
) -> None:
    """What is typed is looked at as what is measured is."""
    add()
    command = f"python {os.path.abspath(os.sep)}home/someone/measure.py"
    frame = datasets.collect(store, space, "onnxruntime", command=command)
    with pytest.raises(StoreError, match=r"attrs\.latbench_command holds an absolute path"):
        datasets.write(frame, store, tmp_path / NAME)


def test_the_command_line(
    store: Store, add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call makes a folder, one without arguments writes cards anew, and an error is a line."""
    add()
    monkeypatch.setattr(datasets, "FOLDER", tmp_path / "datasets")
    url = f"sqlite:///{tmp_path / 'measured.db'}"
    add(target=Target("cpu", "onnxruntime", "1.0", options=(("graph", "off"),)))
    options = ["--space", "digits-mobilenet", "--runtime", "onnxruntime:fp32"]
    options += ["--runtime-option", "graph=off"]
    made = CliRunner().invoke(datasets.main, [url, NAME, *options])
    assert made.exit_code == 0, made.output
    assert made.output.startswith(f"datasets/{NAME}: ")
    card = tmp_path / "datasets" / NAME / "README.md"
    before = card.read_text(encoding="utf-8")
    card.write_text("spoilt", encoding="utf-8")
    assert CliRunner().invoke(datasets.main, []).exit_code == 0
    assert card.read_text(encoding="utf-8") == before
    refused = CliRunner().invoke(datasets.main, [url, NAME, "--space", "fbnet"])
    assert refused.exit_code == 1
    assert "Error: the store holds nothing of" in refused.output
