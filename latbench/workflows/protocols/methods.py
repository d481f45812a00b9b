"""How a new target is predicted from few labels: our transfer, and the baselines beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol, runtime_checkable

import numpy as np

import latbench
from latbench.prediction import metrics
from latbench.predictor import Predictor
from latbench.spaces import FloatArray, IntArray, SearchSpace
from latbench.workflows.protocols.rows import RIDGE_ALPHA, Scores

CANDIDATES = 300
"""Of that many networks, drawn at random, those to measure are chosen."""

# Far above the other features, so that the ridge does not shrink it.
_FREE = 100.0
# Sources are shrunk less than one-hots; networks far below the median compute next to nothing.
_TRUST, _OUTLIER = 3.0, 0.2


@dataclass(frozen=True, eq=False)
class Known:
    """What is known before the target is measured.

    Attributes:
        space: the search space.
        X: every architecture of the table (n, choices).
        sources: source device -> its latencies (n,) in ms.
        labelled: rows that were measured on the sources.
    """

    space: SearchSpace
    X: IntArray
    sources: Mapping[str, FloatArray]
    labelled: IntArray

    @cached_property
    def transfer(self) -> Predictor:
        """The predictor ``transfer``, not fitted, that has learned from the sources."""
        rows = self.labelled
        tables = {name: (self.X[rows], y[rows]) for name, y in self.sources.items()}
        return latbench.predictor("transfer").for_table(self.space, None, tables=tables)


class Model(Protocol):
    """A method that has seen the sources."""

    def choose(self, pool: IntArray, labels: int, rng: np.random.Generator) -> IntArray:
        """Return which ``labels`` rows of ``pool`` to measure on the target."""

    def predict(self, drawn: IntArray, y: FloatArray, queries: IntArray) -> FloatArray:
        """Return latencies of ``queries`` in ms from those of ``drawn``."""


Method = Callable[[Known], Model]


@runtime_checkable
class Suggests(Protocol):
    """A predictor that says which networks to measure."""

    def suggest(self, X: IntArray, n: int) -> IntArray:
        """Return which ``n`` rows of the candidates (m, choices) to measure."""


class _Random:
    """Chooses at random."""

    def choose(self, pool: IntArray, labels: int, rng: np.random.Generator) -> IntArray:
        """See :class:`Model`."""
        return rng.choice(pool, labels, replace=False)


class Ridge(_Random):
    """A ridge regression on features of the architectures, fitted to the target alone."""

    def __init__(self, features: FloatArray) -> None:
        """Keep the features (n, features) of every architecture."""
        self._features = features

    def predict(self, drawn: IntArray, y: FloatArray, queries: IntArray) -> FloatArray:
        """See :class:`Model`."""
        from sklearn.linear_model import Ridge as Regression

        fitted = Regression(alpha=RIDGE_ALPHA).fit(self._features[drawn], y)
        predicted: FloatArray = fitted.predict(self._features[queries])
        return predicted


class Registered(_Random):
    """A predictor of the registry that needs networks alone, fitted to the target alone."""

    def __init__(self, kind: str, known: Known) -> None:
        """Keep what the kind is fitted on."""
        self._X = known.X
        self._predictor = latbench.predictor(kind).for_table(known.space, None)

    def predict(self, drawn: IntArray, y: FloatArray, queries: IntArray) -> FloatArray:
        """See :class:`Model`."""
        fitted = self._predictor.clone().fit(self._X[drawn], y, calibrate=False)
        return fitted.predict(self._X[queries])


class RidgeTransfer(Ridge):
    """A ridge a source on log latency, then one on their predictions and the one-hots."""

    def __init__(self, known: Known) -> None:
        """Fit the sources."""
        from sklearn.linear_model import Ridge as Regression

        described = one_hot_and_counts(known.space, known.X)
        rows = known.labelled
        guesses = []
        for y in known.sources.values():
            logs = np.log(np.maximum(y[rows], _OUTLIER * np.median(y[rows])))
            guess = Regression(alpha=RIDGE_ALPHA).fit(described[rows], logs).predict(described)
            guesses.append(_TRUST * (guess - logs.mean()) / logs.std())
        super().__init__(np.column_stack([*guesses, known.space.one_hot(known.X)]))


class Transfer(_Random):
    """The predictor ``transfer``; its labels are drawn at random."""

    def __init__(self, known: Known) -> None:
        """Learn from the sources."""
        self._X = known.X
        self._predictor = known.transfer

    def predict(self, drawn: IntArray, y: FloatArray, queries: IntArray) -> FloatArray:
        """See :class:`Model`."""
        return self._predictor.clone().fit(self._X[drawn], y).predict(self._X[queries])


class ChosenTransfer(Transfer):
    """The same; it says which of some candidates to measure, before it has seen any label."""

    def choose(self, pool: IntArray, labels: int, rng: np.random.Generator) -> IntArray:
        """See :class:`Model`."""
        assert isinstance(self._predictor, Suggests)
        candidates = rng.permutation(pool)[: max(CANDIDATES, labels)]
        chosen: IntArray = candidates[self._predictor.suggest(self._X[candidates], labels)]
        return chosen


def features(describe: Callable[[SearchSpace, IntArray], FloatArray]) -> Method:
    """Return the ridge on what ``describe`` says of architectures (n, choices)."""
    return lambda known: Ridge(describe(known.space, known.X))


def registered(*kinds: str) -> dict[str, Method]:
    """Return the predictors of the registry of those ``kinds``, by kind."""
    return {kind: partial(Registered, kind) for kind in kinds}


def one_hot(space: SearchSpace, X: IntArray) -> FloatArray:
    """Return the options of each choice."""
    return space.one_hot(X)


def counts(space: SearchSpace, X: IntArray) -> FloatArray:
    """Return how many choices take each option; all choices must have the same."""
    options = len(space.choices[0].options)
    counted: FloatArray = space.one_hot(X).reshape(len(X), -1, options).sum(axis=1)
    return counted


def one_hot_and_counts(space: SearchSpace, X: IntArray) -> FloatArray:
    """Return both."""
    return np.hstack([space.one_hot(X), counts(space, X)])


def one_hot_and_line(space: SearchSpace, X: IntArray) -> FloatArray:
    """Return the options, and multiply-accumulates that a ridge does not shrink."""
    macs = space.macs(X)
    return np.column_stack([space.one_hot(X), _FREE * (macs - macs.mean()) / macs.std()])


def scores(y: FloatArray, predicted: FloatArray) -> Scores:
    """Return how good predictions (n,) are, by name."""
    return metrics.summary(y, predicted)
