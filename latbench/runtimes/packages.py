"""Packages that runtimes need: whether one is here, whole, and new enough."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from latbench.runtimes.runtime import reason_of

OLDEST = {"onnxruntime": "1.18", "openvino": "2024.4", "torch": "2.4"}
"""The oldest version of each that latbench runs with, as in ``pyproject.toml``."""


def obstacle(
    package: str, load: Callable[[], object], distribution: str | None = None
) -> str | None:
    """Return why ``package`` cannot be used and what to do about it, or None.

    Args:
        package: a top-level package of :data:`OLDEST`.
        load: loads it, or as much of it as is worth the time, and raises where it is not whole.
        distribution: what pip calls it, if not the same.
    """
    distribution = distribution or package
    if find_spec(package) is None:
        return f"the package {package} is not installed; run: pip install {distribution}"
    try:
        load()
        found = version_of(package)
        too_old = _numbers(found) < _numbers(OLDEST[package])
    # A package that is there in part fails in any way; all of them are mended alike.
    except Exception as failure:  # noqa: BLE001
        return (
            f"the package {package} does not load ({type(failure).__name__}: "
            f"{reason_of(failure)}); run: pip install --force-reinstall {distribution}"
        )
    if too_old:
        return (
            f"the package {package} is {found}, and latbench needs {OLDEST[package]} or newer; "
            f"run: pip install --upgrade {distribution}"
        )
    return None


def version_of(package: str) -> str:
    """Return the version of ``package``.

    Raises:
        Exception: it does not load; of a package whose distribution has its name nothing is loaded.
    """
    try:
        return version(package)
    except PackageNotFoundError:  # a build for GPUs may be installed under another name
        return str(import_module(package).__version__)


def require_part(package: str, part: str) -> None:
    """Load ``package`` and look for one of its names.

    Raises:
        Exception: it does not load, or lacks it: of a folder that was left behind when a package
            was removed, Python makes an empty one.
    """
    getattr(import_module(package), part)


def require_library(package: str, library: str) -> None:
    """Look for a compiled module of ``package``, without the time that loading it takes.

    Raises:
        ImportError: it is not there.
    """
    spec = find_spec(package)
    folders = [] if spec is None else spec.submodule_search_locations or []
    if not any(
        (Path(folder) / f"{library}{suffix}").is_file()
        for folder in folders
        for suffix in EXTENSION_SUFFIXES
    ):
        raise ImportError(f"its compiled part {library} is missing")


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: 2.4.1 of 2.4.1rc1+cpu."""
    begins = re.match(r"\d+(\.\d+)*", text)
    return () if begins is None else tuple(map(int, begins[0].split(".")))
