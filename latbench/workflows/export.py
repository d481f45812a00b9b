"""A table of measurements as a file, or an error where there is nothing to write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from latbench.errors import MissingMeasurementsError
from latbench.store import ReadableStore


def export(
    store: ReadableStore,
    path: Path,
    kind: Literal["network", "block"] | None = None,
    space: Mapping[str, Any] | None = None,
    campaign: str | None = "main",
) -> int:
    """Write what is selected to ``path`` and return the number of measurements.

    Raises:
        UsageError: the suffix is neither ``.parquet`` nor ``.csv``.
        MissingMeasurementsError: nothing is selected; no file is written.
        StoreError: the store cannot be read or the file cannot be written.
    """
    if store.table(kind=kind, space=space, campaign=campaign).empty:
        what = f"{kind}s" if kind else "measurements"
        of = "" if space is None else f" of {space['name']}"
        where = "" if campaign is None else f" in the campaign {campaign!r}"
        raise MissingMeasurementsError(
            f"nothing to export: the store holds no {what}{of}{where}; measure with "
            "`latbench profile`, or select less narrowly"
        )
    return store.export(path, kind=kind, space=space, campaign=campaign)
