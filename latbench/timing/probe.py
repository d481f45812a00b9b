"""The probe: fixed work between samples, which tells whether the core runs at its full speed.

A core whose execution units or caches others use as well does the same work more slowly, and on a
virtual machine no counter tells. The probe does: a matrix product uses the same units as the
networks that are timed, and its operands, some hundred kilobytes, the same caches. A product that
fits into the nearest cache would not see neighbours that crowd the outer ones; this one takes some
tens of microseconds, so that it can still stand between any two runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import accumulate
from typing import Protocol

import numpy as np

# A pile of products: OpenBLAS computes those of at most 64**3 multiplications in the calling
# thread, however many it may use.
_LEFT, _RIGHT = (4, 24, 288), (288, 36)
_PRODUCTS = 3
# Readings are counted in steps of half a percent of the shortest, up to some eighty times it.
_STEPS = 200
_BINS = 1 << 14
_FIRST_READINGS = 1000
_UPDATE_READINGS = 256
# A core of a busy host is seldom undisturbed, but this share of the readings finds it so.
_FAST_SHARE = 0.01


class Probe(Protocol):
    """What tells whether a core runs undisturbed at this moment."""

    def quiet(self) -> bool:
        """Look once."""
        ...

    def wait(self, longest_ns: int) -> int:
        """Look until it is quiet, or for so long; return the nanoseconds, below that if quiet."""
        ...


class CoreProbe:
    """Times a matrix product, and compares it with the fastest that this process has seen.

    Quiet is a reading within the tolerance of the fast level: the first percentile of all readings
    but those of waiting, which are many just where the core is slow. A reading is the shortest of
    three products in a row, because what ran before has driven the operands from the caches; once
    one is quiet, no further is needed.
    """

    def __init__(self, tolerance: float, read_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        """Take the first readings (some tens of milliseconds).

        Args:
            tolerance: relative distance from the fast level that still counts as quiet.
            read_ns: the clock.
        """
        self._tolerance = tolerance
        self._read_ns = read_ns
        self._factors = (
            np.full(_LEFT, 0.5, dtype=np.float32),
            np.full(_RIGHT, 0.5, dtype=np.float32),
        )
        self._product = np.matmul(*self._factors)
        self._counts = [0] * _BINS
        self._readings = 0
        self._limit_ns = 0.0
        first = [self._reading() for _ in range(_FIRST_READINGS)]
        self._step_ns = max(1, min(first) // _STEPS)
        for took_ns in first:
            self._count(took_ns)
        self._update()

    @property
    def limit_ns(self) -> float:
        """The longest reading that counts as quiet."""
        return self._limit_ns

    def quiet(self) -> bool:
        """See :class:`Probe`."""
        took_ns = self._reading(self._limit_ns)
        self._count(took_ns)
        if self._readings % _UPDATE_READINGS == 0:
            self._update()
        return took_ns <= self._limit_ns

    def wait(self, longest_ns: int) -> int:
        """See :class:`Probe`."""
        start = self._read_ns()
        while self._reading(self._limit_ns) > self._limit_ns:
            if self._read_ns() - start >= longest_ns:
                return longest_ns
        return min(self._read_ns() - start, longest_ns - 1)

    def _reading(self, enough_ns: float = 0.0) -> int:
        """Return the shortest of three products in a row, or the first that takes ``enough_ns``."""
        read_ns, (left, right), product = self._read_ns, self._factors, self._product
        shortest = 0
        before = read_ns()
        for number in range(_PRODUCTS):
            np.matmul(left, right, out=product)
            now = read_ns()
            took, before = now - before, now
            if number == 0 or took < shortest:
                shortest = took
            if took <= enough_ns:
                break
        return shortest

    def _count(self, took_ns: int) -> None:
        self._counts[min(took_ns // self._step_ns, _BINS - 1)] += 1
        self._readings += 1

    def _update(self) -> None:
        below = accumulate(self._counts)
        least = _FAST_SHARE * self._readings
        fast = next(number for number, readings in enumerate(below) if readings >= least)
        self._limit_ns = (fast + 1) * self._step_ns * (1 + self._tolerance)
