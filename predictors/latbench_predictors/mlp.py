"""A multilayer perceptron on one-hot architectures, beside a robust sum over options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.prediction import conformal
from latbench.prediction.expectation import ChoiceSum, check_probabilities
from latbench.prediction.inputs import FloatArray, IntArray, Space
from latbench.predictor import Predictor
from latbench_predictors import (
    fully_connected,
    known_options,
    one_hot,
    option_sum,
    robust_ridge,
)
from latbench_predictors.known_options import BETWEEN, HAD, share

if TYPE_CHECKING:
    from torch import Tensor

_FLOOR = 0.1  # of the median latency: errors of faster networks are relative to it


class MLP(Predictor):
    """``latency = base * (1 + deviation * network)``, with the network on one-hot architectures.

    The network has five fully connected layers, as the latency predictor of UNAS (Vahdat et al.,
    *UNAS: Differentiable Architecture Search Meets Reinforcement Learning*, 2020), which NVIDIA
    describes as "a simple five layer, fully connected, neural network". There it has to find
    everything by itself, for which a few thousand networks are few. Here it has a shortcut: the
    base is a sum over options (:mod:`latbench_predictors.option_sum`), and the network learns the
    relative errors that the base makes on networks left out, scaled by their deviation. Where it
    finds nothing in them, it stays at zero. ``shortcut=False`` gives the plain network, whose base
    is the median latency.

    ``coverage_of`` is the share of an architecture's options that a fitted network had; a quantity
    between those of fitted networks counts as had, and is told apart by ``support_of``.

    Its expectation is exact where the network stayed at zero. Elsewhere there is none, for the mean
    of a network is not the network of a mean: :class:`latbench.hooks.SampledLatency` estimates it
    without bias, and :meth:`relaxed_ms` is differentiable and says what it is worth.
    """

    kind: ClassVar[str] = "mlp"
    intercept_ms_: float
    options_ms_: FloatArray
    least_ms_: float
    deviation_: float
    layers_: fully_connected.Layers
    seen_: known_options.Known

    def __init__(
        self,
        space: Space,
        width: int = 96,
        shortcut: bool = True,
        epochs: int = 100,
        patience: int = 15,
        batch: int = 128,
        seed: int = 0,
    ) -> None:
        """Store the parameters.

        Args:
            space: whose architectures it takes.
            width: of the four hidden layers.
            shortcut: whether there is a sum over options beside the network.
            epochs: passes over the networks, at most.
            patience: epochs without a better one on networks held out, after which training stops.
            batch: networks a step.
            seed: of the weights, of the networks held out, and of the order.
        """
        super().__init__(space)
        self.width = width
        self.shortcut = shortcut
        self.epochs = epochs
        self.patience = patience
        self.batch = batch
        self.seed = seed

    def _fit(self, X: IntArray, y: FloatArray) -> None:
        numbers = {name: self._whole(name) for name in ("width", "epochs", "patience", "batch")}
        how = fully_connected.Training(seed=self._whole("seed", least=0), **numbers)
        encoded = self.space.one_hot(X)
        middle_ms = float(np.median(y))
        self.least_ms_ = _FLOOR * middle_ms
        if self.shortcut:
            base = option_sum.fit(self.space, X, y, self.least_ms_)
            self.intercept_ms_, self.options_ms_ = base.intercept_ms, base.options_ms
            left_out_ms = base.left_out_ms
        else:
            self.intercept_ms_, self.options_ms_ = middle_ms, np.zeros(encoded.shape[1])
            left_out_ms = np.full(len(y), middle_ms)
        errors = (y - left_out_ms) / robust_ridge.relative_to(left_out_ms, self.least_ms_)
        spread = robust_ridge.spread(errors)
        if spread < robust_ridge.EXACT:
            how = replace(how, epochs=0)  # there is nothing in rounding
        self.deviation_ = max(spread, robust_ridge.EXACT)
        self.layers_ = fully_connected.train(
            encoded, errors / self.deviation_, conformal.different(X)[1], how
        )
        self.seen_ = known_options.known(self.space, X)

    def _whole(self, name: str, least: int = 1) -> int:
        value = getattr(self, name)
        if isinstance(value, bool) or not (isinstance(value, int) and value >= least):
            raise UsageError(f"{name} is {value!r}; give a whole number from {least}")
        return value

    def _predict(self, X: IntArray) -> FloatArray:
        chosen = self.options_ms_[one_hot.columns(self.space, X)]
        base_ms = self.intercept_ms_ + chosen.sum(axis=1)
        errors = self.deviation_ * fully_connected.evaluate(self.layers_, self.space.one_hot(X))
        total: FloatArray = base_ms + errors * robust_ridge.relative_to(base_ms, self.least_ms_)
        return total

    def relaxed_ms(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        """Return the prediction (...) in ms for a mixture, as if it were an architecture.

        The probabilities take the place of the one-hots; at certain choices it is the prediction,
        and between them it is differentiable. It is no expectation. The network was trained on
        corners of a cube and is asked about its inside, where nothing holds it to anything: the
        shortcut is exact there, what the network adds is not, and a search that follows its
        gradient can settle on a mixture that no architecture is like. Compare it with
        :class:`latbench.hooks.SampledLatency` at the distribution you end with. Other than
        :meth:`predict` it knows no floor.

        Args:
            probabilities: choice -> tensor (..., options) whose rows sum to one.

        Raises:
            NotFittedError: it was not fitted.
            UsageError: the probabilities do not fit the space.
        """
        import torch

        self._require_fit()
        sizes = {choice.name: len(choice.options) for choice in self.space.choices}
        encoded = torch.cat(check_probabilities(probabilities, sizes), dim=-1)

        def like(array: FloatArray) -> Tensor:
            return torch.as_tensor(array, dtype=encoded.dtype, device=encoded.device)

        base_ms = self.intercept_ms_ + encoded @ like(self.options_ms_)
        layers = [(like(weights), like(biases)) for weights, biases in self.layers_]
        errors = self.deviation_ * fully_connected.forward(layers, encoded)
        return base_ms + errors * base_ms.clamp(min=self.least_ms_)

    def _sum_over_choices(self) -> ChoiceSum | None:
        if any(array.any() for array in self.layers_[-1]):
            return None
        rows = np.split(self.options_ms_, one_hot.starts(self.space)[1:])
        names = (choice.name for choice in self.space.choices)
        return ChoiceSum(self.intercept_ms_, dict(zip(names, rows, strict=True)))

    def _coverage(self, X: IntArray) -> FloatArray:
        return share(self.seen_, self.space, X, HAD, BETWEEN)

    def _interpolated(self, X: IntArray) -> FloatArray:
        return share(self.seen_, self.space, X, BETWEEN)

    def _unknown(self, X: IntArray) -> list[str]:
        return known_options.unknown(self.seen_, self.space, X)

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        layers = {
            f"{part}{number}": array
            for number, layer in enumerate(self.layers_)
            for part, array in zip(("weights", "biases"), layer, strict=True)
        }
        scalars = np.array([self.intercept_ms_, self.least_ms_, self.deviation_])
        return {"base": scalars, "options_ms": self.options_ms_, "seen": self.seen_, **layers}

    def _restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.intercept_ms_, self.least_ms_, self.deviation_ = map(float, state["base"])
        self.options_ms_, self.seen_ = state["options_ms"], state["seen"]
        self.layers_ = [
            (state[f"weights{number}"], state[f"biases{number}"])
            for number in range(fully_connected.DEPTH)
        ]
