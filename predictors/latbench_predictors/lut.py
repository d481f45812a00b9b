"""The lookup table: a network's latency as the sum of its blocks' measured latencies."""

from __future__ import annotations

import inspect
import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from latbench.errors import MissingMeasurementsError, UsageError
from latbench.prediction.expectation import ChoiceSum
from latbench.prediction.inputs import FloatArray, IntArray, Space
from latbench.predictor import Predictor
from latbench.registry import nearest
from latbench_predictors.neighbours import Neighbours
from latbench_predictors.regression import affine

CALIBRATIONS = ("neighbours", "affine", "none")
_NAMED = 3
_ROWS = 4096  # architectures looked up at a time: what fits into a core's cache


class LUT(Predictor):
    """``latency = a + b * accumulated``, where accumulated is the sum over the pruned network.

    The line (robust, on relative errors: :func:`latbench_predictors.regression.affine`) is fitted
    on measured networks and takes up what a sum of blocks timed alone gets wrong on the whole. In a
    chain, ``calibration="neighbours"`` adds what options cost beside their neighbours
    (:mod:`latbench_predictors.neighbours`), where networks left out show that it helps;
    ``"affine"`` stays with the line, and ``"none"`` predicts the plain sum. A block without
    measurement is never counted as zero: an architecture that needs one is refused. ``coverage_of``
    is the share of an architecture's blocks that were measured.
    """

    kind: ClassVar[str] = "lut"

    line_: tuple[float, float]
    neighbours_: Neighbours | None

    def __init__(
        self,
        space: Space,
        blocks: Mapping[str, float],
        calibration: Literal["neighbours", "affine", "none"] = "neighbours",
    ) -> None:
        """Store the table.

        Args:
            space: whose architectures it takes.
            blocks: measured latency in ms by block key; keys may be absent.
            calibration: ``"neighbours"``, ``"affine"`` or ``"none"``.
        """
        super().__init__(space)
        self.blocks = blocks
        self.calibration = calibration

    @classmethod
    def for_table(cls, space: Space, block_ms: Mapping[str, float] | None, **params: Any) -> LUT:
        """Return an unfitted lookup table over ``block_ms``; see :meth:`Predictor.for_table`."""
        if not block_ms:
            raise MissingMeasurementsError(
                f"a lut needs latencies of the {len(space.blocks)} blocks of "
                f"{space.spec['name']} and there are none; measure them: {_profile_command(space)}"
            )
        cls._check_names(params)
        return cls(space, block_ms, **params)

    def accumulated(self, X: npt.ArrayLike) -> FloatArray:
        """Return the sums (n,) of the measured blocks of architectures (n, choices) in ms.

        It needs no fit.

        Raises:
            UsageError: ``X`` is of another space, or ``blocks`` names a block the space lacks or
                gives one no latency above zero.
            MissingMeasurementsError: an architecture needs a block without measurement.
        """
        return self._accumulated(self.space.check(X))

    def missing(self) -> list[str]:
        """Return the keys of the space's blocks that the table lacks."""
        return [block.key for block in self.space.blocks if block.key not in self.blocks]

    def _fit(self, X: IntArray, y: FloatArray) -> None:
        if self.calibration not in CALIBRATIONS:
            raise UsageError(
                f"the calibration is {self.calibration!r}; give one of {', '.join(CALIBRATIONS)}"
            )
        total_ms = self._accumulated(X)
        self.line_ = (0.0, 1.0) if self.calibration == "none" else affine(total_ms, y)
        self.neighbours_ = None
        if self.calibration == "neighbours" and self.space.additive:
            intercept_ms, slope = self.line_
            self.neighbours_ = Neighbours.fit(X, self._sizes, intercept_ms + slope * total_ms, y)

    def _predict(self, X: IntArray) -> FloatArray:
        intercept_ms, slope = self.line_
        predicted = intercept_ms + slope * self._accumulated(X)
        return predicted if self.neighbours_ is None else predicted + self.neighbours_.addends(X)

    @property
    def _sizes(self) -> list[int]:
        return [len(choice.options) for choice in self.space.choices]

    def _coverage(self, X: IntArray) -> FloatArray:
        known = np.isfinite(self._prices.block_ms)
        if known.all():
            return np.ones(len(X))
        counts = self.space.path(X)
        share: FloatArray = (counts @ known.astype(np.float64)) / (counts @ np.ones(len(known)))
        return share

    def _unknown(self, X: IntArray) -> list[str]:
        needed = np.asarray(self.space.path(X).sum(axis=0)).ravel() > 0
        return self._keys(needed & np.isnan(self._prices.block_ms))

    def _keys(self, absent: npt.NDArray[np.bool_]) -> list[str]:
        return [block.key for block, hole in zip(self.space.blocks, absent, strict=True) if hole]

    def _sum_over_choices(self) -> ChoiceSum | None:
        prices = self._prices
        if prices.options_ms is None:
            return None
        if not np.isfinite(prices.block_ms).all():
            raise self._holes(np.isnan(prices.block_ms))
        intercept_ms, slope = self.line_
        names = [choice.name for choice in self.space.choices]
        rows = [slope * row for row in prices.options_ms]
        fixed_ms = intercept_ms + slope * prices.fixed_ms
        if self.neighbours_ is None:
            return ChoiceSum(fixed_ms, dict(zip(names, rows, strict=True)))
        own = [a + b for a, b in zip(rows, self.neighbours_.options_ms, strict=True)]
        pairs = dict(zip(names, self.neighbours_.pairs_ms, strict=False))
        return ChoiceSum(fixed_ms, dict(zip(names, own, strict=True)), pairs)

    def _sum_or_reason(self) -> ChoiceSum | str:
        try:
            return super()._sum_or_reason()
        except MissingMeasurementsError as hole:
            return str(hole)

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        state = {"line": np.array(self.line_)}
        return state if self.neighbours_ is None else {**state, "neighbours": self.neighbours_.flat}

    def _restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.line_ = (float(state["line"][0]), float(state["line"][1]))
        flat = state.get("neighbours")
        self.neighbours_ = None if flat is None else Neighbours.from_flat(flat, self._sizes)

    @cached_property
    def _prices(self) -> _Prices:
        keys = [block.key for block in self.space.blocks]
        for key, latency_ms in self.blocks.items():
            if key not in keys:
                raise UsageError(
                    f"{self.space.spec['name']} has no block {key!r}{nearest(key, keys)}; the "
                    "table was measured for another space, or for other options of it"
                )
            if not (math.isfinite(latency_ms) and latency_ms > 0):
                raise UsageError(
                    f"the block {key!r} has {latency_ms!r} ms; a latency is finite and above zero: "
                    "leave the block out, or measure it again"
                )
        block_ms = np.array([self.blocks.get(key, math.nan) for key in keys])
        if not self.space.additive:
            return _Prices(block_ms, 0.0, None)
        base, options = self.space.option_counts()
        used = base > 0
        # Sparse products leave out what an option does not use, so a hole spreads no further.
        return _Prices(
            block_ms,
            float(base[used] @ block_ms[used]),
            [np.asarray(counts @ block_ms) for counts in options],
        )

    def _accumulated(self, X: IntArray) -> FloatArray:
        prices = self._prices
        if prices.options_ms is None:
            total = self._accumulated_by_path(X, prices.block_ms)
        else:
            total = prices.look_up(X)
        holes = np.isnan(total)
        if holes.any():
            needed = np.asarray(self.space.path(X[holes]).sum(axis=0)).ravel() > 0
            raise self._holes(needed & np.isnan(prices.block_ms))
        return total

    def _accumulated_by_path(self, X: IntArray, block_ms: FloatArray) -> FloatArray:
        total: FloatArray = self.space.path(X) @ block_ms
        return total

    def _holes(self, absent: npt.NDArray[np.bool_]) -> MissingMeasurementsError:
        keys = self._keys(absent)
        listed = ", ".join(keys[:_NAMED]) + (", ..." if len(keys) > _NAMED else "")
        return MissingMeasurementsError(
            f"no latency of {len(keys)} of the {len(self.space.blocks)} blocks of "
            f"{self.space.spec['name']} that are needed ({listed}); measure them: "
            f"{_profile_command(self.space)}"
        )


