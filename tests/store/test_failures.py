"""Everything that a place can do to a store, in one line with the way to mend it."""

from __future__ import annotations

import os
import pwd
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError, ProgrammingError

from latbench.errors import StoreError
from latbench.store import InstanceRow, Store
from latbench.store.location import Location

Refused = Callable[[str, Callable[[], object]], None]


def _refused(said: str, action: Callable[[], object]) -> str:
    with pytest.raises(StoreError, match=said) as refused:
        action()
    message = str(refused.value)
    assert "\n" not in message
    assert message.startswith("the store ")
    assert "; " in message, "no way to mend it"
    return message


def _file(url: str) -> Path:
    return cast(Path, Location.parse(url).file)


def _fill(store: Store, number: int) -> None:
    store.add_instance(InstanceRow(f"i{number}", "cpu", {"fact": "x" * 10_000}))


def _fill_up(store: Store) -> None:
    for number in range(100):
        _fill(store, number)


def test_locked_file(sqlite_url: str) -> None:
    """A writer waits for another one only as long as it is told to."""
    with Store.open(sqlite_url, timeout_s=0.1) as store:
        other = sqlite3.connect(_file(sqlite_url), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        _refused("locked by another process; wait", lambda: _fill(store, 0))
        assert store.instances() == []  # readers do not wait
        other.execute("ROLLBACK")
        other.close()
        _fill(store, 0)


def test_locked_tables(postgresql_url: str) -> None:
    """PostgreSQL would wait for ever."""
    engine = create_engine(Location.parse(postgresql_url).url)
    with Store.open(postgresql_url, timeout_s=0.1) as store, engine.begin() as other:
        other.execute(text("LOCK TABLE instances IN ACCESS EXCLUSIVE MODE"))
        _refused("locked by another process; wait", lambda: _fill(store, 0))
    engine.dispose()


def test_text_file(sqlite_url: str) -> None:
    """Not a database at all."""
    _file(sqlite_url).write_text("hello " * 1000)
    _refused("is not an SQLite file; name another", lambda: Store.open(sqlite_url))


def test_damaged_file(sqlite_url: str) -> None:
    """The header is fine, the pages are not."""
    with Store.open(sqlite_url) as store:
        for number in range(20):
            _fill(store, number)
    content = bytearray(_file(sqlite_url).read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    _file(sqlite_url).write_bytes(content)
    _refused("is damaged; restore a copy", lambda: Store.open(sqlite_url))


def test_folder_in_place_of_the_file(tmp_path: Path) -> None:
    """A folder was named."""
    _refused("is a folder; name a file in it", lambda: Store.open(f"sqlite:///{tmp_path}"))


def test_missing_folder(tmp_path: Path) -> None:
    """Folders are not created behind the user's back."""
    url = f"sqlite:///{tmp_path / 'nowhere' / 'latbench.db'}"
    _refused("create that folder first", lambda: Store.open(url))
    assert not (tmp_path / "nowhere").exists()


def test_url_that_only_reads(sqlite_url: str) -> None:
    """What is there can be read, and nothing written."""
    with Store.open(sqlite_url) as store:
        _fill(store, 0)
    read_only = f"sqlite:///file:{_file(sqlite_url)}?mode=ro&uri=true"
    with Store.open(read_only) as store:
        assert len(store.instances()) == 1
        _refused("cannot be written; give yourself write permission", lambda: _fill(store, 1))


@pytest.fixture
def unprivileged() -> Iterator[Callable[[Path, int], None]]:
    """A function that sets a path's permissions and gives up the power to ignore them."""
    uid, gid = os.geteuid(), os.getegid()

    def become(path: Path, mode: int) -> None:
        path.chmod(mode)
        if uid == 0:
            nobody = pwd.getpwnam("nobody")
            os.setegid(nobody.pw_gid)
            os.seteuid(nobody.pw_uid)

    yield become
    os.seteuid(uid)
    os.setegid(gid)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's own are private."""
    folder = Path(tempfile.mkdtemp(prefix="latbench-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_read_only_file(open_folder: Path, unprivileged: Callable[[Path, int], None]) -> None:
    """The file belongs to somebody else."""
    url = f"sqlite:///{open_folder / 'latbench.db'}"
    Store.open(url).close()
    open_folder.chmod(0o777)
    unprivileged(open_folder / "latbench.db", 0o444)
    with Store.open(url) as store:
        assert store.instances() == []
        _refused("cannot be written; give yourself", lambda: _fill(store, 0))


def test_read_only_folder(open_folder: Path, unprivileged: Callable[[Path, int], None]) -> None:
    """Neither can a store be created there, nor one be read: SQLite keeps a log beside it."""
    there = f"sqlite:///{open_folder / 'there.db'}"
    Store.open(there).close()
    unprivileged(open_folder, 0o555)
    new = f"sqlite:///{open_folder / 'new.db'}"
    _refused("cannot be (opened|written); .*folder", lambda: Store.open(new))
    _refused("cannot be (opened|written); .*folder", lambda: Store.open(there))
    with Store.open(f"sqlite:///file:{open_folder / 'there.db'}?immutable=1&uri=true") as store:
        assert store.instances() == []


def test_folder_that_may_not_be_entered(
    open_folder: Path, unprivileged: Callable[[Path, int], None]
) -> None:
    """Not even whether the file exists can be told."""
    inner = open_folder / "inner"
    inner.mkdir()
    unprivileged(inner, 0o000)
    url = f"sqlite:///{inner / 'latbench.db'}"
    _refused("cannot be (opened|written); .*folder", lambda: Store.open(url))


def test_full_store(sqlite_url: str) -> None:
    """SQLite's own limit answers as a full disk does, and what was committed is kept."""
    with Store.open(sqlite_url) as store:

        @event.listens_for(store._connections.engine, "connect")
        def limit(connection: DBAPIConnection, _: object) -> None:
            connection.cursor().execute("PRAGMA max_page_count = 100")

        store.close()  # the limit is each connection's own
        _refused("no room left on its disk; free some space", lambda: _fill_up(store))
        kept = len(store.instances())
        assert 10 < kept < 100
    with Store.open(sqlite_url) as store:
        assert len(store.instances()) == kept
        _fill(store, kept)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(tiny_disk: Path) -> None:
    """A real disk without room: a StoreError, and what was committed is kept."""
    url = f"sqlite:///{tiny_disk / 'latbench.db'}"
    with Store.open(url) as store:
        _refused("no room left on its disk; free", lambda: _fill_up(store))
        assert len(store.instances()) > 3


def test_full_disk_while_creating(tiny_disk: Path) -> None:
    """Not even the tables fit; with room again the store is created."""
    ballast = tiny_disk / "ballast"
    with pytest.raises(OSError, match="No space left"):
        ballast.write_bytes(b"x" * 1_000_000)
    url = f"sqlite:///{tiny_disk / 'latbench.db'}"
    _refused("no room left on its disk|its disk reports", lambda: Store.open(url))
    ballast.unlink()
    Store.open(url).close()


def test_file_that_may_not_grow(sqlite_url: str) -> None:
    """A write that the system cuts short is an error of the store, not a crash."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Store.open(sqlite_url) as store:
        _fill(store, 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, old[1]))
        try:
            _refused("no room left|its disk reports", lambda: _fill_up(store))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        _fill(store, 100)


def test_unreachable_server() -> None:
    """The URL is shown without its password."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    url = "postgresql+psycopg://me:s3cret@127.0.0.1:1/latencies"
    message = _refused("cannot be reached: .*; check that", lambda: Store.open(url))
    assert "postgresql+psycopg://me:***@127.0.0.1:1/latencies" in message
    assert "s3cret" not in message


def test_missing_database(postgresql_url: str) -> None:
    """The server answers, the database is not there."""
    url = postgresql_url.replace("/postgres?", "/nowhere?")
    _refused('database "nowhere" does not exist', lambda: Store.open(url))


def test_server_that_went_away(postgresql_url: str) -> None:
    """A dropped idle connection is replaced without a word."""
    engine = create_engine(Location.parse(postgresql_url).url)
    with Store.open(postgresql_url) as store:
        _fill(store, 0)
        with engine.begin() as other:
            other.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
            )
        _fill(store, 1)
        assert len(store.instances()) == 2
    engine.dispose()


def test_database_that_only_reads(postgresql_url: str) -> None:
    """A replica, or a role without the right to write."""
    Store.open(postgresql_url).close()
    with Store.open(f"{postgresql_url}%20-cdefault_transaction_read_only%3Don") as store:
        _refused("cannot be written", lambda: _fill(store, 0))


def test_missing_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's driver is an extra, and the text names it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'latbench\[postgresql\]'"):
        Store.open("postgresql+psycopg://me@db/latencies")


def test_our_own_mistakes_stay_what_they_are(store: Store) -> None:
    """SQL that does not parse is no fault of the place, and must not be told as one."""
    with pytest.raises((OperationalError, ProgrammingError)):  # noqa: SIM117
        with store._connections.read() as connection:
            connection.execute(text("SELECT nothing FROM nowhere"))
