"""A table of measurements in a file that was exported: a store that is only read."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sqlalchemy import Double, Integer

from latbench.errors import ArtefactError, StoreError
from latbench.store.checking import Refused, checked
from latbench.store.export import INSTANCES_KEY, SCHEMA_KEY
from latbench.store.readable import ReadableStore
from latbench.store.rows import InstanceRow
from latbench.store.schema import HEAD
from latbench.store.selection import COLUMNS, ORIGIN, Selection
from latbench.target import Target

if TYPE_CHECKING:
    import pandas as pd

_ALL = {**COLUMNS, **ORIGIN}
_INTEGERS = [name for name, column in _ALL.items() if isinstance(column.type, Integer)]
_NUMBERS = [
    name
    for name, column in _ALL.items()
    if isinstance(column.type, Integer | Double) and name != "created"
]


class ExportedTable(ReadableStore):
    """What ``latbench export`` wrote, as a store. Open it with :meth:`open`.

    A CSV file keeps no facts of its instances.
    """

    read_only = True

    def __init__(
        self,
        name: str,
        frame: pd.DataFrame,
        targets: dict[str, Target],
        instances: dict[str, InstanceRow],
    ) -> None:
        """Keep what was read; use :meth:`open`.

        Args:
            name: what messages call it.
            frame: the table with the origin of its measurements.
            targets: by key.
            instances: by id.
        """
        self.name = name
        self._frame = frame
        self._targets = targets
        self._instances = instances

    @classmethod
    def open(cls, path: str | Path) -> ExportedTable:
        """Read the file at ``path``, Parquet or CSV by its suffix.

        Raises:
            StoreError: the file cannot be read.
            ArtefactError: it is no table that latbench exported, or was changed since.
        """
        path = Path(path)
        try:
            data = path.read_bytes()
        except OSError as failure:
            raise StoreError(
                f"{path} cannot be read: {failure.strerror or failure}; name a table that "
                "`latbench export` wrote"
            ) from failure
        return cls.read(data, str(path), path.suffix)

    @classmethod
    def read(cls, data: bytes, name: str, suffix: str = ".parquet") -> ExportedTable:
        """Read the bytes of a file with that suffix; errors call it ``name``.

        Raises:
            ArtefactError: as :meth:`open`.
        """
        try:
            frame = _parquet(io.BytesIO(data)) if suffix == ".parquet" else _csv(io.BytesIO(data))
            facts = frame.attrs.get(INSTANCES_KEY, {})
            if not isinstance(facts, dict):
                raise Refused(f"holds in {INSTANCES_KEY} what is no mapping")
            targets = checked(frame)
            devices = dict(zip(frame["instance"], frame["device"], strict=True))
            instances = {
                key: InstanceRow(key, device, facts.get(key, {}))
                for key, device in sorted(devices.items())
            }
        except Refused as refused:
            raise ArtefactError(
                f"{name} {refused}; export the measurements again with `latbench export`"
            ) from refused
        return cls(name, frame, targets, instances)

    @property
    def attrs(self) -> Mapping[str, Any]:
        """What the file says of all its rows, by name; empty for CSV."""
        return {str(name): value for name, value in self._frame.attrs.items()}

    def __repr__(self) -> str:
        """Name the file."""
        return f"ExportedTable({self.name!r})"

    def targets(self) -> list[Target]:
        """Return every target, by key."""
        return [self._targets[key] for key in sorted(self._targets)]

    def instances(self) -> list[InstanceRow]:
        """Return every instance that measured, by id."""
        return list(self._instances.values())

    def _read(self, selection: Selection, origin: bool) -> pd.DataFrame:
        found = selection.among(self._frame)
        if not origin:
            return found[list(COLUMNS)]
        for name in ("target", "provenance"):
            found[name] = found[name].map(json.loads)
        return found


def _parquet(file: IO[bytes]) -> pd.DataFrame:
    import pandas as pd

    try:
        frame = pd.read_parquet(file)
    # pyarrow raises subclasses of these for every way a file can be malformed.
    except (ValueError, OSError) as failure:
        raise Refused(f"is no Parquet file: {_first_line(failure)}") from failure
    version = frame.attrs.get(SCHEMA_KEY)
    if version is None:
        raise Refused("is no table that latbench exported: it carries no latbench_schema")
    if version != HEAD:
        raise Refused(f"has the schema {version!r} and this latbench reads {HEAD!r}")
    _check_names(frame)
    return _typed(frame)


def _csv(file: IO[bytes]) -> pd.DataFrame:
    import pandas as pd

    try:
        # As texts first: older versions of pandas round the numbers that they read, and NA or
        # null may be a name.
        frame = pd.read_csv(file, dtype=str, keep_default_na=False, na_values=[""])
    except (ValueError, EOFError, zlib.error) as failure:
        raise Refused(f"is no table: {_first_line(failure)}") from failure
    _check_names(frame)
    return _typed(frame)


def _first_line(failure: Exception) -> str:
    return str(failure).strip().partition("\n")[0]


def _check_names(frame: pd.DataFrame) -> None:
    missing = [name for name in _ALL if name not in frame.columns]
    if missing:
        raise Refused(
            f"is no table that latbench exported: it lacks the columns {', '.join(missing)}"
        )
    more = [str(name) for name in frame.columns if name not in _ALL]
    if more:
        raise Refused(f"holds columns that latbench does not know: {', '.join(more)}")


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns as a store's table has them."""
    import pandas as pd

    typed: dict[str, pd.Series[Any]] = {}
    for name in _ALL:
        column = frame[name]
        try:
            if name in _INTEGERS:
                typed[name] = column.astype("int64")
                if (typed[name] != column.astype("float64")).any():
                    raise Refused(f"holds in {name} what is no whole number")
            elif name in _NUMBERS:
                typed[name] = column.astype("float64")
            elif name == "created":
                typed[name] = pd.to_datetime(column, utc=True, format="ISO8601").dt.as_unit("us")
            else:
                texts = column.astype(object)
                typed[name] = texts.where(texts.notna(), None)
        except (ValueError, TypeError) as failure:
            raise Refused(f"holds in {name} what is none: {_first_line(failure)}") from failure
    made = pd.DataFrame(typed)
    made.attrs = frame.attrs
    return made