@dataclass(frozen=True)
class _Prices:
    """Latencies ready for lookup, NaN where a block has none; ``options_ms`` of chains only."""

    block_ms: FloatArray
    fixed_ms: float
    options_ms: list[FloatArray] | None

    @cached_property
    def _table(self) -> tuple[FloatArray, IntArray]:
        rows = self.options_ms or []
        return np.concatenate(rows), np.cumsum([0, *map(len, rows[:-1])])

    def look_up(self, X: IntArray) -> FloatArray:
        """Return fixed part plus the options of each row of ``X`` (n, choices), in ms."""
        table, starts = self._table
        total = np.empty(len(X))
        for first in range(0, len(X), _ROWS):
            rows = slice(first, first + _ROWS)
            table.take(X[rows] + starts).sum(axis=1, out=total[rows])
        total += self.fixed_ms
        return total


def _profile_command(space: Space) -> str:
    """Return the command that measures the blocks of ``space``; options at their default left out.

    Options are compared as JSON, where a tuple is the list that a space resolves it to.
    """
    words = ["latbench", "profile", "--space", space.spec["name"]]
    parameters = inspect.signature(type(space)).parameters
    defaults = {name: _json(taken.default) for name, taken in parameters.items()}
    for name, value in space.spec["options"].items():
        text = _json(value)
        if text == defaults.get(name):
            continue
        words += ["--space-option", f"{name}={value if isinstance(value, str) else text}"]
    return f"`{shlex.join([*words, '--blocks'])}`"


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), default=repr)
