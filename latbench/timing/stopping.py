"""The stop rules: when a process has timed a subject enough, and when another should."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from latbench.timing.bootstrap import half_width
from latbench.timing.protocol import Protocol
from latbench.timing.rounds import Round
from latbench.timing.undisturbed import Digest, undisturbed_ms

Outcome = Literal["converged", "rounds", "budget"]

# A check decides nothing but whether to go on, so it may be rougher than the estimate.
_CHECK_SHARE = 4
_HALF_WAY = 0.5
_FAR_TOO_WIDE = 1.5


class StopRule:
    """Follows the rounds of one subject in one process, together with those of earlier processes.

    The process has done its part once it gave its share of clean rounds and the half-width is
    small enough at two consecutive checks, or once it gave the most it may. That half-width is of
    the rounds in the processes: no round tells what sets two processes apart. A tainted round is
    made up for by another, up to twice that most, but not where so many are tainted already that
    the estimate would be unstable with all of the others clean. Half-way it also leaves if the
    half-width, which falls with the root of the rounds, would stay far too wide with all of them.
    """

    def __init__(self, protocol: Protocol, before: Iterable[Sequence[Digest]] = ()) -> None:
        """Begin with the clean rounds that each of the processes ``before`` gave."""
        self._protocol = protocol
        self._before = [_at_one_level(group) for group in before if group]
        self._own: list[Digest] = []
        self._rounds = 0
        self._agreeing = 0
        self._wide = False

    def add(self, one: Round) -> None:
        """Take in one round of this process."""
        self._rounds += 1
        if one.taints:
            return
        self._own.append(one.digest)
        # The check before the last round of the share is the first of the two that must agree.
        if len(self._own) >= self._protocol.rounds_least - 1:
            h = self._half_width()
            self._agreeing = self._agreeing + 1 if h <= self._protocol.half_width else 0
            done = len(self._own) / self._protocol.rounds_most
            at_most = _FAR_TOO_WIDE * self._protocol.half_width
            self._wide = done >= _HALF_WAY and h * math.sqrt(done) > at_most

    @property
    def outcome(self) -> Outcome | None:
        """``converged`` or ``rounds`` once the subject may leave, else ``None``."""
        if self._agreeing >= 2 and len(self._own) >= self._protocol.rounds_least:
            return "converged"
        most = self._protocol.rounds_most
        tainted = self._rounds - len(self._own)
        hopeless = tainted > self._protocol.taint_limit * 2 * most
        if len(self._own) >= most or self._rounds >= 2 * most or hopeless or self._wide:
            return "rounds"
        return None

    def _half_width(self) -> float:
        groups = [*self._before, _at_one_level(self._own)]
        rounds = [one for group in groups for one in group]
        return half_width(
            groups,
            max(1, self._protocol.bootstrap // _CHECK_SHARE),
            self._protocol.confidence,
            self._protocol.seed,
            # The sweep's is not known here; whether it errs is no matter of more rounds.
            float(np.mean([one.quiet / one.samples for one in rounds])),
        )


def _at_one_level(group: Sequence[Digest]) -> list[Digest]:
    """Return the rounds of one process with their common latency at 1."""
    latency_ms = undisturbed_ms(group)
    return [one.levelled(latency_ms) for one in group]


def another_process(processes: int, h: float, protocol: Protocol) -> bool:
    """Whether a subject that all its processes have timed should be timed in one more.

    It should if the half-width is still too wide, and if that of all extra processes, which falls
    with the root of their number, may be narrow enough.

    Args:
        processes: how many of them there were.
        h: the half-width from their rounds.
        protocol: how it is timed.
    """
    most = protocol.processes + protocol.processes_extra
    at_best = h * math.sqrt(processes / most)
    too_wide, may_do = protocol.half_width < h, at_best <= _FAR_TOO_WIDE * protocol.half_width
    return 0 < processes < most and too_wide and may_do
