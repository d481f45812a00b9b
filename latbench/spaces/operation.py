"""What a place of a space can hold: the contract, and the operations that only join or drop.

An operation is a small frozen value: what it computes, without weights. It knows the shape it
gives, what it costs, and how to build itself as a torch module. Shapes are without the batch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]


class Operation(ABC):
    """One candidate computation, a frozen dataclass in every subclass.

    Attributes:
        passes_through: the output is the input itself, so nothing is compiled or timed.
        is_zero: the output is nothing at all, so whatever only feeds it is pruned.
        joins: any number of inputs of one shape is accepted; dead ones are left out.
    """

    passes_through: bool = False
    is_zero: bool = False
    joins: bool = False

    @property
    @abstractmethod
    def key(self) -> str:
        """A readable name, equal exactly for equal operations."""

    @abstractmethod
    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return the shape of the output for these input shapes."""

    @abstractmethod
    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return the multiply-accumulates of convolutions and matrix products for one image."""

    @abstractmethod
    def params(self) -> int:
        """Return the number of trainable parameters."""

    def moved(self, inputs: tuple[Shape, ...]) -> int:
        """Return the values read and written for one image: inputs, output and parameters.

        An operation of several steps overrides it, to count what they hand on to each other.
        """
        maps = sum(math.prod(shape) for shape in (*inputs, self.output_shape(inputs)))
        return maps + self.params()

    @abstractmethod
    def module(self) -> nn.Module:
        """Return a new torch module with freshly drawn weights."""

    @property
    def rectifies(self) -> bool:
        """Whether it sees its input through a ReLU alone, which a compiler may apply elsewhere."""
        return False

    @property
    def family(self) -> Hashable | None:
        """What candidates of a place must have in common to share weights in a supernet.

        None for one that shares none. See :mod:`latbench.spaces.entanglement` for what the modules
        of a family have to look like.
        """
        return None


@dataclass(frozen=True)
class Identity(Operation):
    """The input, unchanged: ``skip`` where width and stride allow it."""

    passes_through = True

    @property
    def key(self) -> str:
        """See :class:`Operation`."""
        return "identity"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return the shape of the only input."""
        (shape,) = inputs
        return shape

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return 0: nothing is computed."""
        return 0

    def params(self) -> int:
        """Return 0: nothing is learned."""
        return 0

    def module(self) -> nn.Module:
        """Return ``torch.nn.Identity``."""
        from torch import nn

        return nn.Identity()


@dataclass(frozen=True)
class Zero(Operation):
    """No connection. It has a shape, so that what follows can be laid out, but no value."""

    shape: Shape

    is_zero = True

    @property
    def key(self) -> str:
        """See :class:`Operation`."""
        return "zero"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return the shape that the place gives with its other candidates."""
        return self.shape

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return 0: nothing is computed."""
        return 0

    def params(self) -> int:
        """Return 0: nothing is learned."""
        return 0

    def module(self) -> nn.Module:
        """Return a module that gives zeros of the input's shape."""
        from latbench.spaces.layers import Zeros

        return Zeros()


@dataclass(frozen=True)
class Sum(Operation):
    """The sum of all inputs that are alive; one input alone passes through."""

    joins = True

    @property
    def key(self) -> str:
        """See :class:`Operation`."""
        return "sum"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return the common shape of the inputs."""
        if len(set(inputs)) != 1:
            raise ValueError(f"a sum needs inputs of one shape, got {inputs}")
        return inputs[0]

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return 0: additions are not multiply-accumulates."""
        return 0

    def params(self) -> int:
        """Return 0: nothing is learned."""
        return 0

    def module(self) -> nn.Module:
        """Return a module that adds its arguments."""
        from latbench.spaces.layers import AddAll

        return AddAll()


@dataclass(frozen=True)
class Concat(Operation):
    """All inputs, joined along the channels.

    Unlike a sum it cannot leave a dead input out, because its width would change; so it counts as
    an operation, which is dead as soon as one of its inputs is.
    """

    @property
    def key(self) -> str:
        """See :class:`Operation`."""
        return "concat"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return ``(sum of channels, h, w)``."""
        sizes = {shape[1:] for shape in inputs}
        if len(sizes) != 1:
            raise ValueError(f"a concatenation needs maps of one size, got {inputs}")
        return sum(shape[0] for shape in inputs), *sizes.pop()

    def macs(self, inputs: tuple[Shape, ...]) -> int:
        """Return 0: nothing is computed."""
        return 0

    def params(self) -> int:
        """Return 0: nothing is learned."""
        return 0

    def module(self) -> nn.Module:
        """Return a module that concatenates its arguments."""
        from latbench.spaces.layers import ConcatAll

        return ConcatAll()
