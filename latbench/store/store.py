"""The store: opened by URL, written by many processes at once, read as rows or as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from latbench.store.connection import Connections
from latbench.store.location import DEFAULT_URL, Location
from latbench.store.migrations import bring_up_to_date
from latbench.store.reading import Reader
from latbench.store.selection import ESTIMATED, Selection
from latbench.store.writing import Writer

if TYPE_CHECKING:
    import pandas as pd

    from latbench.target import Target


class Store(Writer, Reader):
    """Measurements in a database. Open it with :meth:`open`, in each process anew.

    As a context manager it closes itself.
    """

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

    def __enter__(self) -> Store:
        """Return the store itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the store."""
        self.close()

    def __repr__(self) -> str:
        """Name the store, without its password."""
        return f"Store({self._connections.location.shown!r})"

    def table(
        self,
        kind: Literal["network", "block"] | None = None,
        space: str | Mapping[str, Any] | None = None,
        target: Target | str | None = None,
        campaign: str | None = "main",
        instance: str | None = None,
        statuses: Sequence[str] = ESTIMATED,
    ) -> pd.DataFrame:
        """Return measurements as a table, one row for each subject of a job, oldest first.

        Of a job that was tried several times the newest attempt counts. ``precision_run`` is
        ``mixed`` where the processes of one job ran several. Latencies are in ms,
        ``half_width`` is relative, ``created`` a time in UTC; where there is no text, None.

        Args:
            kind: networks or blocks; None for both and for what is neither.
            space: the spec of a space, or its canonical JSON; None for all.
            target: a target or its key; None for all.
            campaign: None for all.
            instance: the id of an instance; None for all.
            statuses: what the newest attempt may be; a failure has no latency but a reason.

        Raises:
            UsageError: an unknown kind or status.
            StoreError: the store cannot be read.
        """
        return self._read(Selection(kind, space, target, campaign, instance, statuses), False)

    def export(
        self,
        path: str | Path,
        kind: Literal["network", "block"] | None = None,
        space: str | Mapping[str, Any] | None = None,
        target: Target | str | None = None,
        campaign: str | None = "main",
        instance: str | None = None,
        statuses: Sequence[str] = ESTIMATED,
    ) -> int:
        """Write the table to a Parquet or CSV file, by its suffix, and return its rows.

        Beside the columns of :meth:`table` the file holds ``drift``, ``target`` and
        ``provenance``. It is written whole or not at all, and never with a host name or an
        absolute path in it.

        Raises:
            UsageError: another suffix, or an unknown kind or status.
            StoreError: the store cannot be read, the file cannot be written, or a value would
                tell a host name or an absolute path; the text names its key.
        """
        from latbench.store.export import export

        selection = Selection(kind, space, target, campaign, instance, statuses)
        frame = self._read(selection, True)
        export(frame, Path(path))
        return len(frame)

    def _read(self, selection: Selection, origin: bool) -> pd.DataFrame:
        with self._connections.read() as connection:
            return selection.read(connection, origin)
