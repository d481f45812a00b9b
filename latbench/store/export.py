"""A table of measurements as a file that may be handed on."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from latbench.errors import StoreError, UsageError
from latbench.store.canonical import canonical_json
from latbench.store.leaks import leaks
from latbench.store.schema import HEAD

if TYPE_CHECKING:
    from typing import IO

    import pandas as pd

    from latbench.store.rows import InstanceRow

SUFFIXES = (".parquet", ".csv")

SCHEMA_KEY, INSTANCES_KEY = "latbench_schema", "latbench_instances"
"""Under which names the attributes of a Parquet file hold the version and the instances."""

# The other texts are latbench's own words and hashes.
_FREE_TEXTS = ("name", "space", "key", "campaign", "reason", "target", "provenance")


def export(frame: pd.DataFrame, path: Path, instances: Sequence[InstanceRow] = ()) -> None:
    """Write a table with the origin of its measurements to ``path``, whole or not at all.

    ``target`` and ``provenance`` become JSON texts. A Parquet file carries in its ``attrs`` the
    schema's version and the facts of the instances that measured, without their kernel.

    Args:
        frame: the table; its attributes are written too.
        path: where to.
        instances: those that may have measured it.

    Raises:
        UsageError: the suffix is none of :data:`SUFFIXES`.
        StoreError: a value holds a host name or an absolute path, or the file cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path.name!r} has no suffix to export to; use {' or '.join(SUFFIXES)}")
    there = set(frame["instance"])
    facts = {row.id: _told(row.facts) for row in instances if row.id in there}
    frame.attrs = {**frame.attrs, SCHEMA_KEY: HEAD, INSTANCES_KEY: facts}
    _check(frame)
    for name in ("target", "provenance"):
        frame[name] = frame[name].map(canonical_json)
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
        frame.to_parquet(file, index=False, compression="zstd")


def _told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of an instance without the kernel, which may be named after its owner."""
    return {
        name: {key: value for key, value in part.items() if key != "kernel"}
        if isinstance(part, Mapping)
        else part
        for name, part in facts.items()
    }


def _check(frame: pd.DataFrame) -> None:
    host = socket.gethostname()
    for key, what in leaks(frame.attrs, host, "attrs"):
        raise StoreError(f"not exported: {key} holds {what}; leave it out")
    for name in _FREE_TEXTS:
        for workload, value in zip(frame["workload"], frame[name], strict=True):
            for key, what in leaks(value, host, name):
                raise StoreError(
                    f"not exported: {key} of workload {workload} holds {what}; "
                    "leave such rows out, or measure them again without it"
                )
