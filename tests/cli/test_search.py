"""``latbench search``: what it finds and leaves, how it is repeated, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

import latbench
from latbench.predictor import Predictor

Run = Callable[..., Any]

SPACE = ("--space", "digits-mobilenet")


@pytest.fixture
def known(measured: Any) -> tuple[object, ...]:
    """The options that name the space, its predictor and the store."""
    return (*SPACE, "--predictor", measured.predictor, "--store", measured.url)


def test_document(searched: Any) -> None:
    """The keys that scripts rely on, the three latencies side by side."""
    found = searched.found
    assert set(found) >= {"arch", "predicted_ms", "accumulated_ms", "true_ms", "target_ms", "met"}
    assert 0 <= found["accuracy"] <= 1
    assert (found["target_ms"], found["met"], found["evaluations"]) == (1000, True, 6)
    assert min(found["predicted_ms"], found["accumulated_ms"], found["true_ms"]) > 0
    assert found["true_low_ms"] <= found["true_ms"] <= found["true_high_ms"]


def test_files(searched: Any) -> None:
    """The network, its architecture, the settings and a report are left."""
    names = {path.name for path in searched.folder.iterdir()}
    assert names == {"arch.json", "config.yaml", "network.onnx", "report.html", "search.json"}
    arch = json.loads((searched.folder / "arch.json").read_text(encoding="utf-8"))
    assert arch == searched.found["arch"]
    onnx.checker.check_model(onnx.load(searched.folder / "network.onnx"))


def test_a_target_above_the_slowest_is_noted(searched: Any) -> None:
    """Where the limit excludes nothing, that is said: the search was for accuracy alone."""
    assert any("the target 1000 ms excludes nothing" in note for note in searched.found["notes"])


def test_its_config_repeats_it(run: Run, searched: Any, measured: Any) -> None:
    """The settings that were written are read, and give the same network again."""
    config = searched.folder / "config.yaml"
    done = run(
        *("search", *SPACE, "--predictor", measured.predictor, "--store", searched.url),
        *("--config", config, "--out", "again", "--json"),
    )
    assert done.code == 0, done.err
    again = json.loads(done.out)
    for key in ("arch", "predicted_ms", "accuracy", "true_ms", "evaluations"):
        assert again[key] == searched.found[key], key
    assert Path("again/config.yaml").read_bytes() == config.read_bytes()


def test_a_tight_limit_is_kept(run: Run, searched: Any, measured: Any) -> None:
    """Nothing predicted above the limit is found, though slower networks score higher here."""
    space = latbench.space("digits-mobilenet")
    predictor = Predictor.load(measured.predictor)
    X = space.sample(np.random.default_rng(0), 1000)
    limit_ms = float(np.quantile(predictor.predict(X), 0.1))
    done = run(
        *("search", *SPACE, "--latency-target", f"{limit_ms!r}ms", "--seed", 7, "--json"),
        *("--config", searched.folder / "config.yaml", "--out", "found"),
        *("--predictor", measured.predictor, "--surrogate", measured.predictor),
        *("--store", searched.url),
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["predicted_ms"] <= limit_ms
    assert not any("excludes nothing" in note for note in found["notes"])
    # What is given beside a config takes its place, and a seed is that of everything random.
    written = yaml.safe_load(Path("found/config.yaml").read_text(encoding="utf-8"))
    assert written["latency_target"] == f"{limit_ms!r}ms"
    assert (written["seed"], written["train"]["seed"]) == (7, 7)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("5", "'5' has no unit; write 5ms, 5us or 5s"),
        ("-1ms", "'-1ms' is not above zero"),
        ("abc", "'abc' is not a duration"),
        ("0ms", "is not above zero"),
        ("5m", "unknown unit 'm'"),
    ],
)
def test_what_is_no_latency_is_refused(
    run: Run, known: tuple[object, ...], target: str, says: str
) -> None:
    """A limit needs a number above zero and its unit."""
    done = run("search", *known, f"--latency-target={target}")
    assert (done.code, done.out) == (2, "")
    assert says in done.err


def test_an_infeasible_target_names_the_fastest(run: Run, known: tuple[object, ...]) -> None:
    """Nothing is trained for a limit that nothing meets; the fastest network is named."""
    done = run("search", *known, "--latency-target", "1us")
    assert (done.code, done.out) == (1, "")
    assert "no architecture of digits-mobilenet was found that runs within 0.001 ms" in done.err
    assert "skip" in done.err
    assert "supernet" not in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("--algorithm evolutoin", 2, "did you mean 'evolution'?"),
        ("--algorithm random --param batches=3", 2, "did you mean 'batch'?"),
        ("--algorithm evolution --param population=1", 2, "population must be a whole number"),
        ("--algorithm random --data digit", 2, "did you mean 'digits'?"),
        ("--algorithm random --data npz:none.npz", 2, "none.npz cannot be read: No such file"),
        ("--penalty mul#log", 2, "takes no penalty"),
        ("--confidence 0.999", 2, "networks"),
        ("--confidence 95", 2, "'--confidence'"),
        ("--evaluations 0", 2, "'--evaluations'"),
        ("--space fbnet", 2, "give the same --space"),
        ("--threads 2", 1, "not for cpu"),
        ("--predictor nothing", 2, "no predictor in nothing"),
        ("--config none.yaml", 2, "none.yaml cannot be read"),
    ],
)
def test_what_cannot_be_is_one_line(
    run: Run, known: tuple[object, ...], arguments: str, code: int, says: str
) -> None:
    """Before anything is trained, bad input is told with the way to mend it."""
    done = run("search", *known, "--latency-target", "5ms", *arguments.split())
    assert (done.code, done.out) == (code, "")
    assert says in done.err.splitlines()[-1]
    assert "supernet" not in done.err


def test_no_target_is_refused(run: Run, known: tuple[object, ...]) -> None:
    """A search needs a limit, from an option or from a config."""
    done = run("search", *known)
    assert done.code == 2
    assert "give --latency-target, such as 5ms" in done.err


def test_a_missing_predictor_names_the_command(run: Run) -> None:
    """Without a predictor in the default folder, the command that makes one is named."""
    done = run("search", *SPACE, "--threads", 2, "--latency-target", "5ms")
    assert done.code == 1
    assert "`latbench fit-predictor --space digits-mobilenet --threads 2`" in done.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("latency_targt: 5ms", "did you mean 'latency_target'?"),
        ("latency_target: 5", "'5' has no unit"),
        ("evaluations: many", "evaluations is 'many'; it must be of type int"),
        ("evaluations: true", "evaluations is True; it must be of type int"),
        ("train: {epoch: 3}", "did you mean 'epochs'?"),
        ("train: {epochs: many}", "another type"),
        ("train: 3", "train is 3"),
        ("- 5ms", "holds no settings"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_wrong_config_is_one_line(
    run: Run, known: tuple[object, ...], text: str, says: str
) -> None:
    """What is wrong with a file of settings is told with its name."""
    Path("wrong.yaml").write_text(text, encoding="utf-8")
    done = run("search", *known, "--config", "wrong.yaml", "--latency-target", "5ms")
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert says in line


def test_own_data_from_a_config(run: Run, searched: Any, measured: Any) -> None:
    """A file of settings names the data, and what comes next is told with it."""
    images = np.random.default_rng(0).integers(0, 256, (90, 8, 8)).astype(np.uint8)
    np.savez("own data.npz", images=images, labels=np.arange(90) % 3)
    settings = {"data": "npz:own data.npz", "data_size": 8, "train": {"batch": 16, "epochs": 1}}
    Path("own.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    done = run(
        *("search", *SPACE, "--predictor", measured.predictor, "--store", searched.url),
        *("--latency-target", "1s", "--algorithm", "random", "--evaluations", 3),
        *("--config", "own.yaml", "--out", "found", "--seed", 5),
    )
    assert done.code == 0, done.err
    assert "--data 'npz:own data.npz' --data-size 8 --seed 5" in done.out
    written = yaml.safe_load(Path("found/config.yaml").read_text(encoding="utf-8"))
    assert written["data"] == "npz:own data.npz"
