"""From the name of an algorithm and what is asked of it to the searcher."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from latbench import registry
from latbench.errors import UsageError
from latbench.hooks import PENALTIES
from latbench.workflows.search_settings import DEFAULT_PENALTY, SearchSettings

if TYPE_CHECKING:
    from latbench.searcher import Searcher

_KINDS: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "text"),
}


def build(algorithm: str, params: Mapping[str, Any]) -> Searcher:
    """Return the searcher with these hyperparameters beside its defaults.

    Raises:
        PluginError: no searcher has that name.
        UsageError: it has no such hyperparameter, or its value is of another kind.
    """
    searcher: Searcher = registry.load(registry.SEARCHERS, algorithm)()
    defaults = searcher.get_params()
    searcher.set_params(**params)
    for name, value in params.items():
        kinds, words = _KINDS.get(type(defaults[name]), ((object,), "anything"))
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise UsageError(
                f"{name} of {algorithm} is {value!r}; it must be {words}, such as {defaults[name]}"
            )
    return searcher


def settled(settings: SearchSettings) -> SearchSettings:
    """Return ``settings`` with every default that the algorithm and its penalty have.

    A reference or a unit of the penalty that was not asked for stays out: they follow from the
    target and the space, and may be others where the settings are used again.

    Raises:
        PluginError, UsageError: as :func:`build`.
    """
    from latbench.one_shot_searcher import OneShotSearcher

    searcher = build(settings.algorithm, settings.params)
    penalty = settings.penalty
    if isinstance(searcher, OneShotSearcher) and searcher.follows_penalty:
        penalty = _with_defaults(DEFAULT_PENALTY if penalty is None else penalty)
    return dataclasses.replace(settings, params=searcher.get_params(), penalty=penalty)


def _with_defaults(penalty: Mapping[str, Any]) -> dict[str, Any]:
    if penalty["name"] not in PENALTIES:
        return dict(penalty)  # refused where it is built, with the nearest name
    takes = inspect.signature(PENALTIES[penalty["name"]]).parameters
    defaults = {key: one.default for key, one in takes.items() if one.default is not one.empty}
    return {"name": penalty["name"], **defaults, **penalty}
