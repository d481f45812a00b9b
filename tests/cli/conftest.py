"""Running commands, in this process and as a program; and measurements shared by their tests."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import latbench
from latbench.cli.main import run as run_command
from latbench.profiling.sweep import Instance
from latbench.store import (
    InstanceRow,
    JobRow,
    MeasurementRow,
    Store,
    SubjectRow,
    WorkloadRow,
)
from latbench.target import Target
from latbench.timing import Protocol
from latbench.workflows.setting import Setting

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    """What a command did: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Measured:
    """What the tests of a session share; whoever writes into the store takes a copy.

    Attributes:
        url: of a store with all blocks and twelve networks of digits-mobilenet, eight of them
            measured twice.
        profiled: the document of the command that measured them.
        predictor: folder of a lut fitted to them.
        fitted: the document of the command that fitted it.
    """

    url: str
    profiled: dict[str, Any]
    predictor: Path
    fitted: dict[str, Any]


@dataclass(frozen=True)
class Searched:
    """A search with those measurements that its target hardly limits, and its document."""

    url: str
    folder: Path
    found: dict[str, Any]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every command in an empty folder, so that the default store is a fresh one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LATBENCH_STORE", raising=False)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """A function that runs the command line in this process."""

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        code = run_command([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return Done(code, written.out, written.err)

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that starts the command line, or a program around it, as a process."""
    with ExitStack() as started:

        def start(*arguments: object, program: str | None = None) -> subprocess.Popen[str]:
            head = [str(ROOT / "cli.py")] if program is None else ["-c", program]
            folders = (ROOT, ROOT / "predictors", ROOT / "search_plugins")
            process = subprocess.Popen(
                [sys.executable, *head, *map(str, arguments)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.enter_context(process)
            started.callback(process.kill)
            return process

        yield start


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a store that does not exist yet."""
    return f"sqlite:///{tmp_path / 'measured.db'}"


@pytest.fixture
def fill() -> Callable[..., tuple[Target, Instance]]:
    """A function that writes made-up latencies of some blocks into a store."""

    def fill(
        url: str, count: int = 3, latency_ms: float = 1.0, **changes: Any
    ) -> tuple[Target, Instance]:
        space = latbench.space("digits-mobilenet")
        target, instance = Setting().here()
        target = Target.from_dict({**target.to_dict(), **changes})
        with Store.open(url) as store:
            store.add_instance(InstanceRow(instance.id, instance.device, instance.facts))
            store.add_target(target)
            for number, block in enumerate(space.blocks[:count]):
                workload = space.block_workload(block)
                inputs = [[spec.name, list(spec.shape), spec.dtype] for spec in workload.inputs]
                store.add_workload(WorkloadRow(workload.id, workload.name, inputs, workload.nodes))
                store.add_subjects([SubjectRow(space.id, "block", block.key, workload.id)])
                job = store.add_job(
                    JobRow(target.key, instance.id, workload.id, Protocol.quick().name)
                )
                value_ms = latency_ms * (1 + number)
                store.add_measurement(
                    MeasurementRow(
                        job,
                        "ok",
                        latency_ms=value_ms,
                        low_ms=0.98 * value_ms,
                        high_ms=1.02 * value_ms,
                        half_width=0.02,
                        rounds=12,
                    )
                )
        return target, instance

    return fill


SPACE = ("--space", "digits-mobilenet")
SMALL = ("--algorithm", "random", "--evaluations", "6", "--epochs", "1", "--data-size", "8")


def answer(*arguments: object) -> dict[str, Any]:
    """Return the JSON document of a command that must work."""
    out = io.StringIO()
    with redirect_stdout(out):
        assert run_command([*map(str, arguments), "--json"]) == 0
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


@pytest.fixture(scope="session", name="answer")
def _answer() -> Callable[..., dict[str, Any]]:
    """The function :func:`answer`, for fixtures that outlive a test."""
    return answer


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Measurements of this machine, quickly taken, and a predictor fitted to them."""
    folder = tmp_path_factory.mktemp("measured")
    url, predictor = f"sqlite:///{folder / 'measured.db'}", folder / "lut"
    amount = ("--blocks", "--networks", 12, "--repeats", 8, "--protocol", "quick")
    profiled = answer("profile", *SPACE, *amount, "--store", url)
    fitted = answer("fit-predictor", *SPACE, "--out", predictor, "--store", url)
    return Measured(url, profiled, predictor, fitted)


@pytest.fixture(scope="session")
def searched(measured: Measured, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """A search of six evaluations on images of 8×8."""
    folder = tmp_path_factory.mktemp("searched")
    url = copied(measured.url, folder)
    known = ("--predictor", measured.predictor, "--out", folder / "found", "--store", url)
    found = answer("search", *SPACE, "--latency-target", "1s", *SMALL, *known)
    return Searched(url, folder / "found", found)


def copied(url: str, folder: Path) -> str:
    """Return the URL of a copy of a store in ``folder``."""
    copy = folder / "copy.db"
    shutil.copy(url.removeprefix("sqlite:///"), copy)
    return f"sqlite:///{copy}"


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[str], str]:
    """A function that copies a store, so that a test may write into it."""
    return lambda url: copied(url, tmp_path)
