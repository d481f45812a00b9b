"""Checks that an expected latency is exact, with a real gradient, where one is offered."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from latbench.errors import UnavailableError, UsageError
from latbench.prediction.inputs import IntArray
from latbench.predictor import Predictor
from latbench.spaces.space import SearchSpace
from latbench.testing.predictor_fixtures import PredictorFixtures


class PredictorExpectationChecks(PredictorFixtures):
    """One check a rule of :meth:`latbench.predictor.Predictor.expected_ms`."""

    def test_expected_ms_is_refused_or_equals_enumeration(
        self, fitted: Predictor, space: SearchSpace
    ) -> None:
        """The expected latency is the mean over all architectures, to 1e-5, or is not offered."""
        import torch

        if fitted.expected_ms_refusal() is not None:
            with pytest.raises(UnavailableError):
                fitted.expected_ms({})
            return
        torch.manual_seed(3)
        # Three random choices; the others are certain, or there would be too many to enumerate.
        free = range(min(3, len(space.sizes)))
        start = space.sample(np.random.default_rng(3), 1)[0]
        probabilities = _certain(space, start)
        for column in free:
            name = space.choices[column].name
            probabilities[name] = torch.rand(space.sizes[column], dtype=torch.float64).softmax(0)
        mean = 0.0
        for options in itertools.product(*(range(space.sizes[column]) for column in free)):
            X = start.copy()
            X[list(free)] = options
            chance = 1.0
            for column, option in zip(free, options, strict=True):
                chance *= float(probabilities[space.choices[column].name][option])
            mean += chance * fitted.predict(X)[0]
        assert float(fitted.expected_ms(probabilities)) == pytest.approx(mean, rel=1e-5)

    def test_expected_ms_at_an_architecture_is_its_prediction(
        self, fitted: Predictor, space: SearchSpace
    ) -> None:
        """Certain choices give the prediction, and the gradient is what a change would cost."""
        _skip_without_expectation(fitted)
        import torch

        x = space.sample(np.random.default_rng(4), 1)[0]
        probabilities = _certain(space, x)
        for given in probabilities.values():
            given.requires_grad_()
        expected = fitted.expected_ms(probabilities)
        assert expected.item() == pytest.approx(fitted.predict(x)[0], rel=1e-9)
        gradients = torch.autograd.grad(expected, list(probabilities.values()))
        for column, (choice, gradient) in enumerate(zip(space.choices, gradients, strict=True)):
            swapped = np.tile(x, (len(choice.options), 1))
            swapped[:, column] = range(len(choice.options))
            predicted = fitted.predict(swapped)
            np.testing.assert_allclose(
                gradient - gradient[0], predicted - predicted[0], rtol=1e-6, atol=1e-9
            )

    def test_expected_ms_checks_its_probabilities(
        self, fitted: Predictor, space: SearchSpace
    ) -> None:
        """Missing choices, wrong shapes and rows that do not sum to one are refused."""
        _skip_without_expectation(fitted)
        name = space.choices[0].name
        good = _certain(space, space.sample(np.random.default_rng(5), 1)[0])
        missing = {key: value for key, value in good.items() if key != name}
        for bad in (missing, {**good, name: good[name][:-1]}, {**good, name: 2 * good[name]}):
            with pytest.raises(UsageError, match=name):
                fitted.expected_ms(bad)


def _skip_without_expectation(fitted: Predictor) -> None:
    reason = fitted.expected_ms_refusal()
    if reason is not None:
        pytest.skip(reason)


def _certain(space: SearchSpace, x: IntArray) -> dict[str, Any]:
    import torch

    return {
        choice.name: torch.eye(len(choice.options), dtype=torch.float64)[int(option)].clone()
        for choice, option in zip(space.choices, x, strict=True)
    }
