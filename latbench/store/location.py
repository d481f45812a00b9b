"""Where a store lies: its URL, checked, and the same URL fit to be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from latbench.errors import UsageError
from latbench.store.export import SUFFIXES

DEFAULT_URL = "sqlite:///latbench.db"
BUNDLED = "dataset:"
"""What the name of a bundled data set is written behind."""

_FORMS = "write sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"
_SECRETS = frozenset({"password", "sslpassword"})


@dataclass(frozen=True)
class Location:
    """A store's URL.

    Attributes:
        url: what SQLAlchemy connects to.
        shown: the URL as the user wrote it, without its password.
        file: the SQLite file, None for PostgreSQL.
    """

    url: URL
    shown: str
    file: Path | None

    @classmethod
    def parse(cls, text: str) -> Location:
        """Return the location that ``text`` names.

        Raises:
            UsageError: not a URL, neither SQLite nor PostgreSQL, an SQLite URL without a file, or
                a table.
        """
        shown = _without_password(text)
        if text.startswith(BUNDLED) or is_table(text):
            raise UsageError(
                f"{shown!r} is a table, which is only read; give a database to measure into: "
                f"{_FORMS}"
            )
        try:
            url = make_url(text)
        # A port that is not a number is a ValueError, everything else an ArgumentError.
        except (ArgumentError, ValueError) as failure:
            raise UsageError(f"{shown!r} is not the URL of a store; {_FORMS}") from failure
        if url.drivername in ("sqlite", "sqlite+pysqlite"):
            return cls(url, shown, _sqlite_file(url, shown))
        # Which driver the bare name means depends on SQLAlchemy's version.
        if url.drivername in ("postgresql", "postgresql+psycopg"):
            return cls(url.set(drivername="postgresql+psycopg"), shown, None)
        raise UsageError(f"{shown!r}: no stores in {url.drivername!r}; {_FORMS}")


def is_table(where: str) -> bool:
    """Return whether ``where`` names a file of a table, not the URL of a database."""
    return "://" not in where and where.endswith(SUFFIXES)


def _sqlite_file(url: URL, shown: str) -> Path:
    if url.host:
        raise UsageError(f"{shown!r} has two slashes before the file; write sqlite:///FILE")
    name = url.database or ":memory:"
    if name.startswith("file:"):
        name = unquote(urlsplit(name).path)
    if name == ":memory:" or url.query.get("mode") == "memory":
        raise UsageError(f"{shown!r} would be lost at the end; name a file: sqlite:///FILE")
    return Path(name)


def _without_password(text: str) -> str:
    text = re.sub(r"(://[^:/?#]*):.*@", r"\1:***@", text)
    return re.sub(rf"([?&](?:{'|'.join(_SECRETS)})=)[^&]*", r"\1***", text)
