"""The only place that knows where the data folders lie, installed or in a checkout."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a runtime import would need Python 3.11
    from importlib.resources.abc import Traversable


def _folder(kind: str) -> Traversable:
    installed = files("latbench") / kind
    return installed if installed.is_dir() else Path(__file__).parents[1] / kind


def device_profiles() -> dict[str, str]:
    """Return the text of every bundled device profile by its name."""
    return {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in _folder("device_profiles").iterdir()
        if entry.name.endswith(".yaml")
    }


def datasets() -> list[str]:
    """Return the names of the bundled data sets, sorted."""
    return sorted(
        entry.name for entry in _folder("datasets").iterdir() if (entry / "data.parquet").is_file()
    )


def dataset(name: str) -> bytes:
    """Return the Parquet bytes of the data set ``name``."""
    return (_folder("datasets") / name / "data.parquet").read_bytes()
