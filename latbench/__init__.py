"""Latency of neural networks: measured, predicted and searched for.

Plug-ins are asked for by name (:func:`space`, :func:`runtime`, :func:`predictor`,
:func:`searcher`). The classes of ``__all__`` are loaded when first used, so that
``import latbench`` loads no framework and no runtime.
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from latbench import registry
from latbench.errors import UsageError
from latbench.version import current_version

if TYPE_CHECKING:
    from latbench.hooks import ExpectedLatency, LatencyFilter
    from latbench.predictor import Predictor
    from latbench.runtimes.runtime import Runtime
    from latbench.searcher import Searcher
    from latbench.spaces.space import SearchSpace
    from latbench.store import ExportedTable, Store
    from latbench.target import Target
    from latbench.training.task import SearchTask

__all__ = [
    "ExpectedLatency",
    "LatencyFilter",
    "SearchTask",
    "Store",
    "Target",
    "__version__",
    "dataset",
    "predictor",
    "runtime",
    "searcher",
    "space",
]
__version__ = current_version()

_HOMES = {
    "ExpectedLatency": "latbench.hooks",
    "LatencyFilter": "latbench.hooks",
    "SearchTask": "latbench.training.task",
    "Store": "latbench.store",
    "Target": "latbench.target",
}


def space(name: str, **options: Any) -> SearchSpace:
    """Return the search space ``name`` with ``options``, such as ``image_size=96``.

    Raises:
        PluginError: no space has that name.
        UsageError: the space has no such option, or cannot take that value.
    """
    kind = registry.load(registry.SPACES, name)
    try:
        inspect.signature(kind).bind(**options)
    except TypeError as mismatch:
        raise UsageError(_wrong_options(name, kind, options, str(mismatch))) from mismatch
    built: SearchSpace = kind(**options)
    return built


def runtime(name: str) -> type[Runtime]:
    """Return the class of the runtime ``name``.

    Raises:
        PluginError: no runtime has that name.
    """
    found: type[Runtime] = registry.load(registry.RUNTIMES, name)
    return found


def predictor(name: str) -> type[Predictor]:
    """Return the class of the predictor ``name``.

    Raises:
        PluginError: no predictor has that name.
    """
    found: type[Predictor] = registry.load(registry.PREDICTORS, name)
    return found


def searcher(name: str) -> type[Searcher]:
    """Return the class of the searcher ``name``.

    Raises:
        PluginError: no searcher has that name.
    """
    found: type[Searcher] = registry.load(registry.SEARCHERS, name)
    return found


def dataset(name: str) -> ExportedTable:
    """Return the bundled data set ``name``: measurements to read, ``.table()`` as a DataFrame.

    Raises:
        UsageError: no data set has that name.
    """
    from latbench.store import dataset

    return dataset(name)


def _wrong_options(name: str, kind: Any, options: dict[str, Any], mismatch: str) -> str:
    """Return the message for ``options`` that ``kind`` does not take."""
    known = list(inspect.signature(kind).parameters)
    for option in options:
        if known and option not in known:
            return registry.unknown(f"option of the space {name!r} called", option, known)
    takes = f"it takes {', '.join(sorted(known))}" if known else "it takes no options"
    return f"the space {name!r}: {mismatch}; {takes}"


class _Face(ModuleType):
    """Keeps ``latbench.predictor`` and ``latbench.searcher`` functions.

    The contracts live in sub-modules of these names, and loading a sub-module binds its name in
    the package: without this, asking for a predictor would work until the contract is imported.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in ("predictor", "searcher")):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face

if not TYPE_CHECKING:  # a type checker must still refuse a misspelt name

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)
