"""The example distribution installs, keeps the contracts, and works on the command line."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "latbench-example"
BUILT = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", ".*")

REGISTERED = {
    ("latbench.devices", "raspberry-pi-5"),
    ("latbench.predictors", "nearest"),
    ("latbench.runtimes", "onnx-reference"),
    ("latbench.searchers", "hill-climbing"),
    ("latbench.spaces", "dilated"),
}
SPACE = ("--space", "dilated", "--space-option", "places=2")

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def run(*command: str | Path, cwd: Path, path: list[Path]) -> "subprocess.CompletedProcess[str]":
    """Run ``command`` in ``cwd`` with the folders of ``path`` before those of this interpreter."""
    folders = [*map(str, path), *(entry for entry in sys.path if entry)]
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
        check=False,
    )


def document(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """Return the JSON document of a command that worked."""
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example: installing from a folder leaves files in it."""
    copy = tmp_path_factory.mktemp("source") / "latbench-example"
    shutil.copytree(EXAMPLE, copy, ignore=BUILT)
    return copy


@pytest.fixture(scope="module")
def installed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the example is installed in."""
    target = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install")
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--target")
    done = run(*pip, *offline, target, source, cwd=source, path=[])
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def latbench(installed: Path, tmp_path: Path) -> Command:
    """A function that runs the command line where the example is installed."""

    def latbench(*arguments: str, more: tuple[Path, ...] = ()) -> Any:
        command = (sys.executable, "-c", "from latbench.cli.main import main; main()")
        return run(*command, *arguments, cwd=tmp_path, path=[installed, *more])

    return latbench


def test_every_plugin_is_listed_and_loads(latbench: Command) -> None:
    """``latbench plugins`` tells what the distribution brings, and that nothing is broken."""
    rows = document(latbench("plugins", "--json"))["plugins"]
    assert [row for row in rows if row["error"]] == []
    brought = {
        (row["group"], row["name"]) for row in rows if row["distribution"] == "latbench-example"
    }
    assert brought == REGISTERED


def test_its_device_and_runtime_are_listed(latbench: Command) -> None:
    """``latbench devices`` shows the profile of the installed package, without a warning."""
    done = latbench("devices", "--json")
    devices = {device["name"]: device for device in document(done)["devices"]}
    assert "Cortex-A76" in devices["raspberry-pi-5"]["title"]
    assert done.stderr == ""


def test_its_suites_pass(source: Path, installed: Path, tmp_path: Path) -> None:
    """The shipped suites, subclassed by the example's tests, pass on what is installed."""
    shutil.rmtree(source / "latbench_example", ignore_errors=True)
    pytest_ = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    done = run(*pytest_, source / "tests", cwd=tmp_path, path=[installed])
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_it_measures_fits_and_searches(latbench: Command, tmp_path: Path) -> None:
    """Its space is measured, its predictor fitted to that, and its searcher finds a network."""
    profiled = document(
        latbench(
            *("profile", *SPACE, "--networks", "6", "--repeats", "0", "--protocol", "quick"),
            "--json",
        )
    )
    assert (len(profiled["rows"]), profiled["failed"]) == (6, [])
    assert all(row["latency_ms"] > 0 for row in profiled["rows"])

    fitted = document(latbench("fit-predictor", *SPACE, "--kind", "nearest", "--json"))
    assert (fitted["kind"], fitted["n_train"] + fitted["n_test"]) == ("nearest", 6)

    options = ("--algorithm", "hill-climbing", "--param", "first=3", "--evaluations", "6")
    training = ("--epochs", "1", "--data-size", "8")
    done = latbench(*("search", *SPACE, "--latency-target", "1s", *options, *training, "--json"))
    found = document(done)
    assert found["arch"]["space"]["name"] == "dilated"
    assert (found["evaluations"], found["met"]) == (6, True)
    assert (tmp_path / "latbench-search" / "network.onnx").is_file()


def test_a_broken_plugin_breaks_nothing_else(latbench: Command, tmp_path: Path) -> None:
    """A module that cannot be imported is listed with its reason; what does without it works."""
    folder = tmp_path / "broken"
    metadata = folder / "broken-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    groups = {group for group, _ in REGISTERED}
    lines = [f"[{group}]\nbroken = broken_plugin:Broken\n" for group in sorted(groups)]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    (folder / "broken_plugin.py").write_text("import no_such_module\n")

    rows = document(latbench("plugins", "--json", more=(folder,)))["plugins"]
    broken = [row for row in rows if row["error"]]
    assert {(row["group"], row["name"]) for row in broken} == {
        (group, "broken") for group in groups
    }
    assert all("No module named 'no_such_module'" in row["error"] for row in broken)
    assert {(row["group"], row["name"]) for row in rows} > REGISTERED

    devices = latbench("devices", "--json", more=(folder,))
    assert "raspberry-pi-5" in {device["name"] for device in document(devices)["devices"]}
    (warning,) = devices.stderr.splitlines()
    assert "'broken' (broken_plugin:Broken) does not load" in warning

    asked = latbench("fit-predictor", "--kind", "broken", more=(folder,))
    assert asked.returncode == 2
    assert "no_such_module" in asked.stderr
    assert "mend or uninstall it" in asked.stderr
