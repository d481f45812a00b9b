"""What a searcher is given: everything it needs, as instances."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from latbench.errors import LatbenchError, UsageError
from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.spaces.space import SearchSpace

if TYPE_CHECKING:
    from torch import Tensor

    from latbench.predictor import Predictor
    from latbench.spaces.mixing import MixedNetwork
    from latbench.training.config import TrainConfig
    from latbench.training.data import ImageData

PerArchitecture = Callable[[IntArray], FloatArray]
Feasible = Callable[[IntArray], npt.NDArray[np.bool_]]
Expected = Callable[[Mapping[str, "Tensor"]], "Tensor"]


class LatencyPenalty(Protocol):
    """What :mod:`latbench.hooks.penalties` holds: it joins a latency to a loss."""

    def __call__(self, task_loss: Tensor, expected_ms: Tensor) -> Tensor:
        """Return the loss of the architecture from the task's and a latency in ms."""

    def check(self, fastest_ms: float) -> None:
        """Refuse a space whose fastest network it would not push towards."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its name and settings as JSON values."""


@runtime_checkable
class Drawing(Protocol):
    """An expected latency that is estimated from draws: :class:`latbench.hooks.SampledLatency`."""

    def drawing_from(self, rng: np.random.Generator) -> Expected:
        """Return the same estimate with draws from ``rng``, whose state a search keeps."""


def check_space(space: SearchSpace, *predictors: Predictor | None) -> None:
    """Refuse a predictor of another space than ``space``, whose architectures may look alike.

    Raises:
        UsageError: says what it predicts.
    """
    for one in predictors:
        if one is not None and one.space.spec != space.spec:
            raise UsageError(
                f"the {one.kind} predicts {one.space.spec}, and this search is in {space.spec}; "
                "give one that was fitted for this space"
            )


