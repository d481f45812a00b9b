"""Opening what is only read: a database, an exported table or a bundled data set."""

from __future__ import annotations

from latbench import registry, resources
from latbench.errors import UsageError
from latbench.store.exported import ExportedTable
from latbench.store.location import BUNDLED, DEFAULT_URL, is_table
from latbench.store.readable import ReadableStore
from latbench.store.store import Store


def open_to_read(where: str = DEFAULT_URL, create: bool = False) -> ReadableStore:
    """Open the measurements at ``where``; as a context manager they close themselves.

    Args:
        where: the URL of a database, a file that ``latbench export`` wrote, or ``dataset:NAME``.
        create: whether a database that does not exist is created, or is an error.

    Raises:
        UsageError: the URL is malformed, or no data set has that name.
        StoreError: it cannot be opened.
        ArtefactError: the file is no table that latbench exported.
    """
    if where.startswith(BUNDLED):
        return dataset(where.removeprefix(BUNDLED))
    return ExportedTable.open(where) if is_table(where) else Store.open(where, create)


def dataset(name: str) -> ExportedTable:
    """Return the bundled data set ``name``.

    Raises:
        UsageError: no data set has that name; the text lists those that do.
    """
    known = resources.datasets()
    if not known:
        raise UsageError(f"no data set {name!r}: this copy of latbench came without any")
    if name not in known:
        raise UsageError(registry.unknown("data set", name, known))
    return ExportedTable.read(resources.dataset(name), f"{BUNDLED}{name}")
