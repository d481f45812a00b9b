"""``latbench predict``: from files, tables and samples, by a predictor that is whole."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latbench
from latbench.predictor import Predictor
from latbench.testing.predictors import CARD

Run = Callable[..., Any]


@pytest.fixture
def network(tmp_path: Path) -> dict[str, Any]:
    """An architecture in ``arch.json``, and as the only row of ``table.csv``."""
    space = latbench.space("digits-mobilenet")
    x = space.sample(np.random.default_rng(4), 1)[0]
    (tmp_path / "arch.json").write_text(json.dumps(space.to_json(x)), encoding="utf-8")
    (tmp_path / "table.csv").write_text(f'name\n"{space.decode(x)}"\n', encoding="utf-8")
    return {"text": space.decode(x)}


@pytest.fixture
def broken(measured: Any, tmp_path: Path) -> Path:
    """A copy of the predictor, to be damaged."""
    return Path(shutil.copytree(measured.predictor, tmp_path / "broken"))


def rows(done: Any) -> list[dict[str, Any]]:
    """Return the rows of a command that worked."""
    assert done.code == 0, done.err
    found: list[dict[str, Any]] = json.loads(done.out)["rows"]
    return found


def test_files_and_tables_agree(run: Run, measured: Any, network: dict[str, Any]) -> None:
    """One architecture has one prediction, however it is given."""
    options = ("predict", "--predictor", measured.predictor, "--json")
    (from_file,) = rows(run(*options, "--arch", "arch.json"))
    (from_table,) = rows(run(*options, "--table", "table.csv", "--arch-column", "name"))
    assert from_file == from_table
    assert from_file["arch"] == network["text"]
    assert set(from_file) >= {"latency_ms", "low_ms", "high_ms", "coverage"}
    assert 0 < from_file["low_ms"] <= from_file["latency_ms"] <= from_file["high_ms"]
    assert [from_file[name] for name in ("coverage", "measured")] == [1, 1]
    assert [from_file[name] for name in ("interpolated", "nothing")] == [0, 0]


def test_several_files_are_several_rows(run: Run, measured: Any, network: dict[str, Any]) -> None:
    """``--arch`` may be repeated, also with what a search prints."""
    document = {"arch": json.loads(Path("arch.json").read_text(encoding="utf-8")), "met": True}
    Path("search.json").write_text(json.dumps(document), encoding="utf-8")
    files = ("--arch", "arch.json", "--arch", "search.json")
    first, second = rows(run("predict", "--predictor", measured.predictor, *files, "--json"))
    assert first == second


def test_samples_follow_the_seed(run: Run, measured: Any) -> None:
    """A sample holds different architectures, the same for the same seed."""
    options = ("predict", "--predictor", measured.predictor, "--sample", 20, "--json")
    first, same, other = (rows(run(*options, "--seed", seed)) for seed in (1, 1, 2))
    assert first == same != other
    assert len({row["arch"] for row in first}) == 20


@pytest.mark.parametrize("given", ["", "--sample 3 --arch arch.json", "--table t.csv --sample 1"])
def test_one_source_of_architectures(run: Run, measured: Any, given: str) -> None:
    """Neither none nor two of the ways to name architectures."""
    done = run("predict", "--predictor", measured.predictor, *given.split())
    assert done.code == 2
    assert "give one of --arch F.json, --table F.csv --arch-column A, --sample N" in done.err


@pytest.mark.parametrize("asked", [("--device", "cpu"), ("--threads", 1)])
def test_the_target_that_was_asked_for(run: Run, measured: Any, asked: tuple[object, ...]) -> None:
    """Its predictor is taken, and says so as it does where none is named."""
    options = ("predict", "--predictor", measured.predictor, "--sample", 2, "--json")
    plain, named = (json.loads(run(*options, *more).out) for more in ((), asked))
    assert plain == named
    assert named["target"]["device"] == "cpu"


@pytest.mark.parametrize("asked", [("--device", "v100"), ("--batch", 4), ("--runtime", "torch")])
def test_another_target_is_refused(run: Run, measured: Any, asked: tuple[object, ...]) -> None:
    """Nothing is predicted, and the reason names both."""
    done = run("predict", "--predictor", measured.predictor, "--sample", 2, *asked)
    assert (done.code, done.out) == (1, "")
    assert "predicts for cpu" in done.err
    assert "not for" in done.err


def test_another_version_is_refused_only_where_a_target_is_asked_for(
    run: Run, measured: Any, tmp_path: Path
) -> None:
    """By itself it predicts for its own target, with a word of warning."""
    predictor = Predictor.load(measured.predictor)
    assert predictor.target is not None
    old = replace(predictor.target, runtime_version="0.1.0")
    predictor.save(tmp_path / "old", old, CARD)
    plain = run("predict", "--predictor", "old", "--sample", 2)
    assert plain.code == 0
    assert old.label in plain.out
    assert "0.1.0" in plain.err
    asked = run("predict", "--predictor", "old", "--sample", 2, "--device", "cpu")
    assert (asked.code, asked.out) == (1, "")
    assert "0.1.0" in asked.err


@pytest.mark.parametrize("file", ["predictor.json", "arrays.npz"])
def test_a_truncated_predictor_is_refused(run: Run, broken: Path, file: str) -> None:
    """Half a file is named, and told from a whole one."""
    content = (broken / file).read_bytes()
    (broken / file).write_bytes(content[: len(content) // 2])
    done = run("predict", "--predictor", broken, "--sample", 1)
    assert (done.code, done.out) == (1, "")
    assert str(broken / file) in done.err
    assert "truncated or changed" in done.err


def test_a_folder_without_a_predictor_is_refused(run: Run, tmp_path: Path) -> None:
    """Another folder, or none, is wrong usage."""
    for folder in (tmp_path, tmp_path / "nothing"):
        done = run("predict", "--predictor", folder, "--sample", 1)
        assert done.code == 2
        assert f"no predictor in {folder}" in done.err


def test_another_spaces_architecture_is_refused(run: Run, measured: Any) -> None:
    """The file and both spaces are named."""
    other = latbench.space("fbnet")
    document = other.to_json(np.zeros(len(other.choices), dtype=np.int64))
    Path("other.json").write_text(json.dumps(document), encoding="utf-8")
    done = run("predict", "--predictor", measured.predictor, "--arch", "other.json")
    assert done.code == 2
    assert "other.json: the architecture is one of" in done.err
    assert "fbnet" in done.err
    assert "digits-mobilenet" in done.err
