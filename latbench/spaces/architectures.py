"""Architectures of a space: what may be chosen, and how a choice of all is written."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.registry import nearest
from latbench.spaces.graph import IntArray

FloatArray = npt.NDArray[np.float64]
_T = TypeVar("_T")

FORMAT = "latbench-architecture"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Choice:
    """One decision: its name, its options in order, and the option of another that activates it.

    ``active`` is ``(choice, options)``: this choice matters only where that earlier choice takes
    one of those options. An inactive entry is set to 0, its first option. ``values`` are the
    options as numbers, ascending, where they are quantities; else None.
    """

    name: str
    options: tuple[str, ...]
    active: tuple[str, tuple[str, ...]] | None = None
    values: tuple[float, ...] | None = None


class Architectures(ABC):
    """The architectures that some choices allow, as arrays, text and JSON documents.

    An architecture is a row of whole numbers, one a choice: the place of the chosen option.

    Attributes:
        name: registered name of the space.
        options: every option of the space by name, as plain JSON values.
        choices: the decisions, one column of an architecture each.
    """

    name: ClassVar[str]

    def __init__(self, options: Mapping[str, Any], choices: Sequence[Choice]) -> None:
        """Keep the parts; see the class."""
        self.options = dict(options)
        self.choices = tuple(choices)

    @property
    def spec(self) -> dict[str, Any]:
        """What rebuilds this space: ``latbench.space(spec["name"], **spec["options"])``."""
        return {"name": self.name, "options": dict(self.options)}

    @property
    def id(self) -> str:
        """The spec as canonical JSON text, by which stores and predictors know the space."""
        return _canonical(self.spec)

    def __repr__(self) -> str:
        """Return the call that builds this space."""
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"latbench.space({self.name!r}, {options})"

    @property
    def size(self) -> int:
        """The number of architectures, inactive entries counted."""
        return math.prod(self.sizes)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The number of options of each choice."""
        return tuple(len(choice.options) for choice in self.choices)

    def by_choice(self, values: Iterable[_T]) -> dict[str, _T]:
        """Return ``values``, one a choice in their order, by the names of the choices."""
        return dict(zip((choice.name for choice in self.choices), values, strict=True))

    def sample(self, rng: np.random.Generator, n: int) -> IntArray:
        """Return ``n`` architectures (n, choices), every option equally likely; may repeat."""
        drawn = rng.integers(0, np.array(self.sizes), size=(n, len(self.sizes)))
        return self._canonicalised(drawn)

    def check(self, X: npt.ArrayLike) -> IntArray:
        """Return ``X`` as canonical architectures (n, choices); one vector becomes one row.

        Raises:
            UsageError: another shape, no whole numbers, or a number that is no option.
        """
        try:
            array = np.asarray(X)
        except ValueError as failure:  # numpy has no array for rows of unequal length
            raise UsageError(
                f"architectures of {self.name} are rows of {len(self.choices)} whole numbers each; "
                f"these rows differ in length or depth"
            ) from failure
        if array.ndim == 1 and array.size:
            array = array[np.newaxis]
        if array.ndim != 2 or array.shape[1] != len(self.choices):
            raise UsageError(
                f"architectures of {self.name} are rows of {len(self.choices)} whole numbers, "
                f"one a choice; got an array of shape {array.shape}: was it made by another space?"
            )
        if not np.issubdtype(array.dtype, np.integer):
            raise UsageError(
                f"architectures of {self.name} are whole numbers; got an array of {array.dtype}"
            )
        wrong = (array < 0) | (array >= np.array(self.sizes))
        if wrong.any():
            row, column = map(int, np.argwhere(wrong)[0])
            choice = self.choices[column]
            raise UsageError(
                f"row {row} of the architectures has {array[row, column]} for {choice.name} of "
                f"{self.name}, which has the options 0 to {len(choice.options) - 1}"
            )
        return self._canonicalised(array.astype(np.int64, copy=False))

    def active(self, X: IntArray) -> npt.NDArray[np.bool_]:
        """Return which choices matter in each canonical architecture of ``X``, (n, choices)."""
        return self._canonical_and_active(X)[1]

    def _canonicalised(self, X: IntArray) -> IntArray:
        return self._canonical_and_active(X)[0]

    def _canonical_and_active(self, X: IntArray) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        active = np.ones(X.shape, dtype=np.bool_)
        conditions = [
            (column, choice.active)
            for column, choice in enumerate(self.choices)
            if choice.active is not None
        ]
        if not conditions:
            return X, active
        result = X.copy()
        columns = {choice.name: column for column, choice in enumerate(self.choices)}
        for column, (name, options) in conditions:
            parent = columns[name]
            allowed = [self.choices[parent].options.index(option) for option in options]
            active[:, column] = active[:, parent] & np.isin(result[:, parent], allowed)
            result[~active[:, column], column] = 0
        return result, active

    def one(self, x: npt.ArrayLike) -> IntArray:
        """Return a single architecture (choices,), validated and canonical.

        Raises:
            UsageError: as :meth:`check`, or none or several architectures.
        """
        rows = self.check(x)
        if len(rows) != 1:
            raise UsageError(f"one architecture of {self.name} is wanted here, got {len(rows)}")
        row: IntArray = rows[0]
        return row

    def decode(self, x: npt.ArrayLike) -> str:
        """Return the short text of one architecture: its options joined by commas."""
        row = self.one(x)
        return ",".join(
            choice.options[value] for choice, value in zip(self.choices, row, strict=True)
        )

    def encode(self, text: str) -> IntArray:
        """Return the architecture (choices,) that :meth:`decode` wrote as ``text``.

        Options may also be separated by bars, as public tables have them.

        Raises:
            UsageError: another number of options, or an unknown one.
        """
        parts = [part.strip() for part in text.replace("|", ",").split(",")]
        if len(parts) != len(self.choices):
            raise UsageError(
                f"{text!r} names {len(parts)} options; an architecture of {self.name} has "
                f"{len(self.choices)}, separated by commas"
            )
        return self._from_options(
            {choice.name: part for choice, part in zip(self.choices, parts, strict=True)}
        )

    def to_json(self, x: npt.ArrayLike) -> dict[str, Any]:
        """Return the canonical JSON document of one architecture."""
        row = self.one(x)
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "space": self.spec,
            "choices": {
                choice.name: choice.options[value]
                for choice, value in zip(self.choices, row, strict=True)
            },
        }

    def from_json(self, data: object) -> IntArray:
        """Return the architecture (choices,) of a document that :meth:`to_json` made.

        Raises:
            UsageError: not such a document, or one of another space.
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise UsageError(
                f'an architecture is a JSON object with "format": "{FORMAT}"; this is another file'
            )
        if data.get("version") != FORMAT_VERSION:
            raise UsageError(
                f"the architecture has version {data.get('version')!r}; this latbench reads "
                f"version {FORMAT_VERSION}"
            )
        if data.get("space") != json.loads(self.id):
            raise UsageError(
                f"the architecture is one of {_canonical(data.get('space'))}, not of {self.id}"
            )
        choices = data.get("choices")
        if not isinstance(choices, dict):
            raise UsageError('the architecture has no object "choices"')
        return self._from_options(choices)

    def _from_options(self, options: Mapping[str, Any]) -> IntArray:
        known = {choice.name for choice in self.choices}
        if set(options) != known:
            odd = sorted(map(str, set(options) ^ known))[0]
            raise UsageError(
                f"the choices of {self.name} and those given differ, first at {odd!r}"
                f"{nearest(odd, known)}"
            )
        row = []
        for choice in self.choices:
            option = options[choice.name]
            if option not in choice.options:
                raise UsageError(
                    f"{choice.name} has no option {option!r}; known: {', '.join(choice.options)}"
                    f"{nearest(str(option), choice.options)}"
                )
            row.append(choice.options.index(option))
        return self.one(np.array(row, dtype=np.int64))

    def hash(self, x: npt.ArrayLike) -> str:
        """Return the identity of one architecture: equal for equal canonical documents."""
        return "a1:" + hashlib.sha256(_canonical(self.to_json(x)).encode()).hexdigest()

    def one_hot(self, X: npt.ArrayLike) -> FloatArray:
        """Return the architectures one-hot, (n, sum of options)."""
        checked = self.check(X)
        starts = np.concatenate([[0], np.cumsum(self.sizes)])
        encoded = np.zeros((len(checked), int(starts[-1])))
        np.put_along_axis(encoded, checked + starts[:-1], 1.0, axis=1)
        return encoded


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
