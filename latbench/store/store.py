"""The store: opened by URL, written by many processes at once, read as rows or as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latbench.store.connection import Connections
from latbench.store.location import DEFAULT_URL, Location
from latbench.store.migrations import bring_up_to_date
from latbench.store.readable import ReadableStore
from latbench.store.reading import Reader
from latbench.store.writing import Writer

if TYPE_CHECKING:
    import pandas as pd

    from latbench.store.selection import Selection


class Store(Writer, Reader, ReadableStore):
    """Measurements in a database. Open it with :meth:`open`, in each process anew.

    As a context manager it closes itself.
    """

    read_only = False

    def __init__(self, connections: Connections) -> None:
        """Keep the connections to an up-to-date store; use :meth:`open`."""
        self._connections = connections

    @classmethod
    def open(cls, url: str = DEFAULT_URL, create: bool = True, timeout_s: float = 30.0) -> Store:
        """Open a store, creating or upgrading it first where that is needed.

        Args:
            url: ``sqlite:///FILE`` or ``postgresql+psycopg://USER@HOST/DATABASE``.
            create: whether a store that does not exist is created, or is an error.
            timeout_s: how long to wait for another process's lock, in seconds.

        Raises:
            UsageError: the URL is malformed.
            StoreError: the store cannot be opened; the text says why and how to mend it.
        """
        connections = Connections(Location.parse(url), timeout_s)
        store = cls(connections)
        try:
            bring_up_to_date(connections, create)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()

    def __repr__(self) -> str:
        """Name the store, without its password."""
        return f"Store({self._connections.location.shown!r})"

    def _read(self, selection: Selection, origin: bool) -> pd.DataFrame:
        with self._connections.read() as connection:
            return selection.read(connection, origin)
