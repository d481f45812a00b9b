"""One thread for all tests, because machines are shared; and a PostgreSQL server for some."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import hypothesis
import pytest

# Read when these libraries are first loaded, so this must come before any test module.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"

# Who starts the tests in the background has them, and all that they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines are shared: no test asserts a time, an example of a property neither.
hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Take back the number of threads that an earlier test may have left torch with."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@dataclass(frozen=True)
class PostgreSQL:
    """A server of its own in a folder, reached by the socket in it."""

    folder: Path

    def start(self) -> None:
        """Start it, and wait until it can be reached."""
        options = (
            "-c fsync=off -c listen_addresses='' "
            f"-c max_connections=40 -c unix_socket_directories='{self.folder}'"
        )
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", self.data, "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Stop it as a crash would."""
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")

    @property
    def data(self) -> str:
        """Where it keeps its files."""
        return str(self.folder / "data")

    @staticmethod
    def run(*command: str) -> None:
        """Run a command of PostgreSQL, which refuses to be run by root."""
        if os.geteuid() == 0:
            nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
            command = (*nobody, *command)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """A real server."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    for program in ("initdb", "pg_ctl", *(["setpriv"] if os.geteuid() == 0 else [])):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: no PostgreSQL server to test with")
    # A short path: a socket's name may have 107 bytes.
    server = PostgreSQL(Path(tempfile.mkdtemp(prefix="latbench-pg-")))
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(server.folder, nobody.pw_uid, nobody.pw_gid)
    try:
        server.run("initdb", "-D", server.data, "-A", "trust", "-U", "latbench")
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(server.folder)


_numbers = itertools.count()


@pytest.fixture
def postgresql_url(postgresql_server: PostgreSQL) -> str:
    """The URL of an empty schema: a database of its own for each test would cost seconds."""
    import psycopg

    folder = str(postgresql_server.folder)
    name = f"store_{next(_numbers)}"
    with psycopg.connect(
        host=folder, user="latbench", dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
    search_path = quote(f"-csearch_path={name}")
    return f"postgresql+psycopg://latbench@/postgres?host={quote(folder)}&options={search_path}"
