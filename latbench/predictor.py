"""The contract of a latency predictor: the base class checks, the plug-in computes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from latbench.errors import (
    LatbenchError,
    MissingMeasurementsError,
    NotFittedError,
    UnavailableError,
    UsageError,
)
from latbench.prediction import conformal
from latbench.prediction.expectation import ChoiceSum
from latbench.prediction.inputs import FloatArray, IntArray, Space, check_latencies
from latbench.prediction.repeats import tell_apart
from latbench.prediction.saving import Saveable
from latbench.prediction.support import Support

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor


_NAMED = 5


class Predictor(Saveable, ABC):
    """Latencies of the architectures of one space on one target, learned from measured networks.

    A subclass stores its constructor's arguments under their names and nothing else, and computes
    in :meth:`_fit`, :meth:`_predict`, :meth:`_coverage`, :meth:`_state` and :meth:`_restore`; the
    arguments beside the space must be JSON values. Learned attributes end in ``_``.

    Attributes:
        space: whose architectures it takes.
        scores_: signed relative errors ``(y - p) / p`` on networks held out, ascending, one a
            different network; none if it was fitted without calibration.
        range_ms_: the latencies of the fastest and the slowest network it was fitted on.
    """

    min_networks: ClassVar[int] = 3
    """The fewest different architectures that :meth:`fit` takes; ``_fit`` may see one fewer."""
    folds: ClassVar[int] = 10
    uses_tables: ClassVar[bool] = False
    """Whether :meth:`for_table` takes ``tables``: other targets' name -> architectures and ms."""

    scores_: FloatArray
    range_ms_: FloatArray

    def __init__(self, space: Space) -> None:
        """Store the space."""
        self.space = space

    @classmethod
    def for_table(cls, space: Space, block_ms: Mapping[str, float] | None, **params: Any) -> Self:
        """Return an unfitted predictor from what a store holds.

        Args:
            space: whose architectures it is to take.
            block_ms: measured latency by block key, if there are any; kinds that do without
                ignore it.
            **params: hyperparameters of the constructor.

        Raises:
            UsageError: a hyperparameter is unknown.
            MissingMeasurementsError: this kind needs block latencies and there are none.
        """
        cls._check_names(params)
        return cls(space, **params)

    # What a plug-in computes

    @abstractmethod
    def _fit(self, X: IntArray, y: FloatArray) -> None:
        """Learn from canonical architectures (n, choices) and latencies (n,) in ms."""

    @abstractmethod
    def _predict(self, X: IntArray) -> FloatArray:
        """Return finite latencies (n,) in ms; they may lie below the floor."""

    @abstractmethod
    def _coverage(self, X: IntArray) -> FloatArray:
        """Return the share (n,) of each prediction that rests on measurements, 0 to 1."""

    def _interpolated(self, X: IntArray) -> FloatArray:
        """Return the share (n,) of each prediction that lies between measured quantities.

        It is part of what :meth:`_coverage` returns; none by default.
        """
        return np.zeros(len(X))

    def _unknown(self, X: IntArray) -> list[str]:
        """Return what nothing tells of in ``X``, in words of the space; none by default."""
        return []

    @abstractmethod
    def _state(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything learned as arrays without objects; names have no leading ``_``."""

    @abstractmethod
    def _restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take up what :meth:`_state` returned."""

    def _sum_over_choices(self) -> ChoiceSum | None:
        """Return the prediction as a sum over choices, or None where it is none."""
        return None

    def provenance(self) -> dict[str, str]:
        """Return what a model card must say of a fitted predictor's data, beside their number.

        None by default; one that learned from more than the networks it was fitted on says so.
        """
        return {}

    # Fitting

    def fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, seed: int = 0, calibrate: bool = True
    ) -> Self:
        """Learn from measured networks, and calibrate the intervals; forgets any earlier fit.

        Args:
            X: architectures (n, choices); a network may occur more than once, and there is a
                warning where its latencies are more than a factor of two apart.
            y: their true latencies (n,) in ms.
            seed: of the folds by which :mod:`latbench.prediction.conformal` calibrates.
            calibrate: False leaves out the further fits that intervals need, for whoever wants
                predictions alone; then every interval and bound is refused.

        Raises:
            UsageError: an architecture of another space, a latency that is not finite and above
                zero, other lengths, or too few different networks.
        """
        self._forget()
        X = self.space.check(X)
        y = check_latencies(y, len(X))
        first, groups = conformal.different(X)
        tell_apart(self.space, X, y, groups, level=2)
        if len(first) < self.min_networks:
            raise UsageError(
                f"{self.kind} is fitted on at least {self.min_networks} different networks; got "
                f"{len(first)}: measure more with `latbench profile --networks N`"
            )
        scores = np.empty(0)
        if calibrate:
            errors = self._held_out_errors(X, y, conformal.folds(groups, self.folds, seed))
            # One score a network: repeats of one are no further evidence about a new one.
            scores = np.sort(errors[first])
        self._learn(X, y)
        self.scores_ = scores
        return self

    def _held_out_errors(self, X: IntArray, y: FloatArray, fold: IntArray) -> FloatArray:
        errors = np.empty(len(y))
        for number in np.unique(fold):
            held_out = fold == number
            model = self.clone()
            model._learn(X[~held_out], y[~held_out])
            predicted = model._floored(X[held_out])
            errors[held_out] = (y[held_out] - predicted) / predicted
        return errors

    def _learn(self, X: IntArray, y: FloatArray) -> None:
        self._fit(X, y)
        self.range_ms_ = np.array([y.min(), y.max()])

    @property
    def floor_ms_(self) -> float:
        """The least it predicts, a tenth of the fastest network it was fitted on.

        Beyond what they have seen, linear models fall below zero.
        """
        return float(self.range_ms_[0]) / 10

    # Predicting

    def predict(self, X: npt.ArrayLike, *, strict: bool = False) -> FloatArray:
        """Return the latencies (n,) of architectures (n, choices) in ms, at least the floor.

        Args:
            X: architectures of the space.
            strict: whether to refuse a prediction of which some part rests on nothing that was
                measured (:meth:`support_of`).

        Raises:
            NotFittedError: it was not fitted.
            UsageError: ``X`` is of another space.
            MissingMeasurementsError: it is strict, and a part of a prediction rests on nothing.
        """
        self._require_fit()
        X = self.space.check(X)
        if strict:
            self._refuse_guesses(X)
        return self._floored(X)

    def predict_interval(
        self, X: npt.ArrayLike, coverage: float = 0.95
    ) -> tuple[FloatArray, FloatArray]:
        """Return ``(low, high)``, each (n,) in ms, around the predictions for ``X``.

        A new network's measured latency lies within with probability ``coverage``; see
        :mod:`latbench.prediction.conformal` for what that rests on.

        Raises:
            UsageError: as :meth:`predict`, or too few networks for that coverage: the text says
                how many it needs. No narrower interval is passed off for it.
        """
        predicted = self.predict(X)
        reach = conformal.quantile(np.sort(np.abs(self.scores_)), coverage)
        return np.maximum(predicted * (1 - reach), 0.0), predicted * (1 + reach)

    def predict_upper(self, X: npt.ArrayLike, confidence: float) -> FloatArray:
        """Return the one-sided bound (n,) in ms that a new network stays below with ``confidence``.

        It uses the signed errors, so it may lie below the prediction of a predictor that errs on
        the slow side.

        Raises:
            UsageError: as :meth:`predict_interval`.
        """
        predicted = self.predict(X)
        return np.maximum(predicted * (1 + conformal.quantile(self.scores_, confidence)), 0.0)

    @property
    def max_coverage(self) -> float:
        """The highest coverage an interval can have: n / (n + 1) for n different networks."""
        self._require_fit()
        return len(self.scores_) / (len(self.scores_) + 1)

    def coverage_of(self, X: npt.ArrayLike) -> FloatArray:
        """Return the share (n,) of each prediction that rests on measurements, 0 to 1.

        Raises:
            NotFittedError: it was not fitted.
            UsageError: ``X`` is of another space.
        """
        self._require_fit()
        return self._coverage(self.space.check(X))

    def support_of(self, X: npt.ArrayLike) -> Support:
        """Return the shares of each prediction that rest on measurements and on what is between.

        Raises:
            NotFittedError: it was not fitted.
            UsageError: ``X`` is of another space.
        """
        self._require_fit()
        X = self.space.check(X)
        interpolated = self._interpolated(X)
        return Support(np.maximum(self._coverage(X) - interpolated, 0.0), interpolated)

    def beyond(self, X: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return which architectures (n,) it predicts to be outside the range it was fitted on.

        Nothing as fast, or as slow, was measured; the intervals do not speak for such networks.

        Raises:
            NotFittedError: it was not fitted.
            UsageError: ``X`` is of another space.
        """
        predicted = self.predict(X)
        fastest, slowest = self.range_ms_
        outside: npt.NDArray[np.bool_] = (predicted < fastest) | (predicted > slowest)
        return outside

    def _floored(self, X: IntArray) -> FloatArray:
        predicted = self._predict(X)
        wrong = ~np.isfinite(predicted)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise LatbenchError(
                f"{self.kind} predicts {predicted[row]} ms for {self.space.decode(X[row])!r}; "
                "this is a defect of the predictor: report it with the data it was fitted on"
            )
        return np.maximum(predicted, self.floor_ms_)

    def _refuse_guesses(self, X: IntArray) -> None:
        nothing = self.support_of(X).nothing
        guessed = np.flatnonzero(nothing > 0)
        if len(guessed):
            first = guessed[0]
            unknown = self._unknown(X[guessed])
            listed = ", ".join(unknown[:_NAMED]) + (", …" if len(unknown) > _NAMED else "")
            raise MissingMeasurementsError(
                f"{len(guessed)} of {len(X)} predictions rest in part on nothing that was "
                f"measured, that for {self.space.decode(X[first])!r} to "
                f"{100 * nothing[first]:.3g} %{f' (unknown: {listed})' if listed else ''}; measure "
                "it, or networks like them, and fit again; or predict without being strict"
            )

    def _require_fit(self) -> None:
        # The scores come last in a fit, so one that failed half-way does not count.
        if "scores_" not in self.__dict__:
            raise NotFittedError(f"this {self.kind} was not fitted; call fit(X, y), or load one")

    # Expectation

    def expected_ms_refusal(self) -> str | None:
        """Return why :meth:`expected_ms` would not be exact, or None where it is."""
        found = self._sum_or_reason()
        return found if isinstance(found, str) else None

    def expected_ms(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        """Return the exact mean prediction (...) in ms under independent choices, with gradient.

        Args:
            probabilities: choice -> tensor (..., options) whose rows sum to one.

        Raises:
            UnavailableError: the prediction is no sum over choices.
            UsageError: the probabilities do not fit the space.
        """
        return self.expected_sum().expected_ms(probabilities)

    def expected_sum(self) -> ChoiceSum:
        """Return the prediction as a sum, whose :meth:`ChoiceSum.expected_ms` is that of this.

        It holds what is learned by now: whoever asks for many means asks for it once.

        Raises:
            UnavailableError: the prediction is no sum over choices.
        """
        found = self._sum_or_reason()
        if isinstance(found, str):
            raise UnavailableError(
                f"no exact expectation: {found}; latbench.hooks.ExpectedLatency enumerates a "
                "small space"
            )
        return found

    def _sum_or_reason(self) -> ChoiceSum | str:
        self._require_fit()
        name = self.space.spec["name"]
        if any(choice.active is not None for choice in self.space.choices):
            return f"some choices of {name} matter only beside options of others"
        found = self._sum_over_choices()
        if found is None:
            return f"what {self.kind} predicts for {name} is no sum over choices"
        if found.lowest_ms < self.floor_ms_:
            return (
                f"{self.kind} computes {found.lowest_ms:.3g} ms for the fastest architecture of "
                f"{name} and predicts its floor, {self.floor_ms_:.3g} ms, which is no sum over "
                "choices (fitted on networks that fast, it would be one)"
            )
        return found

    # What files hold

    def _learned(self) -> dict[str, npt.NDArray[Any]]:
        self._require_fit()
        return {**self._state(), "_scores": self.scores_, "_range_ms": self.range_ms_}

    def _relearn(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._restore(arrays)
        self.range_ms_ = arrays["_range_ms"]
        self.scores_ = arrays["_scores"]
