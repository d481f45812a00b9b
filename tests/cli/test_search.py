"""``latbench search``: what it finds and leaves, how it is repeated, and what it refuses."""

import json
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

import latbench
from latbench.predictor import Predictor
from latbench.store import Store
from latbench.testing.predictors import CARD
from latbench.workflows.predictors import target_of

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


def test_files(searched: Any, measured: Any) -> None:
    """The network, its architecture, a drawing of it, the settings and a report are left.

    What is predicted for the architecture in its file is what the search tells.
    """
    names = {path.name for path in searched.folder.iterdir()}
    assert names == {
        *("arch.json", "config.yaml", "found.svg", "network.onnx", "report.html", "search.json")
    }
    arch = json.loads((searched.folder / "arch.json").read_text(encoding="utf-8"))
    assert arch == searched.found["arch"]
    x = latbench.space("digits-mobilenet").from_json(arch)
    predicted_ms = Predictor.load(measured.predictor).predict(x)[0]
    assert predicted_ms == pytest.approx(searched.found["predicted_ms"])
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


def test_its_config_is_enough(run: Run, searched: Any) -> None:
    """Space, target and predictor stand in it, too; nothing else is needed to search again."""
    config = searched.folder / "config.yaml"
    done = run("search", "--config", config, "--store", searched.url, "--out", "again", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["arch"] == searched.found["arch"]
    assert Path("again/config.yaml").read_bytes() == config.read_bytes()


def test_options_win_over_a_config(run: Run, searched: Any) -> None:
    """One hyperparameter replaces one; another algorithm leaves those of the file out."""
    config = searched.folder / "config.yaml"
    known = ("--config", config, "--store", searched.url, "--latency-target", "1us")
    done = run("search", *known, "--param", "batch=3", "--batch", 1, "--out", "one")
    assert "no architecture" in done.err
    written = yaml.safe_load(Path("one/config.yaml").read_text(encoding="utf-8"))
    assert written["params"] == {"batch": 3}
    done = run("search", *known, "--algorithm", "snas", "--param", "cold=0.5", "--out", "other")
    assert "params of the file are left out: they are not for snas" in done.err
    written = yaml.safe_load(Path("other/config.yaml").read_text(encoding="utf-8"))
    assert (written["params"]["cold"], "batch" in written["params"]) == (0.5, False)
    assert written["penalty"] == {"name": "hinge", "weight": 1.0}


def test_a_config_of_another_target_needs_its_predictor(run: Run, searched: Any) -> None:
    """The predictor that it names is not for a target that is given beside it."""
    config = searched.folder / "config.yaml"
    done = run("search", "--config", config, "--store", searched.url, "--threads", 2)
    assert done.code == 1
    assert "no predictor of digits-mobilenet" in done.err
    assert "--threads 2" in done.err


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


def test_a_version_that_nobody_stated_is_told(run: Run, measured: Any, copy_of: Any) -> None:
    """A predictor of a table does not know the version of its runtime; it may be searched with."""
    predictor = Predictor.load(measured.predictor)
    target = replace(target_of(predictor), runtime_version="unknown")
    predictor.save("of-a-table", target, CARD)
    done = run(
        *("search", *SPACE, "--latency-target", "1s", "--out", "found", "--json"),
        *("--algorithm", "random", "--evaluations", 6, "--surrogate", measured.predictor),
        *("--predictor", "of-a-table", "--store", copy_of(measured.url)),
    )
    assert done.code == 0, done.err
    notes = json.loads(done.out)["notes"]
    assert any("nobody stated the version of the runtime" in note for note in notes)


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
        ("--train-on gpu", 2, "nothing is trained on 'gpu'; write cpu, cuda or cuda:N"),
        ("--train-on cuda:99", 1, "nothing is trained on cuda:99 here: torch "),
        ("--train-on cuda:99 --algorithm darts", 1, "nothing is trained on cuda:99 here: torch "),
        ("--confidence 0.999", 2, "networks"),
        ("--confidence 95", 2, "'--confidence'"),
        ("--evaluations 0", 2, "'--evaluations'"),
        ("--reward measure", 2, "'predictor', 'measured'"),
        ("--reward measured", 2, "evolution follows predictions"),
        ("--control nothing", 2, "no predictor in nothing"),
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
        ("evaluations: many", "evaluations is 'many'; it must be a whole number"),
        ("evaluations: true", "evaluations is True; it must be a whole number"),
        ("train: {epoch: 3}", "did you mean 'epochs'?"),
        ("train: {epochs: many}", "epochs is 'many'; it must be a whole number"),
        ("train: 3", "train is 3"),
        ("train_on: 3", "train_on is 3; it must be text"),
        ("reward: measurd", "did you mean 'measured'?"),
        ("reward: 3", "reward is 3; it must be text"),
        ("control: 3", "control is 3"),
        ("contrl: mlp", "did you mean 'control'?"),
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


@pytest.fixture(scope="module")
def one_shot(
    measured: Any, answer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, tuple[object, ...], Path]:
    """A one-shot search of sixteen steps that is followed: its document, command and folder."""
    folder = tmp_path_factory.mktemp("one-shot")
    store = folder / "measured.db"
    shutil.copy(measured.url.removeprefix("sqlite:///"), store)
    predictor = Predictor.load(measured.predictor)
    X = latbench.space("digits-mobilenet").sample(np.random.default_rng(0), 500)
    limit_ms = float(np.quantile(predictor.predict(X), 0.4))
    command = (
        *("search", *SPACE, "--algorithm", "proxylessnas", "--param", "finalists=3"),
        *("--latency-target", f"{limit_ms!r}ms", "--penalty", "add#linear:weight=0.3"),
        *("--epochs", 1, "--data-size", 8, "--predictor", measured.predictor),
        *("--store", f"sqlite:///{store}", "--out", folder / "found"),
        *("--checkpoints", folder / "state", "--tensorboard", folder / "board", "--drawings"),
    )
    return answer(*command), command, folder


def test_a_one_shot_search_tells_what_was_learned(
    one_shot: tuple[Any, tuple[object, ...], Path],
) -> None:
    """Expected latency and the most likely network beside the three latencies of the found one."""
    found, _, folder = one_shot
    assert found["details"]["steps"] == 16
    assert min(found["details"]["expected_ms"], found["details"]["most_likely_ms"]) > 0
    assert found["predicted_ms"] <= found["target_ms"]
    assert found["met"] == (found["true_ms"] <= found["target_ms"])
    page = (folder / "found" / "report.html").read_text(encoding="utf-8")
    assert "What was learned" in page
    config = yaml.safe_load((folder / "found" / "config.yaml").read_text(encoding="utf-8"))
    assert config["penalty"] == {"name": "add#linear", "weight": 0.3}
    assert config["params"]["finalists"] == 3


def test_a_one_shot_search_is_followed(one_shot: tuple[Any, tuple[object, ...], Path]) -> None:
    """Drawings of its pass and of the best; curves and a graph."""
    _, _, folder = one_shot
    drawn = {path.name for path in (folder / "found" / "drawings").iterdir()}
    assert {"step-000016.svg", "evaluation-0001.svg"} <= drawn
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tags: set[str] = set()
    graphs = 0
    for path in (folder / "board").iterdir():
        events = accumulators.EventAccumulator(str(path))
        events.Reload()
        tags.update(events.Tags()["scalars"])
        graphs += events.Tags()["graph"]
    assert graphs == 1
    assert tags > {
        "search/loss",
        "search/expected_ms",
        "search/entropy",
        "search/option/stage1.1",
        "search/chance/stage1.1",
        "search/score",
    }


def test_a_finished_search_is_not_searched_again(
    run: Run, one_shot: tuple[Any, tuple[object, ...], Path]
) -> None:
    """The same command goes on from its state, at whose end there is nothing left to do."""
    found, command, _ = one_shot
    done = run(*command, "--json")
    assert done.code == 0, done.err
    again = json.loads(done.out)
    for key in ("arch", "predicted_ms", "true_ms", "accuracy", "details"):
        assert again[key] == found[key], key
    done = run(*command, "--seed", 3)
    assert done.code == 1
    assert "belongs to something else" in done.err


def test_an_interrupted_search_says_how_to_go_on(
    start: Callable[..., Any], measured: Any, tmp_path: Path
) -> None:
    """Ctrl-C ends in one line, and leaves a state that the same command goes on from."""
    state = tmp_path / "state" / "search"
    process = start(
        *("search", *SPACE, "--algorithm", "darts", "--latency-target", "1s"),
        *("--epochs", 10**6, "--data-size", 8, "--predictor", measured.predictor),
        *("--store", measured.url, "--checkpoints", state.parent),
    )
    deadline = time.monotonic() + 120
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == (
        f"latbench: interrupted; run the same command again to go on from {state.parent}"
    )
    assert state.is_file()


@pytest.fixture
def bent(measured: Any, tmp_path: Path) -> tuple[Path, Path]:
    """A predictor whose mean has no formula, and one with a gradient, for the same target."""
    honest = Predictor.load(measured.predictor)
    space = latbench.space("digits-mobilenet")
    X = space.sample(np.random.default_rng(0), 80)
    latencies_ms = honest.predict(X)
    flops = latbench.predictor("flops")(space).fit(X, latencies_ms)
    flops.save(tmp_path / "flops", target_of(honest), CARD)
    mlp = latbench.predictor("mlp")(space).set_params(width=8, epochs=2)
    mlp.fit(X, latencies_ms, calibrate=False)
    mlp.save(tmp_path / "mlp", target_of(honest), CARD)
    return tmp_path / "flops", tmp_path / "mlp"


SHORT = {"data_size": 8, "train": {"batch": 16, "steps": 2}}


def test_rewards_are_measured(run: Run, measured: Any, bent: Any, copy_of: Any) -> None:
    """UNAS times what it draws, with a differentiable predictor as its control variate."""
    flops, mlp = bent
    url = copy_of(measured.url)
    Path("short.yaml").write_text(yaml.safe_dump(SHORT), encoding="utf-8")
    command = (
        *("search", *SPACE, "--algorithm", "unas", "--latency-target", "1s"),
        *("--param", "latency_draws=2", "--param", "finalists=2", "--param", "warmup=0"),
        *("--predictor", flops, "--control", mlp, "--store", url, "--config", "short.yaml"),
    )
    with Store.open(url) as store:
        before = len(store.table(kind="network"))
    done = run(*command, "--reward", "measured", "--out", "found", "--json")
    assert done.code == 0, done.err
    with Store.open(url) as store:
        # Two draws in each of two steps, some of which may be the same; and the network found.
        assert 2 <= len(store.table(kind="network")) - before <= 5
    found = json.loads(done.out)
    assert found["expected_method"] == "sampling"
    assert any("the expected latency is an estimate" in note for note in found["notes"])
    written = yaml.safe_load(Path("found/config.yaml").read_text(encoding="utf-8"))
    assert (written["reward"], written["control"]) == ("measured", str(mlp))
    # What was measured is not measured again, so the same search has the same end.
    done = run("search", "--config", "found/config.yaml", "--store", url, "--out", "b", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["arch"] == found["arch"]
    assert Path("b/config.yaml").read_bytes() == Path("found/config.yaml").read_bytes()


def test_a_control_without_use_is_told(run: Run, known: tuple[object, ...], bent: Any) -> None:
    """Where the mean is exact there is no variance to lessen."""
    done = run(
        *("search", *known, "--latency-target", "1s", "--algorithm", "snas", "--control", bent[1])
    )
    assert (done.code, done.out) == (2, "")
    assert "that of the lut is exact; leave the control out" in done.err


def test_a_missed_target_is_told_with_what_meets_it(
    run: Run, measured: Any, copy_of: Callable[[str], str], tmp_path: Path
) -> None:
    """Where a predictor promises half of what networks take, the miss is plain."""
    honest = Predictor.load(measured.predictor)
    space = latbench.space("digits-mobilenet")
    X = space.sample(np.random.default_rng(0), 300)
    latencies_ms = honest.predict(X)
    rosy = latbench.predictor("ridge")(space).fit(X, latencies_ms / 2)
    rosy.save(tmp_path / "rosy", target_of(honest), CARD)
    done = run(
        *("search", *SPACE, "--algorithm", "random", "--evaluations", 40),
        *("--latency-target", f"{float(np.median(latencies_ms))!r}ms"),
        *("--predictor", tmp_path / "rosy", "--surrogate", measured.predictor),
        *("--store", copy_of(measured.url), "--out", "found", "--json"),
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    nearest = found["nearest"]
    assert not found["met"]
    assert found["true_ms"] > found["target_ms"] > found["predicted_ms"] > nearest["predicted_ms"]
    assert nearest["true_ms"] < found["true_ms"]
    assert nearest["met"] == (nearest["true_ms"] <= found["target_ms"])
    assert 1 <= nearest["tries"] <= 3
    assert Path("found/nearest.onnx").is_file() == nearest["met"]
    page = Path("found/report.html").read_text(encoding="utf-8")
    assert "is missed: the network found takes" in page
    assert "The nearest network" in page
