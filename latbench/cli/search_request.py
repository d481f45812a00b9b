"""A search as asked for: what a file says, with the options of the command line in its place."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from latbench.cli.options import SpaceRequest, given_by_user
from latbench.cli.output import note
from latbench.errors import UsageError
from latbench.workflows.setting import Setting

if TYPE_CHECKING:
    from latbench.spaces import SearchSpace
    from latbench.workflows.search_config import SearchConfig
    from latbench.workflows.search_settings import SearchSettings

_TARGET = {
    "device": ("device",),
    "runtime": ("runtime", "precision"),
    "runtime_option": ("runtime_options",),
    "batch": ("batch",),
    "threads": ("threads",),
}
"""The options of a target, and the fields of a setting that each of them gives."""


def merged_space(asked: SpaceRequest, known: SearchConfig) -> SpaceRequest:
    """Return the space: that of the options, else that of the file with options laid over it."""
    if known.space is None or given_by_user("space"):
        return asked
    options = {**known.space["options"], **asked.options}
    return SpaceRequest(known.space["name"], options, given=True)


def merged_setting(asked: Setting, known: SearchConfig) -> Setting:
    """Return the file's target with what was given on the command line in its place."""
    if known.setting is None:
        return asked
    fields = [name for option, names in _TARGET.items() if given_by_user(option) for name in names]
    return dataclasses.replace(known.setting, **{name: getattr(asked, name) for name in fields})


def is_about(known: SearchConfig, space: SearchSpace, setting: Setting) -> bool:
    """Return whether the file's predictor is of ``space`` and ``setting``, as far as it says."""
    if known.setting not in (None, setting):
        return False
    if known.space is None:
        return True
    named = SpaceRequest(known.space["name"], known.space["options"]).build()
    return named.spec == space.spec


def merged_settings(
    known: SearchConfig,
    target_ms: float | None,
    params: tuple[tuple[str, Any], ...],
    epochs: int | None,
    penalty: str | None,
    seed: int,
    given: dict[str, Any],
) -> SearchSettings:
    """Return the file's settings with those of the command line in their place.

    Hyperparameters are replaced one by one. Where another algorithm is asked for, those of the file
    and its penalty are left out.

    Args:
        known: what the file says.
        target_ms: the limit, as are the next as the command line has them, None if not given.
        params: hyperparameters.
        epochs: passes over the training data.
        penalty: written ``NAME:KEY=VALUE,…``.
        seed: of everything random; its default stands for what the file says.
        given: further options by the names of the settings.

    Raises:
        UsageError: neither has a limit, or the penalty is written otherwise.
    """
    from latbench.training.config import TrainConfig
    from latbench.workflows.search_settings import SearchSettings

    values = dict(known.settings)
    algorithm = given["algorithm"]
    if algorithm is not None and algorithm != values.get("algorithm", SearchSettings.algorithm):
        left = [
            name
            for name in ("params", "penalty", "reward")
            if values.pop(name, None) not in (None, {}, SearchSettings.reward)
        ]
        if left:
            note(f"{' and '.join(left)} of the file are left out: they are not for {algorithm}")
    values.update({name: value for name, value in given.items() if value is not None})
    if target_ms is not None:
        values["target_ms"] = target_ms
    if penalty is not None:
        values["penalty"] = _penalty(penalty)
    values["params"] = {**values.get("params", {}), **dict(params)}
    seeded = given_by_user("seed")
    if seeded:
        values["seed"] = seed
    if "target_ms" not in values:
        raise UsageError("no latency target; give --latency-target, such as 5ms")
    train = values.get("train") or TrainConfig(seed=values.get("seed", 0))
    if epochs is not None:
        train = dataclasses.replace(train, epochs=epochs, steps=None)
    if seeded:
        train = dataclasses.replace(train, seed=seed)
    return SearchSettings(**{**values, "train": train})


def _penalty(text: str) -> dict[str, Any]:
    """Return the name and settings that ``P:KEY=VALUE,…`` gives."""
    name, _, rest = text.partition(":")
    found: dict[str, Any] = {"name": name}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        try:
            found[key.strip()] = float(value)
        except ValueError as failure:
            raise UsageError(
                f"{part!r} is no setting of a penalty; write it as {name}:weight=0.2"
            ) from failure
    return found
