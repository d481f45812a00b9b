"""Few labels of a new target, and tables of other targets: latencies in ms by a learned prior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.prediction import metrics
from latbench.prediction.expectation import ChoiceSum
from latbench.prediction.inputs import FloatArray, IntArray, Space
from latbench.predictor import Predictor
from latbench_predictors import known_options, one_hot
from latbench_predictors.device_prior import Cell, clipped, fitted, variances
from latbench_predictors.known_options import BETWEEN, HAD, share
from latbench_predictors.sources import Tables, known, learn

# What is assumed before there is a label, to choose labels by; the mean is nearly free.
_GUESS = Cell(sources=1.0, shared=0.1, own=0.03, noise=0.03)
_MEAN_VARIANCE = 9.0


class Transfer(Predictor):
    """``latency = a + sum_c w_c[x_c]`` with a prior over ``w`` learned from other targets.

    See :mod:`latbench_predictors.device_prior` for the prior. The prediction is in ms of the target
    and rests on the labels of the target that :meth:`fit` is given, and on nothing else of it:
    no reference latencies, no scaling by labels that a user does not have. Without sources it is a
    regression on what options compute and on what they share between places.

    ``coverage_of`` is the share of an architecture's options that the fitted networks *of the
    target* tell of; the others are guessed, from other targets for example.
    """

    kind: ClassVar[str] = "transfer"
    # With 100 of FBNet's networks intervals from 10 folds held 94 % instead of 90.
    folds: ClassVar[int] = 50
    uses_tables: ClassVar[bool] = True
    intercept_ms_: float
    options_ms_: FloatArray
    seen_: known_options.Known
    labels_: int
    agreement_: FloatArray
    probabilities_: FloatArray

    def __init__(self, space: Space, sources: Mapping[str, Any] | None = None) -> None:
        """Store the parameters.

        Args:
            space: whose architectures it takes.
            sources: what :func:`latbench_predictors.sources.learn` returned for the tables of
                other targets, or None.
        """
        super().__init__(space)
        self.sources = sources

    @classmethod
    def for_table(
        cls,
        space: Space,
        block_ms: Mapping[str, float] | None,
        tables: Tables | None = None,
        **params: Any,
    ) -> Transfer:
        """Return an unfitted predictor that has learned from ``tables``.

        Args:
            space: whose architectures it is to take.
            block_ms: ignored.
            tables: source -> architectures (n, choices) and latencies (n,) in ms, of other targets.
            **params: hyperparameters of the constructor.

        Raises:
            UsageError: a hyperparameter is unknown, or a table is none of ``space``.
        """
        cls._check_names(params)
        if tables:
            params["sources"] = learn(space, tables)
        return cls(space, **params)

    def suggest(self, X: npt.ArrayLike, n: int) -> IntArray:
        """Return which ``n`` of the candidates (m, choices) to measure on the target, (n,) rows.

        Greedily, the one next whose label leaves the least variance over all candidates (Cohn,
        *Neural network exploration using optimal experiment design*, 1994). It looks at no latency
        of the target, and needs no fit.

        Raises:
            UsageError: ``X`` is of another space, or has fewer than ``n`` rows.
        """
        X = self.space.check(X)
        if not 1 <= n <= len(X):
            raise UsageError(f"{n} networks are to be chosen of {len(X)}; give more candidates")
        design, _ = known(self.space, self.sources)
        columns = design.columns(X) * np.sqrt(variances(design, _GUESS))
        columns = np.column_stack([columns, np.full(len(X), _MEAN_VARIANCE**0.5)])
        products = columns.T @ columns
        covariance = np.eye(columns.shape[1])
        chosen: list[int] = []
        for _ in range(n):
            reach = columns @ covariance
            variance = np.einsum("ij,ij->i", reach, columns)
            gain = np.einsum("ij,ij->i", reach @ products, reach) / (variance + _GUESS.noise)
            gain[chosen] = -1.0
            best = int(np.argmax(gain))
            chosen.append(best)
            step = reach[best]
            covariance -= np.outer(step, step) / (variance[best] + _GUESS.noise)
        return np.array(chosen, dtype=np.int64)

    def provenance(self) -> dict[str, str]:
        """Return how many networks were measured on the target, and on which sources others."""
        self._require_fit()
        networks = dict(self.sources["networks"]) if self.sources is not None else {}
        told = [
            f"{name} ({count} networks, rank correlation with the labels {agreement:.2f})"
            for (name, count), agreement in zip(networks.items(), self.agreement_, strict=True)
        ]
        return {
            "measured on the target": f"{self.labels_} networks",
            "other targets": "; ".join(told) or "none",
        }

    def _fit(self, X: IntArray, y: FloatArray) -> None:
        design, belief = known(self.space, self.sources)
        y = clipped(y)
        columns = one_hot.columns(self.space, X)
        self.options_ms_, self.probabilities_ = fitted(design, belief, X, y)
        self.intercept_ms_ = float(np.mean(y - self.options_ms_[columns].sum(axis=1)))
        self.seen_ = known_options.known(self.space, X)
        self.labels_ = len(np.unique(X, axis=0))
        self.agreement_ = _agreement(design.sources[columns].sum(axis=1), y)

    def _predict(self, X: IntArray) -> FloatArray:
        # Summed along each row, so that a prediction does not depend on the batch it is in.
        columns = one_hot.columns(self.space, X)
        total: FloatArray = self.intercept_ms_ + self.options_ms_[columns].sum(axis=1)
        return total

    def _coverage(self, X: IntArray) -> FloatArray:
        return share(self.seen_, self.space, X, HAD, BETWEEN)

    def _interpolated(self, X: IntArray) -> FloatArray:
        return share(self.seen_, self.space, X, BETWEEN)

    def _unknown(self, X: IntArray) -> list[str]:
        return known_options.unknown(self.seen_, self.space, X)

    def _sum_over_choices(self) -> ChoiceSum:
        rows = np.split(self.options_ms_, one_hot.starts(self.space)[1:])
        names = (choice.name for choice in self.space.choices)
        return ChoiceSum(self.intercept_ms_, dict(zip(names, rows, strict=True)))

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "intercept_ms": np.array(self.intercept_ms_),
            "options_ms": self.options_ms_,
            "seen": self.seen_,
            "labels": np.array(self.labels_),
            "agreement": self.agreement_,
            "probabilities": self.probabilities_,
        }

    def _restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.intercept_ms_ = float(state["intercept_ms"])
        self.options_ms_ = state["options_ms"]
        self.seen_ = state["seen"]
        self.labels_ = int(state["labels"])
        self.agreement_ = state["agreement"]
        self.probabilities_ = state["probabilities"]


def _agreement(predicted: FloatArray, y: FloatArray) -> FloatArray:
    """Return Spearman's correlation of each source's guess (n, sources) with the labels (n,)."""
    return np.array([metrics.spearman(y, guess) for guess in predicted.T], dtype=np.float64)
