"""Opening a store: fresh, up to date, newer, and what is not one."""

from __future__ import annotations

import fcntl
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import create_engine, text

from latbench.errors import StoreError
from latbench.store import Store
from latbench.store.location import Location
from latbench.store.schema import HEAD, METADATA, VERSION_TABLE

OPENED_AGAIN = """
import sys, time
from latbench.store import Store
began = time.process_time()  # unlike wall time no other process can stretch it
Store.open(sys.argv[1], create=False).close()
took = time.process_time() - began
print(int("alembic" in sys.modules), int("pandas" in sys.modules), took)
"""


def _execute(url: str, statement: str) -> None:
    engine = create_engine(Location.parse(url).url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_migrations_make_the_tables_of_the_schema(url: str) -> None:
    """The revisions together give what the code expects: no table, column or index differs."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    Store.open(url).close()
    engine = create_engine(Location.parse(url).url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_revision() == HEAD
    engine.dispose()


def test_head_is_the_last_revision() -> None:
    """The number that an up-to-date store is recognised by."""
    from alembic.script import ScriptDirectory

    import latbench.store.migrations

    folder = Path(latbench.store.migrations.__file__).parent
    assert ScriptDirectory(str(folder)).get_heads() == [HEAD]


def test_up_to_date_store_opens_without_alembic(sqlite_url: str, python: Any) -> None:
    """A command that only reads must not wait for machinery it does not need."""
    Store.open(sqlite_url).close()
    said, errors = python(OPENED_AGAIN, sqlite_url).communicate(timeout=60)
    assert errors == ""
    alembic, pandas, took = said.split()
    assert (alembic, pandas) == ("0", "0")
    assert float(took) < 0.1


def test_sqlite_file_keeps_a_write_ahead_log(sqlite_url: str) -> None:
    """Readers do not wait for a writer."""
    Store.open(sqlite_url).close()
    file = cast(Path, Location.parse(sqlite_url).file)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_newer_schema_is_refused(url: str) -> None:
    """An older latbench must not write what it does not understand."""
    Store.open(url).close()
    _execute(url, f"UPDATE {VERSION_TABLE} SET version_num = '0999'")
    with pytest.raises(StoreError, match=r"schema 0999.*install a newer latbench"):
        Store.open(url)


def test_foreign_tables_are_refused_and_left_alone(url: str) -> None:
    """A database that belongs to something else gets no tables of ours."""
    _execute(url, "CREATE TABLE cities (name TEXT)")
    with pytest.raises(StoreError, match="not a latbench store: it holds the tables cities"):
        Store.open(url)
    _execute(url, "CREATE TABLE jobs (name TEXT)")  # still free


def test_foreign_file_gets_no_lock_beside_it(tmp_path: Path) -> None:
    """A typing error leaves no trace."""
    file = tmp_path / "notes.txt"
    file.write_text("hello " * 1000)
    with pytest.raises(StoreError, match="is not an SQLite file"):
        Store.open(f"sqlite:///{file}")
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_missing_store_is_not_created_unasked(url: str) -> None:
    """A command that only reads says what to do first."""
    with pytest.raises(StoreError, match="latbench profile"):
        Store.open(url, create=False)
    Store.open(url).close()
    Store.open(url, create=False).close()


def test_creation_waits_for_another_process_only_so_long(sqlite_url: str, tmp_path: Path) -> None:
    """The lock beside the file is respected, and the text says who holds things up."""
    with (tmp_path / "latbench.db-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.monotonic()
        with pytest.raises(StoreError, match="being created or upgraded by another process"):
            Store.open(sqlite_url, timeout_s=0.2)
        assert time.monotonic() - began >= 0.2
    Store.open(sqlite_url).close()


def test_postgresql_creation_waits_for_the_advisory_lock(postgresql_url: str) -> None:
    """The same with the server's own lock."""
    from latbench.store.migrations import ADVISORY_LOCK

    engine = create_engine(Location.parse(postgresql_url).url)
    with engine.begin() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
        with pytest.raises(StoreError, match="locked by another process"):
            Store.open(postgresql_url, timeout_s=0.2)
    engine.dispose()
    Store.open(postgresql_url).close()


def test_interrupted_creation_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tables come in one transaction: the next process starts afresh."""
    from alembic import command

    real = command.upgrade

    def interrupted(*arguments: Any) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Store.open(url)
    with pytest.raises(StoreError, match="is empty"):
        Store.open(url, create=False)
    with Store.open(url) as store:
        assert store.targets() == []
