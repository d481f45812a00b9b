"""Warm-up: whether a subject has reached its steady state is detected, not assumed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from latbench.timing.protocol import Protocol

State = Literal["warming", "steady", "no-steady-state"]


@dataclass(frozen=True)
class WarmUp:
    """What a warm-up showed; kept with the measurement.

    Attributes:
        state: ``steady`` or ``no-steady-state``.
        estimate_ms: latency of one run at its end.
        first_run_ms: how long the very first run took.
        blocks, spent_ms: blocks it needed and the time they took, other subjects' left out.
    """

    state: State
    estimate_ms: float
    first_run_ms: float
    blocks: int
    spent_ms: float


class SteadyState:
    """Follows one subject's warm-up, block by block.

    Steady are two windows of W blocks whose medians differ by less than the tolerance, and whose
    Theil-Sen trend over both stays below it too, not before ``warmup_min_ms`` have passed. Where
    noise blurs the trend by more than the tolerance, waiting shows nothing: there the tolerance
    is a share of the standard error.
    """

    def __init__(self, protocol: Protocol) -> None:
        """Begin a warm-up under ``protocol``."""
        self._protocol = protocol
        self._medians_ms: list[float] = []
        self._spent_ms = 0.0
        self._state: State = "warming"

    @property
    def state(self) -> State:
        """Where the warm-up stands; ``steady`` and ``no-steady-state`` are final."""
        return self._state

    @property
    def blocks(self) -> int:
        """How many blocks were added."""
        return len(self._medians_ms)

    @property
    def spent_ms(self) -> float:
        """Time spent on this subject's blocks."""
        return self._spent_ms

    @property
    def estimate_ms(self) -> float:
        """The latency of one run by the last window; not a number before the first block."""
        window = self._medians_ms[-self._protocol.warmup_window :]
        return float(np.median(window)) if window else math.nan

    def add(self, block_median_ms: float, at_s: float, spent_ms: float) -> None:
        """Take in one block.

        Args:
            block_median_ms: median latency of the block's runs.
            at_s: seconds from the subject's first run to the end of the block.
            spent_ms: how long the block itself took.
        """
        self._medians_ms.append(block_median_ms)
        self._spent_ms += spent_ms
        if self._state != "warming" or self.blocks < 2 * self._protocol.warmup_window:
            return
        if at_s * 1e3 >= self._protocol.warmup_min_ms and self._is_flat():
            self._state = "steady"
        elif self._spent_ms >= self._protocol.warmup_cap_ms:
            self._state = "no-steady-state"

    def _is_flat(self) -> bool:
        window = self._protocol.warmup_window
        logs = np.log(self._medians_ms[-2 * window :])
        step = float(np.median(logs[window:]) - np.median(logs[:window]))
        trend = theil_sen(logs) * len(logs)
        limit = max(self._protocol.warmup_tolerance, self._protocol.warmup_blur * _step_error(logs))
        return max(abs(step), abs(trend)) < limit


def theil_sen(values: Sequence[float] | npt.NDArray[np.float64]) -> float:
    """Return the median of the slopes between all pairs of equally spaced values, per step.

    It takes at least two values, and bears up to 29 % of them being outliers (Sen, 1968).
    """
    y = np.asarray(values, dtype=np.float64)
    early, late = np.triu_indices(len(y), k=1)
    return float(np.median((y[late] - y[early]) / (late - early)))


def _step_error(logs: npt.NDArray[np.float64]) -> float:
    """Return the standard error of the difference between the medians of the two halves.

    The noise comes from successive differences, which hardly see a trend; 1.2533 is the standard
    error of a normal sample's median relative to that of its mean.
    """
    noise = 1.4826 * float(np.median(np.abs(np.diff(logs)))) / math.sqrt(2)
    return 1.2533 * noise * math.sqrt(2 / (len(logs) / 2))
