"""Expected latency as a torch callable, for the loss of a one-shot search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from latbench.errors import UnavailableError
from latbench.prediction.expectation import ChoiceSum, check_probabilities
from latbench.predictor import Predictor

if TYPE_CHECKING:
    from torch import Tensor

    from latbench.prediction.inputs import Space

Expected = Callable[[Mapping[str, "Tensor"]], "Tensor"]

ENUMERABLE = 100_000
"""The largest space, in architectures, whose predictions are all made and averaged."""


class ExpectedLatency:
    """The mean latency under independent distributions over the options of each choice.

    ``expected(probabilities)`` takes choice -> tensor (..., options), rows that sum to one, and
    returns ms (...) with a gradient. It is always exact.

    Attributes:
        method: how it is exact. ``"sum"``: the predictor's own :meth:`Predictor.expected_ms`;
            ``"enumeration"``: every architecture of a small space is predicted, once, when this
            object is made.
    """

    method: Literal["sum", "enumeration"]

    def __init__(self, predictor: Predictor) -> None:
        """Bind a fitted predictor, with what it has learned by now.

        Raises:
            UnavailableError: no sum, and the space is too large to enumerate.
        """
        reason = predictor.expected_ms_refusal()
        if reason is None:
            self.method = "sum"
            self._expected: Expected = predictor.expected_sum().expected_ms
            return
        sizes = _sizes(predictor.space)
        # Python's own integers: a large space overflows any other.
        count = 1
        for size in sizes.values():
            count *= size
        if count > ENUMERABLE:
            raise UnavailableError(
                f"{reason}; and its {count:.3g} architectures are too many to enumerate "
                f"({ENUMERABLE} are not)"
            )
        self.method = "enumeration"
        self._expected = _Enumeration(predictor)

    @classmethod
    def from_table(
        cls,
        options_ms: Mapping[str, Sequence[float] | npt.NDArray[np.float64]],
        fixed_ms: float = 0.0,
    ) -> ExpectedLatency:
        """Return the expectation of a table, for anybody's supernet; it needs no space.

        Args:
            options_ms: choice -> ms of each of its options.
            fixed_ms: what every architecture costs beside them.

        Raises:
            UsageError: a value is no latency of at least zero.
        """
        self = cls.__new__(cls)
        self.method = "sum"
        self._expected = ChoiceSum.from_table(options_ms, fixed_ms).expected_ms
        return self

    def __call__(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        """Return the expected latency (...) in ms.

        Raises:
            UsageError: a choice is missing or unknown, a shape is wrong, or rows do not sum to one.
        """
        return self._expected(probabilities)


class _Enumeration:
    def __init__(self, predictor: Predictor) -> None:
        self._sizes = _sizes(predictor.space)
        counts = tuple(self._sizes.values())
        every = np.indices(counts).reshape(len(counts), -1).T
        self._latency_ms = predictor.predict(every)

    def __call__(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        import torch

        ordered = check_probabilities(probabilities, self._sizes)
        leading = ordered[0].shape[:-1]
        mean = torch.as_tensor(self._latency_ms, dtype=ordered[0].dtype, device=ordered[0].device)
        # The last choice varies fastest; averaging over it leaves the same table of the others.
        for given in reversed(ordered):
            rows = given.reshape(-1, given.shape[-1], 1)
            mean = (mean.reshape(-1, mean.shape[-1] // rows.shape[1], rows.shape[1]) @ rows)[..., 0]
        return mean.reshape(leading)


def _sizes(space: Space) -> dict[str, int]:
    return {choice.name: len(choice.options) for choice in space.choices}
