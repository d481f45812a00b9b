"""A table of measurements as a file that may be handed on."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from latbench.errors import StoreError, UsageError
from latbench.store.canonical import canonical_json
from latbench.store.leaks import leaks
from latbench.store.schema import HEAD

if TYPE_CHECKING:
    from typing import IO

    import pandas as pd

SUFFIXES = (".parquet", ".csv")

# The other texts are latbench's own words and hashes.
_FREE_TEXTS = ("name", "space", "key", "campaign", "reason", "target", "provenance")


def export(frame: pd.DataFrame, path: Path) -> None:
    """Write a table to ``path``, whole or not at all.

    ``target`` and ``provenance`` become JSON texts. A Parquet file carries the schema's version
    as ``attrs["latbench_schema"]``.

    Raises:
        UsageError: the suffix is none of :data:`SUFFIXES`.
        StoreError: a value holds a host name or an absolute path, or the file cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path.name!r} has no suffix to export to; use {' or '.join(SUFFIXES)}")
    _check(frame)
    for name in ("target", "provenance"):
        frame[name] = frame[name].map(canonical_json)
    frame.attrs["latbench_schema"] = HEAD
    # A column of None only would otherwise have no type in Parquet.
    frame = frame.astype({name: "string" for name in frame.columns if frame[name].dtype == object})
    new = path.with_name(f".{path.name}.{uuid4().hex}.new")
    try:
        try:
            with new.open("xb") as file:
                _write(frame, file, path.suffix)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as failure:
        raise StoreError(
            f"{path} cannot be written ({failure.strerror or failure}); "
            "name a file in a folder that exists, is yours and has room"
        ) from failure


def _write(frame: pd.DataFrame, file: IO[bytes], suffix: str) -> None:
    if suffix == ".csv":
        frame.to_csv(file, index=False)
    else:
        frame.to_parquet(file, index=False)


def _check(frame: pd.DataFrame) -> None:
    host = socket.gethostname()
    for name in _FREE_TEXTS:
        for workload, value in zip(frame["workload"], frame[name], strict=True):
            for key, what in leaks(value, host, name):
                raise StoreError(
                    f"not exported: {key} of workload {workload} holds {what}; "
                    "leave such rows out, or measure them again without it"
                )
