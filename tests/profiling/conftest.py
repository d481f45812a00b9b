"""Sweeps that take no time: a tiny protocol, a runtime that misbehaves on demand, a store."""

from __future__ import annotations

import hashlib
import shutil
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from latbench.profiling.subjects import Subject
from latbench.profiling.sweep import Instance
from latbench.spaces.workload import Workload
from latbench.store import Store
from latbench.target import Target
from latbench.timing import Protocol

# A workload's name says what its session does, and when: "segfault at compile", "hang at run".
ODD_RUNTIME = textwrap.dedent('''
    """A third party's runtime, which does what the name of a workload says."""

    import ctypes
    import os
    import sys
    import time

    from latbench.errors import UnavailableError
    from latbench.runtimes import Runtime, Session
    from latbench.runtimes.run_times import RunTimes

    broken = False
    GARBAGE = b'\\x00\\xff{"type": "done"}\\nnonsense\\r' * 2000


    def act(name, when):
        global broken
        if broken:
            raise RuntimeError("the device is lost")
        what, _, moment = name.partition(" at ")
        if moment != when:
            return
        if what == "break":
            broken = True
            raise RuntimeError("an illegal access")
        if what == "segfault":
            ctypes.string_at(0)
        if what == "hang":
            print("hanging", file=open(os.environ.get("ODD_HANGS", os.devnull), "w"), flush=True)
            ctypes.PyDLL(None).sleep(100_000)  # as an engine hangs: no other thread runs either
        if what == "leak":
            hoard = []
            while True:
                hoard.append(b"x" * 2**25)
        if what == "garbage":
            os.write(int(sys.argv[1]), GARBAGE)
        if what == "lie":
            os.write(int(sys.argv[1]), b'{"type": "done", "job": "another"}\\n')
        if what == "hangup":
            os.closerange(3, 100)
            time.sleep(100_000)
        if what == "environment":
            names = ("ODD_NODE", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "RAY_JOB_ID")
            raise RuntimeError(*map(os.environ.get, names))
        if what == "affinity":
            raise RuntimeError(f"it may use {len(os.sched_getaffinity(0))} CPUs")
        if what == "lack":
            raise UnavailableError("no engine")
        if what == "raise":
            raise RuntimeError("the engine\\nhas no \\x00 \\udcff such kernel")
        if what == "print":
            os.write(1, GARBAGE)
            os.write(2, GARBAGE)
        if what == "exit":
            sys.stderr.write("a warning\\nthe licence has expired\\n")
            sys.exit(3)


    class DeviceClock:
        resolution_ns = overhead_ns = 1.0
        hidden = True

        def time(self, run_once, inner):
            for _ in range(inner):
                run_once()
            return inner * 250_000


    class OddSession(Session):
        def __init__(self, name):
            self.name = name
            self.pause_s = 0.02 if name.startswith("slow") else 2e-5
            if name.startswith("device") or name.endswith("at times"):
                self.clock = DeviceClock()
                self.build = {"engine_sha256": "0f", "built_ms": 12.5}

        def begin(self):
            assert self.clock is not None

        def run_times(self, runs=20):
            act(self.name, "times")
            if self.clock is not None:
                return RunTimes((0.25,) * 3, (0.05,) * 3, (0.5,) * 3, hidden=True)

        def run_once(self):
            act(self.name, "run")
            time.sleep(self.pause_s)

        def _outputs(self, inputs):
            return []


    class OddRuntime(Runtime):
        name = "odd"

        def available(self):
            return None

        def version(self):
            return "1.0"

        def _compile(self, workload, target):
            act(workload.name, "compile")
            return OddSession(workload.name)
''')


@pytest.fixture(scope="session")
def odd_distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the distribution of the odd runtime, as pip would lay it out."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "odd_runtime.py").write_text(ODD_RUNTIME, encoding="utf-8")
    info = folder / "odd_runtime-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-runtime\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[latbench.runtimes]\nodd = odd_runtime:OddRuntime\n")
    return folder


@pytest.fixture
def odd(odd_distribution: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """The target of the odd runtime, which is installed for this test."""
    monkeypatch.syspath_prepend(odd_distribution)
    return Target("cpu", "odd", "1.0")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty store: a copy of it is there sooner than a new one."""
    path = tmp_path_factory.mktemp("store") / "latbench.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def url(empty_store: Path, tmp_path: Path) -> str:
    """The URL of an empty store."""
    return f"sqlite:///{shutil.copy(empty_store, tmp_path)}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An empty store."""
    with Store.open(url) as opened:
        yield opened


@pytest.fixture
def instance() -> Instance:
    """A machine."""
    return Instance("i1:test", "cpu", {"cores": 2})


@pytest.fixture
def fast() -> Protocol:
    """A protocol of a few milliseconds a subject."""
    return Protocol(
        lead_in_runs=0,
        round_ms=0.2,
        round_runs=3,
        round_cap_ms=5,
        round_runs_min=1,
        rounds_min=6,
        rounds_max=8,
        half_width=0.5,
        processes=2,
        processes_extra=0,
        warmup_block_runs=2,
        warmup_block_ms=0.2,
        warmup_window=2,
        warmup_tolerance=0.9,
        warmup_min_ms=0,
        warmup_cap_ms=20,
        sentinel_runs=1,
        drift_repeats=3,
        bootstrap=40,
    )


@pytest.fixture
def named() -> Callable[..., Subject]:
    """A function that makes a subject of the odd runtime, of this name and batch."""

    def make(name: str, batch: int = 1) -> Subject:
        digest = hashlib.sha256(f"{name}{batch}".encode()).hexdigest()
        workload = Workload(f"g1:{digest}", name, (), b"", {"kind": "file", "batch": batch}, 1)
        return Subject(workload, "model", "", name, None, batch)

    return make
