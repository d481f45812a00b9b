"""Stores of both dialects, and other processes that use them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import latbench
from latbench.store import InstanceRow, JobRow, Store, WorkloadRow
from latbench.target import Target

Script = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'latbench.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh store, in both dialects."""
    value: str = request.getfixturevalue(f"{request.param}_url")
    return value


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A fresh store, in both dialects."""
    with Store.open(url) as opened:
        yield opened


@pytest.fixture
def target() -> Target:
    """A target with options."""
    return Target("cpu", "onnxruntime", "1.31.0", options=(("spinning", "0"),))


@pytest.fixture
def new_job(target: Target) -> Callable[..., str]:
    """A function that adds a job, and all that it refers to, to a store."""

    def add(store: Store, workload: str = "g1:a", campaign: str = "main") -> str:
        store.add_instance(InstanceRow("i1:x", "cpu", {"cores": 2}))
        store.add_target(target)
        store.add_workload(WorkloadRow(workload, f"name of {workload}", {"x": [1, 3]}, 4))
        return store.add_job(JobRow(target.key, "i1:x", workload, "p1", campaign))

    return add


@pytest.fixture
def python() -> Iterator[Script]:
    """A function that starts a script in another process, with the arguments as its argv."""
    with contextlib.ExitStack() as started:

        def start(script: str, *arguments: object) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", script, *map(str, arguments)],
                env={**os.environ, "PYTHONPATH": str(Path(latbench.__file__).parents[1])},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.enter_context(process)
            started.callback(process.kill)
            return process

        yield start
