"""What can be read of measurements, in whatever they are kept: a database or a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from latbench.store.selection import ESTIMATED, Selection

if TYPE_CHECKING:
    import pandas as pd

    from latbench.store.rows import InstanceRow
    from latbench.target import Target

_Self = TypeVar("_Self", bound="ReadableStore")


class ReadableStore(ABC):
    """Measurements to read: all that fitting, comparing and exporting ask of a store.

    As a context manager it closes itself.

    Attributes:
        read_only: whether nothing can be measured into it.
    """

    read_only: bool

    @abstractmethod
    def targets(self) -> list[Target]:
        """Return every target, by key."""

    @abstractmethod
    def instances(self) -> list[InstanceRow]:
        """Return every instance, by id."""

    @abstractmethod
    def _read(self, selection: Selection, origin: bool) -> pd.DataFrame:
        """Return what is selected, as :meth:`table` does."""

    def close(self) -> None:  # noqa: B027 - a file is read at once and needs no closing
        """Let go of what it is kept in."""

    def __enter__(self: _Self) -> _Self:
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

    def table(
        self,
        kind: Literal["network", "block"] | None = None,
        space: str | Mapping[str, Any] | None = None,
        target: Target | str | None = None,
        campaign: str | None = "main",
        instance: str | None = None,
        statuses: Sequence[str] = ESTIMATED,
        origin: bool = False,
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
            origin: whether to add the columns ``drift``, ``target`` and ``provenance``, the last
                two as JSON values.

        Raises:
            UsageError: an unknown kind or status.
            StoreError: the store cannot be read.
        """
        selection = Selection(kind, space, target, campaign, instance, statuses)
        return self._read(selection, origin)

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
        ``provenance``; a Parquet file also holds the facts of the instances. It is written whole
        or not at all, and never with a host name or an absolute path in it.
        :class:`~latbench.store.exported.ExportedTable` reads it.

        Raises:
            UsageError: another suffix, or an unknown kind or status.
            StoreError: the store cannot be read, the file cannot be written, or a value would
                tell a host name or an absolute path; the text names its key.
        """
        from latbench.store.export import export

        frame = self.table(kind, space, target, campaign, instance, statuses, origin=True)
        export(frame, Path(path), self.instances())
        return len(frame)
