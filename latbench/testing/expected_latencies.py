"""What every expected latency must do: subclass :class:`ExpectedLatencySuite`.

.. code-block:: python

    class TestMyHook(ExpectedLatencySuite):
        def make_hook(self):
            return Hook(MyExpectedLatency(predictor), predictor.predict, {"first": 3, "second": 2})
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from latbench.errors import UsageError
from latbench.hooks.penalties import PENALTIES
from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.testing.unmet import unmet
from latbench.training.task import Expected, PerArchitecture

__all__ = ["ExpectedLatencySuite", "Hook"]

_CALLS = 2000
"""Of what is sampled: the mean over so many has a small error."""


@dataclass(frozen=True, eq=False)
class Hook:
    """What is under test, and what it has to agree with.

    Attributes:
        expected: chances of the options of each choice to a mean latency in ms, with a gradient.
        predict_ms: latencies (n,) of architectures (n, choices).
        sizes: choice -> number of options, some thousand architectures at most.
        exact: whether ``expected`` gives the mean itself; else it estimates it without bias.
    """

    expected: Expected
    predict_ms: PerArchitecture
    sizes: Mapping[str, int]
    exact: bool = True

    @property
    def every(self) -> IntArray:
        """All architectures (n, choices)."""
        return np.array(list(itertools.product(*map(range, self.sizes.values()))))

    def certain(self, x: IntArray) -> dict[str, Tensor]:
        """Return the chances that are 1 for the options of ``x`` (choices,)."""
        return {
            name: torch.eye(size, dtype=torch.float64)[int(option)].clone()
            for (name, size), option in zip(self.sizes.items(), x, strict=True)
        }


class ExpectedLatencySuite(ABC):
    """One check a rule of what a supernet may take for its expected latency."""

    @abstractmethod
    def make_hook(self) -> Hook:
        """Return what is under test."""

    @pytest.fixture
    def hook(self) -> Hook:
        """What is under test."""
        return self.make_hook()

    @pytest.fixture
    def alphas(self, hook: Hook) -> dict[str, Tensor]:
        """Some architecture parameters, (options,) each."""
        draw = torch.Generator().manual_seed(0)
        return {
            name: torch.randn(size, generator=draw, dtype=torch.float64)
            for name, size in hook.sizes.items()
        }

    def test_value_and_gradient_are_those_of_enumeration(
        self, hook: Hook, alphas: dict[str, Tensor]
    ) -> None:
        """To 1e-5, and within four standard errors where it samples, for every parameter."""
        calls = 1 if hook.exact else _CALLS
        rows = {
            name: alpha.expand(calls, -1).clone().requires_grad_() for name, alpha in alphas.items()
        }
        values = hook.expected({name: row.softmax(-1) for name, row in rows.items()})
        assert values.shape == (calls,)
        gradients = torch.cat(torch.autograd.grad(values.sum(), list(rows.values())), dim=-1)
        value, gradient = _enumerated(hook, alphas)
        _agree(values.detach(), value)
        _agree(gradients, gradient)
        assert bool((gradient.abs() > 1e-3 * value).any()), "the latencies hardly differ"

    def test_certain_choices_have_their_prediction(self, hook: Hook) -> None:
        """At a one-hot it is what the predictor says of that architecture."""
        every = hook.every
        for x in every[np.random.default_rng(0).integers(len(every), size=20)]:
            found = hook.expected(hook.certain(x))
            assert found.shape == ()
            assert found.item() == pytest.approx(hook.predict_ms(x[np.newaxis])[0], rel=1e-5)

    @pytest.mark.parametrize("name", sorted(PENALTIES))
    def test_the_latency_alone_leads_to_the_fastest(self, hook: Hook, name: str) -> None:
        """With a constant task loss and a target that nothing meets, for every penalty."""
        latencies_ms = hook.predict_ms(hook.every)
        penalised = unmet(name, float(latencies_ms.min()))
        alphas = {one: torch.zeros(size, requires_grad=True) for one, size in hook.sizes.items()}
        optimizer = torch.optim.Adam(alphas.values(), lr=0.1)
        for _ in range(200):
            optimizer.zero_grad()
            expected_ms = hook.expected({one: row.softmax(-1) for one, row in alphas.items()})
            torch.autograd.backward(penalised(torch.tensor(1.5), expected_ms))
            optimizer.step()
        x = np.array([[int(row.argmax()) for row in alphas.values()]])
        # By its latency: others may be as fast.
        assert hook.predict_ms(x)[0] == pytest.approx(latencies_ms.min(), rel=1e-9)

    def test_what_is_no_distribution_is_refused(self, hook: Hook) -> None:
        """A choice that is missing, one too short, and one that does not sum to one."""
        good = hook.certain(hook.every[0])
        name = next(iter(good))
        missing = {one: row for one, row in good.items() if one != name}
        for bad in (missing, {**good, name: good[name][:-1]}, {**good, name: 2 * good[name]}):
            with pytest.raises(UsageError, match=name):
                hook.expected(bad)


def _enumerated(hook: Hook, alphas: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the mean over all architectures, and its gradient in all alphas (options,)."""
    given = [alpha.clone().requires_grad_() for alpha in alphas.values()]
    every = torch.from_numpy(hook.every)
    chances = torch.ones(len(every), dtype=torch.float64)
    for alpha, column in zip(given, every.T, strict=True):
        chances = chances * alpha.softmax(-1)[column]
    value = chances @ torch.from_numpy(_as_floats(hook.predict_ms(hook.every)))
    return value.detach(), torch.cat(torch.autograd.grad(value, given))


def _as_floats(values: FloatArray) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _agree(found: Tensor, true: Tensor) -> None:
    """Check that the mean of ``found`` (calls, ...) is ``true`` (...)."""
    calls = len(found)
    errors = found.std(dim=0) / calls**0.5 if calls > 1 else torch.zeros_like(true)
    allowed = 1e-5 * true.abs().max() + 4 * errors
    assert bool(((found.mean(dim=0) - true).abs() <= allowed).all()), (found.mean(dim=0), true)
