"""Whether a table from a file is one that was exported: every value could have been measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import Double, Integer

from latbench.errors import ArtefactError
from latbench.store.rows import STATUSES
from latbench.store.selection import COLUMNS, ORIGIN
from latbench.target import Target

if TYPE_CHECKING:
    import pandas as pd

_TEXTS = [
    name
    for name, column in {**COLUMNS, **ORIGIN}.items()
    if not isinstance(column.type, Integer | Double)
]
_MAY_BE_EMPTY = ("space", "kind", "key", "arch_hash", "precision_run", "reason")
_OF_THE_TARGET = ("device", "runtime", "runtime_version", "precision", "batch", "threads")
_KINDS = ("network", "block")


class Refused(Exception):
    """What is wrong with a file, to follow its name in a sentence."""


def checked(frame: pd.DataFrame) -> dict[str, Target]:
    """Return the targets by key, after a look at every value that others rely on.

    Raises:
        Refused: a value that no measurement could have, or a row that contradicts its target.
    """
    for name in _TEXTS:
        texts = frame[name].map(lambda value: value is None or isinstance(value, str))
        _all(frame, texts, name, "is no text")
        if name not in _MAY_BE_EMPTY:
            _all(frame, frame[name].notna(), name, "is empty")
    _all(frame, frame["created"].notna(), "created", "is empty")
    _all(frame, frame["status"].isin(STATUSES), "status", f"is none of {', '.join(STATUSES)}")
    kinds = frame["kind"].isna() | frame["kind"].isin(_KINDS)
    _all(frame, kinds, "kind", f"is none of {', '.join(_KINDS)}")
    _check_latencies(frame)
    for name in ("provenance", "target"):
        for text in frame[name].unique():
            _json(text, name)
    return _targets(frame)


def _check_latencies(frame: pd.DataFrame) -> None:
    import numpy as np

    latency, low, high = frame["latency_ms"], frame["low_ms"], frame["high_ms"]
    known = latency.notna()
    positive = np.isfinite(latency) & (latency > 0)
    _all(frame, ~known | positive, "latency_ms", "is not finite and above zero")
    _all(
        frame,
        ~known | ((low <= latency) & (latency <= high)),
        "latency_ms",
        "is not in its interval",
    )
    failed = frame["status"] == "failed"
    _all(frame, ~failed | ~known, "latency_ms", "stands beside the status failed")
    _all(frame, ~failed | frame["reason"].notna(), "reason", "is empty where the status is failed")
    needed = frame["status"].isin(["ok", "unconverged"])
    _all(frame, ~needed | known, "latency_ms", "is empty where the status promises one")


def _targets(frame: pd.DataFrame) -> dict[str, Target]:
    """Return the targets by key; each row's other columns must say the same."""
    found = {}
    for text, rows in frame.groupby("target", sort=False):
        try:
            target = Target.from_dict(_json(str(text), "target"))
        except (ArtefactError, AttributeError, TypeError, ValueError) as failure:
            raise Refused(f"holds a target that cannot be read: {failure}") from failure
        said = {name: getattr(target, name) for name in _OF_THE_TARGET}
        for name, value in {**said, "target_key": target.key}.items():
            _all(rows, rows[name] == value, name, f"is not that of the row's target, {value!r}")
        found[target.key] = target
    return found


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as failure:
        raise Refused(f"holds in {name} what is no JSON: {failure}") from failure


def _all(frame: pd.DataFrame, good: pd.Series[bool], name: str, wrong: str) -> None:
    """Refuse the file if ``name`` is ``wrong`` in a row that is not ``good``."""
    wrong_ones = frame[name][~good.astype(bool)]
    if len(wrong_ones):
        row, value = wrong_ones.index[0], wrong_ones.tolist()[0]
        raise Refused(f"is damaged: {name} in row {int(row) + 1} {wrong}; it is {value!r}")
