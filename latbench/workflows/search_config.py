"""A search as a YAML file, which is both written and read: the same file, the same search."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from latbench.errors import UsageError
from latbench.registry import unknown
from latbench.training.config import TrainConfig, WarmupConfig
from latbench.units import parse_ms
from latbench.workflows.search_settings import REWARDS, SearchSettings
from latbench.workflows.setting import Setting

_HEAD = "# What `latbench search --config` reads; options on the command line win.\n"


class _Loader(yaml.SafeLoader):
    """Takes 1e-3 for a number, which YAML 1.1 takes for text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


@dataclass(frozen=True)
class SearchConfig:
    """What a file says of a search; what it leaves out is None, or missing from ``settings``.

    Attributes:
        settings: values by the names of :class:`SearchSettings`.
        space: name and options of the space, as ``SearchSpace.spec`` has them.
        setting: what latencies belong to.
        predictor: folder of the latency predictor.
        surrogate: folder of the predictor of what is maximised.
        control: folder of the differentiable predictor of latencies, a control variate.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Any] | None = None
    setting: Setting | None = None
    predictor: Path | None = None
    surrogate: Path | None = None
    control: Path | None = None


def read_config(path: Path) -> SearchConfig:
    """Return what the file says.

    Raises:
        UsageError: no such file, no YAML mapping, an unknown key or a value that cannot be.
    """
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as failure:
        raise UsageError(f"{path} cannot be read: {failure.strerror}") from failure
    except (yaml.YAMLError, UnicodeDecodeError) as failure:
        reason = " ".join(str(failure).split())
        raise UsageError(f"{path} is no YAML that latbench reads: {reason}") from failure
    if not isinstance(data, Mapping):
        raise UsageError(f"{path} holds no settings; write lines such as latency_target: 5ms")
    try:
        return _read(data)
    except UsageError as failure:
        raise UsageError(f"{path}: {failure}") from failure


def write_config(
    path: Path,
    settings: SearchSettings,
    space: Mapping[str, Any],
    setting: Setting,
    predictor: Path,
    surrogate: Path | None = None,
    control: Path | None = None,
) -> None:
    """Write a search into ``path`` as :func:`read_config` reads it.

    Args:
        path: the file.
        settings: how to search.
        space, setting, predictor, surrogate, control: as in :class:`SearchConfig`.

    Raises:
        UsageError: the file cannot be written.
    """
    train = settings.train or TrainConfig(seed=settings.seed)
    options = {"runtime_options": dict(setting.runtime_options)}
    data = {
        "latency_target": f"{settings.target_ms!r}ms",
        "space": {"name": space["name"], "options": space["options"]},
        "target": {name: getattr(setting, name) for name in _TARGET} | options,
        "predictor": str(predictor),
        "surrogate": None if surrogate is None else str(surrogate),
        "control": None if control is None else str(control),
        "algorithm": settings.algorithm,
        "params": dict(settings.params),
        "penalty": None if settings.penalty is None else dict(settings.penalty),
        "reward": settings.reward,
        "data": settings.data,
        "data_size": settings.data_size,
        "train": train.to_dict(),
        "train_on": settings.train_on,
        "evaluations": settings.evaluations,
        "confidence": settings.confidence,
        "seed": settings.seed,
    }
    known = {key: value for key, value in data.items() if value is not None}
    text = _HEAD + yaml.safe_dump(known, sort_keys=False, allow_unicode=True)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as failure:
        raise UsageError(f"{path} cannot be written: {failure.strerror}") from failure


def _read(data: Mapping[Any, Any]) -> SearchConfig:
    _check_keys("setting", data, _READERS)
    values: dict[str, Any] = {}
    for key, value in data.items():
        values[key] = _READERS[key](key, value)
    if "train" in values and "seed" not in data["train"]:
        values["train"] = dataclasses.replace(values["train"], seed=values.get("seed", 0))
    places = {
        "space": values.pop("space", None),
        "setting": values.pop("target", None),
        "predictor": values.pop("predictor", None),
        "surrogate": values.pop("surrogate", None),
        "control": values.pop("control", None),
    }
    if "latency_target" in values:
        values["target_ms"] = values.pop("latency_target")
    return SearchConfig(settings=values, **places)


def _check_keys(what: str, given: Mapping[Any, Any], known: Collection[str]) -> None:
    for key in given:
        if key not in known:
            raise UsageError(unknown(what, str(key), known))


def _of(*kinds: type) -> Callable[[str, object], Any]:
    """Return a reader of a value of one of ``kinds``."""

    def read(key: str, value: object) -> Any:
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            names = " or ".join(_KINDS[kind] for kind in kinds)
            raise UsageError(f"{key} is {value!r}; it must be {names}")
        return value

    return read


_KINDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    dict: "a mapping of names to values",
    type(None): "null",
}


def _mapping(what: str, value: object, known: Collection[str]) -> dict[str, Any]:
    found: dict[str, Any] = _of(dict)(what, value)
    _check_keys(f"setting of {what}", found, known)
    return found


def _latency(key: str, value: object) -> float:
    return parse_ms(str(value))


def _folder(key: str, value: object) -> Path | None:
    text = _of(str, type(None))(key, value)
    return None if text is None else Path(text)


def _space(key: str, value: object) -> dict[str, Any]:
    found = _mapping(key, value, ("name", "options"))
    if "name" not in found:
        raise UsageError(f"{key} has no name; write one, such as name: mobilenet")
    return {
        "name": _of(str)("name of space", found["name"]),
        "options": _of(dict)("options of space", found.get("options", {})),
    }


_TARGET: dict[str, Callable[[str, object], Any]] = {
    "device": _of(str),
    "runtime": _of(str, type(None)),
    "precision": _of(str),
    "batch": _of(int),
    "threads": _of(int),
}


def _target(key: str, value: object) -> Setting:
    found = _mapping(key, value, (*_TARGET, "runtime_options"))
    options = _of(dict)("runtime_options of target", found.pop("runtime_options", {}))
    given = {name: _TARGET[name](f"{name} of target", one) for name, one in found.items()}
    for name in ("batch", "threads"):
        if given.get(name, 1) < 1:
            raise UsageError(f"{name} of target is {given[name]}; it must be at least 1")
    default = Setting()
    Setting.parse(f"{given.get('runtime') or 'any'}:{given.get('precision', default.precision)}")
    texts = sorted((str(name), str(one)) for name, one in options.items())
    return dataclasses.replace(default, **given, runtime_options=tuple(texts))


def _train(key: str, value: object) -> TrainConfig:
    found = _mapping(key, value, [one.name for one in dataclasses.fields(TrainConfig)])
    if found.get("warmup") is not None:
        known = [one.name for one in dataclasses.fields(WarmupConfig)]
        found["warmup"] = WarmupConfig(**_mapping(f"warmup of {key}", found["warmup"], known))
    return TrainConfig(**found)


def _penalty(key: str, value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    found: dict[str, Any] = _of(dict)(key, value)
    if "name" not in found:
        raise UsageError(f"{key} has no name; write one, such as name: hinge")
    return {
        name: one if name == "name" else _of(int, float)(f"{name} of penalty", one)
        for name, one in found.items()
    }


def _reward(key: str, value: object) -> str:
    text: str = _of(str)(key, value)
    if text not in REWARDS:
        raise UsageError(unknown(key, text, REWARDS))
    return text


_READERS: dict[str, Callable[[str, object], Any]] = {
    "latency_target": _latency,
    "space": _space,
    "target": _target,
    "predictor": _folder,
    "surrogate": _folder,
    "control": _folder,
    "algorithm": _of(str),
    "params": _of(dict),
    "penalty": _penalty,
    "reward": _reward,
    "data": _of(str),
    "data_size": _of(int),
    "train": _train,
    "train_on": _of(str),
    "evaluations": _of(int),
    "confidence": _of(float, type(None)),
    "seed": _of(int),
}

KEYS = tuple(_READERS)
"""What a file may say."""
