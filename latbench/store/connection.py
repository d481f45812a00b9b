"""Connections to a store and its transactions."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event

from latbench.errors import StoreError
from latbench.store.failures import explained

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

    from latbench.store.location import Location

_CONNECT_TIMEOUT_S = 10


class Connections:
    """Hands out transactions; every database error leaves it as a :class:`StoreError`.

    Several processes may each hold one on the same store; one must not cross a fork.
    """

    def __init__(self, location: Location, timeout_s: float) -> None:
        """Prepare connections; the first is made when it is needed.

        Args:
            location: where the store lies.
            timeout_s: how long to wait for another process's lock, in seconds.

        Raises:
            StoreError: psycopg is missing.
        """
        self.location = location
        self.timeout_s = timeout_s
        self.engine = (
            _sqlite(location, timeout_s) if location.file else _postgresql(location, timeout_s)
        )
        self._writer = self.engine.execution_options(latbench_begin="BEGIN IMMEDIATE")
        self._bare = self.engine.execution_options(latbench_begin=None)
        self._kept = threading.local()
        self._all_kept: set[Connection] = set()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection for reading; one statement sees one state of the store."""
        with explained(self.location.shown), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection inside one transaction that commits at the end, or leaves nothing."""
        with explained(self.location.shown), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def write_one(self) -> Iterator[Connection]:
        """Yield a connection for one writing statement, which is a transaction of its own.

        SQLite then needs neither BEGIN nor COMMIT around it, and each thread keeps its connection:
        to get one and give it back costs as much as a small insert.
        """
        with explained(self.location.shown):
            if not self.location.file:
                with self._bare.begin() as connection:
                    yield connection
                return
            try:
                yield self._own()
            except BaseException:
                self._drop()
                raise

    def _own(self) -> Connection:
        """Return the connection that this thread keeps."""
        kept: Connection | None = getattr(self._kept, "connection", None)
        if kept is None or kept.closed:
            kept = self._kept.connection = self._bare.connect()
            self._all_kept.add(kept)
        return kept

    def _drop(self) -> None:
        kept: Connection | None = getattr(self._kept, "connection", None)
        if kept is not None:
            self._kept.connection = None
            self._all_kept.discard(kept)
            kept.close()

    def execute_bare(self, statement: str) -> None:
        """Execute an SQLite ``statement`` that no transaction may surround."""
        with explained(self.location.shown), self._bare.connect() as connection:
            connection.exec_driver_sql(statement)

    def close(self) -> None:
        """Close every connection."""
        for kept in self._all_kept:
            kept.close()
        self._all_kept.clear()
        self.engine.dispose()


def _sqlite(location: Location, timeout_s: float) -> Engine:
    engine = create_engine(location.url, connect_args={"timeout": timeout_s})

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # sqlite3 would begin late and without IMMEDIATE: two writers could then both read, and
        # the second to write fails at once, whatever the timeout.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        # With a write-ahead log a commit then outlives the process without a sync of the disk,
        # which would cost more than all else; a power cut may take the last commits, never more.
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        statement = connection.get_execution_options().get("latbench_begin", "BEGIN")
        if statement is not None:
            connection.exec_driver_sql(statement)

    return engine


def _postgresql(location: Location, timeout_s: float) -> Engine:
    arguments: dict[str, Any] = {}
    if "connect_timeout" not in location.url.query:
        arguments["connect_timeout"] = _CONNECT_TIMEOUT_S
    try:
        engine = create_engine(
            location.url,
            connect_args=arguments,
            # Hours may lie between two writes, more than a firewall keeps a connection.
            pool_pre_ping=True,
        )
    except ImportError as missing:
        raise StoreError(
            f"the store {location.shown} needs psycopg, which does not load ({missing}); "
            "pip install 'latbench[postgresql]'"
        ) from missing

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = {math.ceil(timeout_s * 1000)}")
        cursor.close()
        connection.commit()

    return engine
