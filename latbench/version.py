"""The version of latbench, which pyproject.toml holds."""

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LINE = re.compile(r'^version = "(.+)"$', re.MULTILINE)


@cache
def current_version() -> str:
    """Return the installed version, or in a bare checkout the one that pyproject.toml names.

    A copy of the package alone, as a cluster ships it to its workers, has neither: ``unknown``.
    """
    try:
        return version("latbench")
    except PackageNotFoundError:
        # Read by hand, because Python 3.10 has no TOML reader.
        pyproject = Path(__file__).parents[1] / "pyproject.toml"
        found = _LINE.search(pyproject.read_text(encoding="utf-8")) if pyproject.is_file() else None
        return found[1] if found else "unknown"
