"""Running commands: in this process, and as a program of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
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
