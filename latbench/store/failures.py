"""Database errors in the words of the store: what is wrong, and how to mend it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    InternalError,
    OperationalError,
    StatementError,
)

from latbench.errors import StoreError

_LOCKED = (
    "is locked by another process",
    "wait for that process or end it, then run again",
)
_READ_ONLY = (
    "cannot be written",
    "give yourself write permission to it (to a file's folder, too), or work on a copy of it",
)
_FULL = (
    "has no room left on its disk",
    "free some space and run again; what was committed is kept",
)
_UNKNOWN_REFERENCE = (
    "holds no such instance, target, workload or job as a new row refers to",
    "add that first",
)

# SQLite says what happened only in words; its error codes reach Python from 3.11 on.
_BY_WORDS = {
    "is locked": _LOCKED,
    "readonly database": _READ_ONLY,
    "is full": _FULL,
    "file is not a database": (
        "is not an SQLite file",
        "name another file, or move this one away to begin a new store",
    ),
    "malformed": (
        "is damaged",
        "restore a copy, or save what can be read with `sqlite3 FILE .recover`",
    ),
    "unable to open database file": (
        "cannot be opened",
        "the file and its folder must be readable and writable to you, because SQLite keeps "
        "its -wal and -shm files beside it",
    ),
    "disk I/O error": (
        "cannot be read or written: its disk reports an error",
        "check that the disk is sound and has room, then run again",
    ),
    "locking protocol": (
        "lies on a file system without working locks",
        "move it to a local disk, or use PostgreSQL",
    ),
    "FOREIGN KEY constraint failed": _UNKNOWN_REFERENCE,
}

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_BY_SQLSTATE = {
    "23503": _UNKNOWN_REFERENCE,
    "25006": _READ_ONLY,
    "42501": _READ_ONLY,
    "53100": _FULL,
    "55P03": _LOCKED,
}

_NO_CONNECTION = frozenset({"08", "28", "3D", "53", "57"})
_UNREACHABLE_MEND = "check that the server runs and that host, port, user and database are right"

# psycopg's other kinds blame the statement, which is ours, not the place where the store lies.
_ENVIRONMENT = (OperationalError, DatabaseError, InternalError)


def store_error(shown: str, what: str, mend: str) -> StoreError:
    """Return the error that says what is wrong with the store ``shown`` and how to mend it."""
    return StoreError(f"the store {shown} {what}; {mend}")


@contextmanager
def explained(shown: str) -> Iterator[None]:
    """Turn what the database or the file system refuses into a :class:`StoreError`.

    Errors that only a mistake in latbench can cause, such as SQL that does not parse, stay as
    they are.

    Args:
        shown: the store's URL without its password.
    """
    try:
        yield
    except OSError as failure:
        raise store_error(shown, *_from_os(failure)) from failure
    except StatementError as failure:
        explanation = _from_database(failure)
        if explanation is None:
            raise
        raise store_error(shown, *explanation) from failure


def _from_os(failure: OSError) -> tuple[str, str]:
    if failure.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return _READ_ONLY
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return _FULL
    return f"failed: {failure.strerror}", "check the disk and the folder it lies in"


def _from_database(failure: StatementError) -> tuple[str, str] | None:
    said = " ".join(str(failure.orig).split())
    if not isinstance(failure, DBAPIError):  # the statement never reached the database
        if isinstance(failure.orig, TypeError | ValueError):
            return f"cannot hold a value: {said}", "give plain finite JSON values"
        return None
    if type(failure.orig).__module__.startswith("psycopg"):
        return _from_postgresql(failure, said)
    for words, explanation in _BY_WORDS.items():
        if words in said:
            return explanation
    return None  # SQLite calls a statement that does not parse an operational error, too


def _from_postgresql(failure: DBAPIError, said: str) -> tuple[str, str] | None:
    state: str | None = getattr(failure.orig, "sqlstate", None)
    if state in _BY_SQLSTATE:
        return _BY_SQLSTATE[state]
    if type(failure) not in _ENVIRONMENT:
        return None
    # Without a state the message comes from the client: there was no answer from a server.
    if state is None or state[:2] in _NO_CONNECTION:
        return f"cannot be reached: {said}", _UNREACHABLE_MEND
    return f"failed: {said}", "check the server's log, then run again"
