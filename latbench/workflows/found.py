"""What a search found, with what measuring it showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from latbench.spaces import IntArray, SearchSpace
from latbench.target import Target

if TYPE_CHECKING:
    from latbench.searcher import SearchResult


@dataclass(frozen=True)
class Latency:
    """A measured latency with its published interval, in ms, and its status."""

    latency_ms: float
    low_ms: float
    high_ms: float
    status: str


@dataclass(frozen=True, eq=False)
class Timed:
    """An architecture ``x`` (choices,) with its three latencies in ms.

    Attributes:
        x: the architecture.
        predicted_ms, predicted_low_ms, predicted_high_ms: the prediction with its interval.
        accumulated_ms: sum of its measured blocks.
        true: the exported network, compiled and timed.
    """

    x: IntArray
    predicted_ms: float
    predicted_low_ms: float
    predicted_high_ms: float
    accumulated_ms: float
    true: Latency

    def document(self, space: SearchSpace) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "arch": space.to_json(self.x),
            "predicted_ms": self.predicted_ms,
            "predicted_low_ms": self.predicted_low_ms,
            "predicted_high_ms": self.predicted_high_ms,
            "accumulated_ms": self.accumulated_ms,
            "true_ms": self.true.latency_ms,
            "true_low_ms": self.true.low_ms,
            "true_high_ms": self.true.high_ms,
            "status": self.true.status,
        }


@dataclass(frozen=True, eq=False)
class Nearest:
    """The best network that was measured after the found one had missed the target.

    Attributes:
        timed: the network with its latencies.
        accuracy: its score, in [0, 1] where the search maximises an accuracy.
        met: whether it meets the target.
        tries: networks that were measured.
    """

    timed: Timed
    accuracy: float
    met: bool
    tries: int


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found, and what measuring it showed.

    Attributes:
        result: the searcher's own.
        space: the space.
        target: what the latencies belong to.
        timed: the network found.
        predicted_coverage: percentage of networks whose interval holds their latency.
        target_ms: the limit.
        accuracy: validation accuracy with the supernet's weights, in [0, 1].
        data: what it was trained on, in words.
        notes: what a reader must know.
        nearest: where the network found misses the target, the nearest that meets it.
        course: of a one-shot search one row a report: ``step``, and means since the last.
        expected_method: how its expected latency was told: ``sum``, ``enumeration`` or
            ``sampling``; None where nothing asked for one.
    """

    result: SearchResult
    space: SearchSpace
    target: Target
    timed: Timed
    predicted_coverage: float
    target_ms: float
    accuracy: float
    data: str
    notes: list[str]
    nearest: Nearest | None = None
    course: Sequence[Mapping[str, float]] = ()
    expected_method: str | None = None

    @property
    def met(self) -> bool:
        """Whether the measured latency is within the target."""
        return self.timed.true.latency_ms <= self.target_ms

    def document(self) -> dict[str, Any]:
        """Return the result as the command line prints it in JSON."""
        nearest = self.nearest
        return {
            **self.timed.document(self.space),
            "target_ms": self.target_ms,
            "met": self.met,
            "accuracy": self.accuracy,
            "evaluations": self.result.evaluations,
            "details": dict(self.result.details),
            "expected_method": self.expected_method,
            "nearest": None
            if nearest is None
            else {
                **nearest.timed.document(self.space),
                "accuracy": nearest.accuracy,
                "met": nearest.met,
                "tries": nearest.tries,
            },
            "data": self.data,
            "target": self.target.to_dict(),
            "notes": self.notes,
        }
