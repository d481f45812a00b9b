"""What a predictor is given: a space that it may ask, and latencies that it must check."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class NamedChoice(Protocol):
    """One decision of a space, as far as a predictor looks at it."""

    @property
    def name(self) -> str:
        """Its name, a key of the probabilities."""

    @property
    def options(self) -> Sequence[str]:
        """Its options, in the order of the numbers in an architecture."""

    @property
    def active(self) -> object | None:
        """The condition under which it matters, or None: always."""

    @property
    def values(self) -> Sequence[float] | None:
        """The options as numbers, ascending, where they are quantities; else None."""


class NamedBlock(Protocol):
    """One block of a space, as far as a predictor looks at it."""

    @property
    def key(self) -> str:
        """Its name, a key of the table of block latencies."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""

    @property
    def params(self) -> int:
        """Trainable parameters."""

    @property
    def moved(self) -> int:
        """Values read and written for one image."""


class Space(Protocol):
    """What a predictor may ask of a search space; every :class:`SearchSpace` answers."""

    @property
    def spec(self) -> dict[str, Any]:
        """``{"name": ..., "options": {...}}``, which rebuilds the space."""

    @property
    def choices(self) -> Sequence[NamedChoice]:
        """The decisions, one column of an architecture each."""

    @property
    def has_networks(self) -> bool:
        """Whether blocks, paths and MACs can be asked for; the space of a table has none."""

    @property
    def blocks(self) -> Sequence[NamedBlock]:
        """Every distinct block."""

    @property
    def additive(self) -> bool:
        """Whether blocks are a sum over choices."""

    def check(self, X: npt.ArrayLike, /) -> IntArray:
        """Return valid, canonical architectures (n, choices), or raise UsageError."""

    def decode(self, x: npt.ArrayLike, /) -> str:
        """Return the short text of one architecture."""

    def one_hot(self, X: npt.ArrayLike, /) -> FloatArray:
        """Return (n, sum of options)."""

    def path(self, X: npt.ArrayLike, /) -> Any:
        """Return how often each block runs, CSR (n, blocks)."""

    def option_counts(self) -> tuple[FloatArray, Sequence[Any]]:
        """Return the fixed counts, and those of each option of each choice, if additive."""

    def macs(self, X: npt.ArrayLike, /) -> FloatArray:
        """Return multiply-accumulates (n,)."""

    def params(self, X: npt.ArrayLike, /) -> FloatArray:
        """Return trainable parameters (n,)."""


def check_latencies(y: npt.ArrayLike, n: int) -> FloatArray:
    """Return the latencies (n,) of ``n`` architectures in ms.

    Raises:
        UsageError: another number of them, or one that is not a finite number above zero; the text
            names its row and value.
    """
    # As objects: an array of a mixed list would turn the numbers beside a text into texts.
    values = np.asarray(y, dtype=object)
    if values.shape != (n,):
        raise UsageError(
            f"{n} architectures need {n} latencies in a flat row; got an array of shape "
            f"{values.shape}"
        )
    for row, value in enumerate(values):
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and value > 0):
            raise UsageError(
                f"row {row} of the latencies is {value!r}; each must be a finite number of ms "
                "above zero: leave the row out, or measure it again"
            )
    return values.astype(np.float64)