@dataclass(frozen=True, eq=False)
class SearchTask:
    """Find the architecture of ``space`` with the best score that runs within ``target_ms``.

    Attributes:
        space: where to search.
        predictor: predicts latencies on the target; may be None if ``predict_ms`` is given.
        target_ms: the limit.
        score: what is maximised, such as accuracy in [0, 1]: (n, choices) to (n,).
        predict_ms: latency in ms, (n, choices) to (n,), if not ``predictor.predict``.
        feasible: which architectures meet the limit, such as a
            :class:`~latbench.hooks.LatencyFilter`, if not those predicted at ``target_ms`` or less.
        surrogate: differentiable predictor of latencies, whose relaxed latency serves as a control
            variate where those that count, predicted or measured, have no gradient.
        measure: measured latency in ms, (n, choices) to (n,), for searchers that time candidates.
        supernet: for one-shot searchers, which train it in place.
        data: for one-shot searchers.
        train: how a supernet's weights are trained; by default as :class:`TrainConfig` says.
        expected: mean latency in ms from the chances of the options of each choice, with a
            gradient, such as a :class:`~latbench.hooks.ExpectedLatency`. One that draws must be
            told from what, see :class:`Drawing`: else a search cannot be repeated.
        penalty: how that latency joins the loss of the architecture; none at all if None.
        loss: loss of each image, (n,), from logits (n, classes) and labels (n,); cross-entropy if
            None.
        device: where one-shot searchers train, such as ``cpu`` or ``cuda``.
        confidence: probability that ``feasible`` asks of an architecture, for messages.
        evaluations: how many architectures may be scored.
        seed: of every draw.
        depends_on: further JSON values that scores and latencies depend on; a search is not
            resumed where they differ.
    """

    space: SearchSpace
    predictor: Predictor | None
    target_ms: float
    score: PerArchitecture
    predict_ms: PerArchitecture | None = None
    feasible: Feasible | None = None
    surrogate: Predictor | None = None
    measure: PerArchitecture | None = None
    supernet: MixedNetwork | None = None
    data: ImageData | None = None
    train: TrainConfig | None = None
    expected: Expected | None = None
    penalty: LatencyPenalty | None = None
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    device: str = "cpu"
    confidence: float | None = None
    evaluations: int = 1000
    seed: int = 0
    depends_on: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a task that no searcher can work on.

        Raises:
            UsageError: a value out of its range, nothing that tells latencies, or a predictor of
            another space.
        """
        if not (self.target_ms > 0 and math.isfinite(self.target_ms)):
            raise UsageError(f"the latency target is {self.target_ms} ms; it must be above zero")
        if self.evaluations < 1:
            raise UsageError(f"evaluations is {self.evaluations}; it must be at least 1")
        if self.seed < 0:
            raise UsageError(f"the seed is {self.seed}; it must not be negative")
        if self.predictor is None and self.predict_ms is None:
            raise UsageError("a search needs latencies; give a predictor or predict_ms")
        check_space(self.space, self.predictor, self.surrogate)
        if self.penalty is not None and self.expected is None:
            raise UsageError("a latency penalty needs an expected latency; give expected too")

    @property
    def title(self) -> str:
        """What callbacks call this work."""
        return "search"

    @property
    def total(self) -> int:
        """The number of evaluations."""
        return self.evaluations

    @property
    def unit(self) -> str:
        """What callbacks count."""
        return "evaluations"

    @property
    def limit(self) -> str:
        """The limit in words."""
        text = f"{self.target_ms:.4g} ms"
        return text if self.confidence is None else f"{text} with confidence {self.confidence:g}"

    @property
    def identity(self) -> dict[str, Any]:
        """JSON values that a search's course depends on.

        ``evaluations`` is not among them: a finished search may go on with more.
        """
        return {
            "space": self.space.spec,
            "target_ms": self.target_ms,
            "confidence": self.confidence,
            "seed": self.seed,
            "data": None if self.data is None else self.data.identity,
            "train": None if self.train is None else self.train.to_dict(),
            "penalty": None if self.penalty is None else dict(self.penalty.settings),
            "depends_on": dict(self.depends_on),
        }

    def latency_ms(self, X: IntArray) -> FloatArray:
        """Return the predicted latency of each architecture of ``X`` (n, choices), (n,).

        Raises:
            LatbenchError: a prediction is not finite.
        """
        if self.predict_ms is not None:
            predicted_ms = self.predict_ms(X)
        else:
            assert self.predictor is not None  # __post_init__ saw to it
            predicted_ms = self.predictor.predict(X)
        return self._finite(X, predicted_ms, "predicted latency")

    def scores(self, X: IntArray) -> FloatArray:
        """Return the score of each architecture of ``X`` (n, choices), (n,).

        Raises:
            LatbenchError: a score is not finite.
        """
        return self._finite(X, self.score(X), "score")

    def within_limit(
        self, X: IntArray, latencies_ms: FloatArray | None = None
    ) -> npt.NDArray[np.bool_]:
        """Return which architectures of ``X`` (n, choices) meet the limit, (n,).

        ``latencies_ms`` are those that :meth:`latency_ms` gave for ``X``, if they are at hand.
        """
        if self.feasible is not None:
            return self.feasible(X)
        known_ms = self.latency_ms(X) if latencies_ms is None else latencies_ms
        within: npt.NDArray[np.bool_] = known_ms <= self.target_ms
        return within

    def _finite(self, X: IntArray, values: FloatArray, what: str) -> FloatArray:
        values = np.asarray(values, dtype=np.float64)
        if values.shape != (len(X),):
            raise LatbenchError(
                f"{len(X)} architectures need {len(X)} values as {what}, got an array of shape "
                f"{values.shape}; return one value a row"
            )
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise LatbenchError(
                f"the {what} of {self.space.decode(X[bad[0]])} is {values[bad[0]]}; a search needs "
                "finite numbers, so mend what computes it"
            )
        return values
