"""Plug-ins by name: a table of what is bundled, and entry points for everybody else's.

The table makes a bare checkout work; a third party's plug-in is loaded by the same call.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from latbench.errors import PluginError

RUNTIMES = "latbench.runtimes"
SPACES = "latbench.spaces"
PREDICTORS = "latbench.predictors"
SEARCHERS = "latbench.searchers"
DEVICES = "latbench.devices"
GROUPS = (RUNTIMES, SPACES, PREDICTORS, SEARCHERS, DEVICES)

_BUILTIN: dict[str, dict[str, str]] = {
    RUNTIMES: {
        "onnxruntime": "latbench.runtimes.onnxruntime:OnnxRuntime",
        "onnxruntime-cuda": "latbench.runtimes.onnxruntime_gpu:OnnxRuntimeCuda",
        "onnxruntime-tensorrt": "latbench.runtimes.onnxruntime_gpu:OnnxRuntimeTensorRt",
        "openvino": "latbench.runtimes.openvino:OpenVino",
        "tensorrt": "latbench.runtimes.tensorrt:TensorRt",
        "torch": "latbench.runtimes.torch:TorchRuntime",
        "torch-compile": "latbench.runtimes.torch_compile:TorchCompile",
    },
    SPACES: {
        "mobilenet": "latbench.spaces.mobilenet:MobileNetSpace",
        "digits-mobilenet": "latbench.spaces.mobilenet:DigitsMobileNetSpace",
        "fbnet": "latbench.spaces.fbnet:FBNetSpace",
        "fbnet-lecture": "latbench.spaces.fbnet:FBNetLectureSpace",
        "nasbench201": "latbench.spaces.nasbench201:NASBench201Space",
        "darts": "latbench.spaces.darts:DartsSpace",
        "table": "latbench.spaces.table:TableSpace",
    },
    PREDICTORS: {
        "lut": "latbench_predictors.lut:LUT",
        "ridge": "latbench_predictors.ridge:Ridge",
        "mlp": "latbench_predictors.mlp:MLP",
        "gbdt": "latbench_predictors.gbdt:GBDT",
        "flops": "latbench_predictors.flops:Flops",
        "params": "latbench_predictors.params:Params",
        "transfer": "latbench_predictors.transfer:Transfer",
    },
    SEARCHERS: {
        "darts": "latbench_search.darts:DARTS",
        "evolution": "latbench_search.evolution:Evolution",
        "fbnet": "latbench_search.fbnet:FBNet",
        "proxylessnas": "latbench_search.proxylessnas:ProxylessNAS",
        "random": "latbench_search.random_search:RandomSearch",
        "reinforce": "latbench_search.reinforce:Reinforce",
        "snas": "latbench_search.snas:SNAS",
        "unas": "latbench_search.unas:UNAS",
    },
    DEVICES: {},
}


@dataclass(frozen=True)
class PluginRow:
    """One registered plug-in: ``error`` says why it does not load, if it does not."""

    group: str
    name: str
    value: str
    distribution: str
    error: str | None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name closest to ``name``, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name: what is known, and the nearest."""
    listed = sorted(known)
    return f"no {what} {name!r}; known: {', '.join(listed)}{nearest(name, listed)}"


def names(group: str) -> list[str]:
    """Return the names registered in ``group``, bundled and installed, sorted."""
    return sorted({*_BUILTIN[group], *entry_points(group=group).names})


def load(group: str, name: str) -> Any:
    """Return what is registered as ``name`` in ``group``; a bundled name wins.

    Raises:
        PluginError: the name is unknown or ambiguous, or its module cannot be imported.
    """
    value = _BUILTIN[group].get(name)
    entry = _entry_point(group, name) if value is None else EntryPoint(name, value, group)
    return _load(entry)


def listing() -> list[PluginRow]:
    """Return every registered plug-in; those that fail to load carry the reason."""
    return [
        PluginRow(group, entry.name, entry.value, distribution, _failure(entry))
        for group in GROUPS
        for distribution, entry in _registered(group)
    ]


def _registered(group: str) -> list[tuple[str, EntryPoint]]:
    bundled = [
        ("latbench", EntryPoint(name, value, group))
        for name, value in sorted(_BUILTIN[group].items())
    ]
    others = [
        (entry.dist.name if entry.dist is not None else "unknown", entry)
        for entry in entry_points(group=group)
    ]
    return bundled + others


def _failure(entry: EntryPoint) -> str | None:
    try:
        _load(entry)
    except PluginError as failure:
        return str(failure)
    return None


def _entry_point(group: str, name: str) -> EntryPoint:
    matches = [entry for entry in entry_points(group=group) if entry.name == name]
    if len(matches) > 1:
        values = sorted(entry.value for entry in matches)
        raise PluginError(
            f"{len(matches)} distributions register {name!r} in {group}: {', '.join(values)}; "
            "uninstall all but one"
        )
    if not matches:
        what = group.removeprefix("latbench.").removesuffix("s")
        raise PluginError(
            unknown(what, name, names(group)) + " (or install the distribution that provides it)"
        )
    return matches[0]


def _load(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    # A module can fail in any way; the user needs to know whose it is.
    except Exception as failure:
        raise PluginError(
            f"the plug-in {entry.name!r} ({entry.value}) does not load: "
            f"{type(failure).__name__}: {failure}; mend or uninstall it"
        ) from failure
