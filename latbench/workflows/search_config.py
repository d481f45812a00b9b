"""The settings of a search as a YAML file, which is both written and read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from latbench.errors import UsageError
from latbench.registry import unknown
from latbench.training.config import TrainConfig
from latbench.units import parse_ms
from latbench.workflows.search_settings import SearchSettings

_KEYS = (
    "latency_target",
    "algorithm",
    "params",
    "data",
    "data_size",
    "train",
    "evaluations",
    "confidence",
    "seed",
)


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings in ``path`` by the names of :class:`SearchSettings`.

    Raises:
        UsageError: no such file, no YAML mapping, an unknown key or a value of another type.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as failure:
        raise UsageError(f"{path} cannot be read: {failure.strerror}") from failure
    except (yaml.YAMLError, UnicodeDecodeError) as failure:
        reason = " ".join(str(failure).split())
        raise UsageError(f"{path} is no YAML that latbench reads: {reason}") from failure
    if not isinstance(data, Mapping):
        raise UsageError(f"{path} holds no settings; write lines such as latency_target: 5ms")
    for key in data:
        if key not in _KEYS:
            raise UsageError(f"{path}: {unknown('setting', str(key), _KEYS)}")
    settings: dict[str, Any] = {}
    for key, value in data.items():
        settings.update(_setting(path, key, value))
    return settings


def _setting(path: Path, key: str, value: object) -> dict[str, Any]:
    if key == "latency_target":
        return {"target_ms": parse_ms(str(value))}
    if key == "train":
        return {"train": _train(path, value)}
    wanted: dict[str, tuple[type, ...]] = {
        "algorithm": (str,),
        "params": (dict,),
        "data": (str,),
        "data_size": (int,),
        "evaluations": (int,),
        "confidence": (float, type(None)),
        "seed": (int,),
    }
    if not isinstance(value, wanted[key]) or isinstance(value, bool):
        names = " or ".join(kind.__name__ for kind in wanted[key])
        raise UsageError(f"{path}: {key} is {value!r}; it must be of type {names}")
    return {key: value}


def _train(path: Path, value: object) -> TrainConfig:
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    if not isinstance(value, dict):
        raise UsageError(f"{path}: train is {value!r}; it must hold settings such as epochs: 30")
    for key in value:
        if key not in known:
            raise UsageError(f"{path}: {unknown('setting of train', str(key), known)}")
    try:
        return TrainConfig(**value)
    except TypeError as failure:
        raise UsageError(f"{path}: a setting of train has another type: {failure}") from failure


def write_config(path: Path, settings: SearchSettings) -> None:
    """Write ``settings`` into ``path`` as :func:`read_config` reads them.

    Raises:
        OSError: the file cannot be written.
    """
    train = settings.train or TrainConfig(seed=settings.seed)
    data = {
        "latency_target": f"{settings.target_ms!r}ms",
        "algorithm": settings.algorithm,
        "params": dict(settings.params),
        "data": settings.data,
        "data_size": settings.data_size,
        "train": train.to_dict(),
        "evaluations": settings.evaluations,
        "confidence": settings.confidence,
        "seed": settings.seed,
    }
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
