"""Stores of both dialects, and other processes that use them."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

import latbench
from latbench.store import InstanceRow, JobRow, Store, WorkloadRow
from latbench.target import Target

Script = Callable[..., "subprocess.Popen[str]"]

_POSTGRES = (
    "-c fsync=off -c synchronous_commit=off -c listen_addresses='' "
    "-c max_connections=40 -c unix_socket_directories='{folder}'"
)


def _run(*command: str) -> None:
    """Run a command of PostgreSQL, which refuses to be run by root."""
    if os.geteuid() == 0:
        nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
        command = (*nobody, *command)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Path]:
    """A real server in a folder of its own, reached by the socket in it."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    for program in ("initdb", "pg_ctl", *(["setpriv"] if os.geteuid() == 0 else [])):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: no PostgreSQL server to test with")
    # A short path: a socket's name may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="latbench-pg-"))
    data = str(folder / "data")
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    try:
        _run("initdb", "-D", data, "-A", "trust", "-U", "latbench")
        options = _POSTGRES.format(folder=folder)
        _run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield folder
        finally:
            _run("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


_numbers = itertools.count()


@pytest.fixture
def postgresql_url(postgresql_server: Path) -> str:
    """The URL of an empty schema: a database of its own for each test would cost seconds."""
    import psycopg

    name = f"store_{next(_numbers)}"
    with psycopg.connect(
        host=str(postgresql_server), user="latbench", dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
    search_path = quote(f"-csearch_path={name}")
    host = quote(str(postgresql_server))
    return f"postgresql+psycopg://latbench@/postgres?host={host}&options={search_path}"


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
