"""Expected latency under a distribution over architectures, where the latency is a sum.

With independent choices the mean of ``fixed + sum_c t_c[x_c]`` is ``fixed + sum_c p_c . t_c``:
exact, with a gradient in every probability (Wu et al., *FBNet*, 2019, eq. 3). So is that of a sum
over pairs of choices, ``sum p_c' W_cd p_d``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.registry import nearest

if TYPE_CHECKING:
    from torch import Tensor

FloatArray = npt.NDArray[np.float64]


def check_probabilities(
    probabilities: Mapping[str, Tensor], sizes: Mapping[str, int]
) -> list[Tensor]:
    """Return the probabilities in the order of ``sizes``.

    Args:
        probabilities: choice -> floating tensor (..., options), with the same leading shape for
            every choice; each row sums to one.
        sizes: choice -> number of options.

    Raises:
        UsageError: a choice is missing or unknown, a tensor has another shape or dtype, or its
            rows are no distributions.
    """
    if set(probabilities) != set(sizes):
        odd = sorted(set(probabilities) ^ set(sizes))[0]
        if odd in sizes:
            raise UsageError(f"no probabilities for the choice {odd!r}; give every choice some")
        raise UsageError(f"{odd!r} is no choice here{nearest(odd, sizes)}")
    ordered = [probabilities[name] for name in sizes]
    leading = ordered[0].shape[:-1] if ordered else ()
    for (name, size), given in zip(sizes.items(), ordered, strict=True):
        if not given.is_floating_point():
            raise UsageError(f"the probabilities of {name} are {given.dtype}; give floats")
        if given.shape != (*leading, size):
            raise UsageError(
                f"the probabilities of {name} have the shape {tuple(given.shape)}; expected "
                f"{(*leading, size)}: the leading axes of the first choice, and {size} options"
            )
    if ordered and not _clearly_good(ordered):
        for name, given in zip(sizes, ordered, strict=True):
            _check_rows(name, given)
    return ordered


_SLACK = 1e-4


def _clearly_good(ordered: Sequence[Tensor]) -> bool:
    """Return whether all rows are distributions by the strictest measure, in few operations."""
    import torch

    values = torch.cat([given.detach() for given in ordered], dim=-1).double()
    members = _members(tuple(given.shape[-1] for given in ordered)).to(values.device)
    # A NaN or an infinity spoils the sums of other choices too, and is looked for one by one.
    return bool((((values @ members) - 1).abs() <= _SLACK).all() & (values >= -_SLACK).all())


@lru_cache
def _members(sizes: tuple[int, ...]) -> Tensor:
    """Return which option belongs to which choice, (all options, choices), as ones and zeros."""
    import torch

    each = torch.eye(len(sizes), dtype=torch.float64)
    return each.repeat_interleave(torch.tensor(sizes), dim=0)


def _check_rows(name: str, given: Tensor) -> None:
    import torch

    values = given.detach()
    # Half precision cannot sum to one any closer than the root of its step.
    slack = max(_SLACK, torch.finfo(values.dtype).eps ** 0.5)
    sums = values.double().sum(-1)
    # Written so that a NaN fails too.
    good = ((sums - 1).abs() <= slack) & (values >= -slack).all(-1)
    if not bool(good.all()):
        raise UsageError(
            f"the probabilities of {name} are no distribution: the rows must be at least 0 and sum "
            f"to one; got a row that sums to {float(sums[~good].flatten()[0]):g} with the least "
            f"entry {float(values.min()):g}: give softmax(alpha), not alpha"
        )


@dataclass(frozen=True)
class ChoiceSum:
    """A latency that is a sum: a fixed part, one addend for each choice, perhaps one for each pair.

    Attributes:
        fixed_ms: what every architecture costs.
        options_ms: choice -> what each of its options adds (options,).
        pairs_ms: what options of two choices in a row add together: choice -> (options, options of
            the next choice of ``options_ms``).
    """

    fixed_ms: float
    options_ms: Mapping[str, FloatArray]
    pairs_ms: Mapping[str, FloatArray] = field(default_factory=dict)

    @classmethod
    def from_table(
        cls, options_ms: Mapping[str, Sequence[float] | FloatArray], fixed_ms: float = 0.0
    ) -> ChoiceSum:
        """Return the sum over a table that people give.

        Raises:
            UsageError: the table is empty, or a value is no latency of at least zero.
        """
        if not options_ms:
            raise UsageError("the table is empty; give each choice a list of ms, one an option")
        tables = {name: np.array(row) for name, row in options_ms.items()}
        for name, row in {**tables, "the fixed part": np.array([fixed_ms])}.items():
            if row.ndim != 1 or not row.size or row.dtype.kind not in "iuf":
                raise UsageError(f"{name} needs a flat list of ms, one an option; got {row!r}")
            wrong = ~(np.isfinite(row) & (row >= 0))
            if wrong.any():
                raise UsageError(
                    f"option {int(np.argmax(wrong))} of {name} costs {row[wrong][0]} ms; a latency "
                    "is finite and at least zero: measure it again"
                )
        return cls(float(fixed_ms), {name: row.astype(float) for name, row in tables.items()})

    @property
    def lowest_ms(self) -> float:
        """The latency of the fastest architecture, found choice by choice (Viterbi's algorithm)."""
        least_ms = np.zeros(1)
        between: FloatArray | None = None
        for name, row in self.options_ms.items():
            steps = least_ms[:, None] if between is None else least_ms[:, None] + between
            least_ms = steps.min(axis=0) + row
            between = self.pairs_ms.get(name)
        return self.fixed_ms + float(least_ms.min())

    def expected_ms(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        """Return the mean latency (...) in ms, with a gradient in the probabilities.

        Args:
            probabilities: choice -> tensor (..., options); see :func:`check_probabilities`.

        Raises:
            UsageError: the probabilities do not fit the choices.
        """
        import torch

        sizes = {name: len(row) for name, row in self.options_ms.items()}
        together = torch.cat(check_probabilities(probabilities, sizes), dim=-1)

        def like(array: FloatArray) -> Tensor:
            return torch.as_tensor(array, dtype=together.dtype, device=together.device)

        total = self.fixed_ms + together @ like(np.concatenate([*self.options_ms.values()]))
        if self.pairs_ms:
            total = total + ((together @ like(self._pairs)) * together).sum(-1)
        return total

    @cached_property
    def _pairs(self) -> FloatArray:
        """What any two options add together, (all options, all options)."""
        starts = np.cumsum([0, *(len(row) for row in self.options_ms.values())])
        every = np.zeros((starts[-1], starts[-1]))
        for number, name in enumerate(self.options_ms):
            if name in self.pairs_ms:
                here, there, end = starts[number : number + 3]
                every[here:there, there:end] = self.pairs_ms[name]
        return every
