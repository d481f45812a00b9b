"""Bringing a store to the schema of this latbench, by one process at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, select, text
from sqlalchemy.sql.expression import column, table

from latbench.store.failures import explained, store_error
from latbench.store.schema import HEAD, VERSION_TABLE

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from latbench.store.connection import Connections

_POLL_S = 0.02

# One number for all latbench stores of a PostgreSQL server's database: "latbench" in ASCII.
ADVISORY_LOCK = int.from_bytes(b"latbench", "big")


def bring_up_to_date(connections: Connections, create: bool) -> None:
    """Create the tables of a fresh store, upgrade those of an older one, and check the place.

    An up-to-date store costs two small queries; Alembic is imported only for the others.

    Args:
        connections: the store.
        create: whether a store that does not exist yet is created.

    Raises:
        StoreError: the place is missing, holds something else or a newer schema, or is locked.
    """
    file = connections.location.file
    if file is not None:
        with explained(connections.location.shown):
            _check_place(file, connections.location.shown, create)
    if _up_to_date(connections, create):
        return
    with _one_at_a_time(connections):
        if not _up_to_date(connections, create):
            if file is not None:
                # Kept by the file from now on: readers and the one writer do not wait in it.
                connections.execute_bare("PRAGMA journal_mode = WAL")
            with connections.write() as connection:
                _upgrade(connection)


def _check_place(file: Path, shown: str, create: bool) -> None:
    if file.is_dir():
        raise store_error(shown, "is a folder", "name a file in it")
    if not file.parent.is_dir():
        raise store_error(
            shown, f"cannot lie in {file.parent}, which is no folder", "create that folder first"
        )
    if not create and not file.exists():
        raise store_error(
            shown, "does not exist", "check its name, or measure into it with `latbench profile`"
        )


def _up_to_date(connections: Connections, create: bool) -> bool:
    """Return whether the schema is :data:`HEAD`; False means: fresh or older."""
    shown = connections.location.shown
    with connections.read() as connection:
        tables = set(inspect(connection).get_table_names())
        found = (
            connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
            if VERSION_TABLE in tables
            else None
        )
    if found == HEAD:
        return True
    if found is not None and found > HEAD:
        raise store_error(
            shown,
            f"has schema {found}, and this latbench knows none after {HEAD}",
            "install a newer latbench, or name another store",
        )
    if found is None and tables:
        listed = ", ".join(sorted(tables)[:5])
        raise store_error(
            shown,
            f"is not a latbench store: it holds the tables {listed}",
            "name another file or database",
        )
    if not tables and not create:
        raise store_error(
            shown, "is empty", "check its name, or measure into it with `latbench profile`"
        )
    return False


@contextmanager
def _one_at_a_time(connections: Connections) -> Iterator[None]:
    if connections.location.file is None:
        with connections.read() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": ADVISORY_LOCK})
            yield
        return
    file = connections.location.file
    with explained(connections.location.shown):
        # Left behind on purpose: who removes it could take away another process's lock.
        lock = os.open(f"{file}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            deadline = time.monotonic() + connections.timeout_s
            while not _acquired(lock):
                if time.monotonic() > deadline:
                    raise store_error(
                        connections.location.shown,
                        "is being created or upgraded by another process",
                        "wait for that process or end it, then run again",
                    )
                time.sleep(_POLL_S)
            yield
        finally:
            os.close(lock)


def _acquired(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    # The configuration parser takes % for the start of a reference.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
