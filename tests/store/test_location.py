"""URLs of stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from latbench.errors import UsageError
from latbench.store import DEFAULT_URL
from latbench.store.location import Location


@pytest.mark.parametrize(
    ("url", "file"),
    [
        (DEFAULT_URL, Path("latbench.db")),
        ("sqlite:////data/a b.db", Path("/data/a b.db")),
        ("sqlite+pysqlite:///a.db", Path("a.db")),
        ("sqlite:///file:a%20b.db?mode=ro&uri=true", Path("a b.db")),
    ],
)
def test_sqlite_url_names_its_file(url: str, file: Path) -> None:
    """The lock lies beside that file."""
    assert Location.parse(url).file == file


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_postgresql_is_reached_by_psycopg(scheme: str) -> None:
    """The bare name means the same driver."""
    location = Location.parse(f"{scheme}://me@db/latencies")
    assert location.file is None
    assert location.url.drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "sqlite:///FILE"),
        ("latbench.db", "sqlite:///FILE"),
        ("/data/latbench.db", "sqlite:///FILE"),
        ("sqlite://latbench.db", "two slashes"),
        ("sqlite://", "would be lost"),
        ("sqlite:///:memory:", "would be lost"),
        ("sqlite:///file:x?mode=memory&uri=true", "would be lost"),
        ("mysql://me@db/latencies", "no stores in 'mysql'"),
        ("postgresql+asyncpg://me@db/latencies", "no stores in 'postgresql[+]asyncpg'"),
        ("postgresql://me@db:port/latencies", "postgresql[+]psycopg://USER@HOST/DATABASE"),
    ],
)
def test_malformed_url_is_refused(url: str, said: str) -> None:
    """The text shows a form that works."""
    with pytest.raises(UsageError, match=said) as refused:
        Location.parse(url)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@db/latencies",
        "postgresql://me:s3cret@s3cret@db/latencies",
        "postgresql://me@db/latencies?password=s3cret&sslmode=disable",
        "postgresql://me@db/latencies?sslmode=disable&sslpassword=s3cret",
    ],
)
def test_password_is_never_shown(url: str) -> None:
    """Neither in the shown URL nor in the error about a wrong one."""
    shown = Location.parse(url).shown
    assert "s3cret" not in shown
    assert "me" in shown
    assert "***" in shown
    for wrong in (url.replace("postgresql", "mysql"), url.replace("@db", "@db:port")):
        with pytest.raises(UsageError, match=r"\*\*\*") as refused:
            Location.parse(wrong)
        assert "s3cret" not in str(refused.value)
