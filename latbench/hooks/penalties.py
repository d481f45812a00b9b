"""Latency penalties: how an expected latency joins the loss that architecture parameters follow.

Each is called with the task loss and the expected latency in ms, and returns what is differentiated
with respect to the architecture parameters. The weights of a supernet follow the task loss alone: a
product with a function of the latency would rescale their gradient.

=============  =====================================  ===========================================
name           loss                                   whose
=============  =====================================  ===========================================
``additive``   CE + w E / unit                        the lecture's lambda * Lat(theta)
``add#linear`` CE + w (E - R) / R                     ProxylessNAS's and NNI's code
``mul#log``    a CE (ln(E / unit) / ln(R / unit))^b   ProxylessNAS's and NNI's code
``log^beta``   a CE ln(E / unit)^b                    FBNet (arXiv 1812.03443), equation 2
``mul-log2``   CE ln(E / unit)^2                      the lecture's log^2 Lat(theta)
``hinge``      CE + w max(0, E - R) / R               UNAS (arXiv 1912.07651), about the mean
=============  =====================================  ===========================================

CE is the task loss, E the expected latency, R a reference: a budget, or the latency to begin from.
"""

from __future__ import annotations

import difflib
import inspect
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from latbench.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor


class Penalty(ABC):
    """A latency penalty: ``penalty(task_loss, expected_ms)`` is the loss of the architecture.

    Attributes:
        name: what the field calls it.
    """

    name: ClassVar[str]

    @abstractmethod
    def __call__(self, task_loss: Tensor, expected_ms: Tensor) -> Tensor:
        """Return the loss (...) from a task loss and an expected latency in ms, both (...)."""

    @property
    def settings(self) -> dict[str, Any]:
        """Its name and settings as JSON values; :func:`penalty` takes them."""
        return {"name": self.name, **vars(self)}

    def check(self, fastest_ms: float) -> None:
        """Refuse a space in which this penalty would not push towards faster networks.

        Args:
            fastest_ms: latency of the fastest network of the space.

        Raises:
            UsageError: a logarithm or its power would push the wrong way.
        """
        return


class Additive(Penalty):
    """``CE + weight * E / unit_ms``: every unit costs the same."""

    name = "additive"

    def __init__(self, weight: float = 0.1, unit_ms: float = 1.0) -> None:
        """Store what one unit of latency costs, and the unit."""
        self.weight = _above_zero("weight", weight)
        self.unit_ms = _above_zero("unit_ms", unit_ms)

    def __call__(self, task_loss: Tensor, expected_ms: Tensor) -> Tensor:
        """See :class:`Penalty`."""
        return task_loss + self.weight * expected_ms / self.unit_ms


class AddLinear(Penalty):
    """``CE + weight * (E - R) / R``: additive, in shares of a reference."""

    name = "add#linear"

    def __init__(self, reference_ms: float, weight: float = 0.1) -> None:
        """Store the reference, and what it costs to take twice as long."""
        self.reference_ms = _above_zero("reference_ms", reference_ms)
        self.weight = _above_zero("weight", weight)

    def __call__(self, task_loss: Tensor, expected_ms: Tensor) -> Tensor:
        """See :class:`Penalty`."""
        return task_loss + self.weight * (expected_ms - self.reference_ms) / self.reference_ms


class Hinge(Penalty):
    """``CE + weight * max(0, E - R) / R``: nothing is gained below the reference.

    It acts on the mean. A hinge on single samples goes on pushing where the mean is below, because
    some samples still lie above.
    """

    name = "hinge"

    def __init__(self, reference_ms: float, weight: float = 1.0) -> None:
        """Store the limit, and what it costs to take twice as long."""
        self.reference_ms = _above_zero("reference_ms", reference_ms)
        self.weight = _above_zero("weight", weight)

    def __call__(self, task_loss: Tensor, expected_ms: Tensor) -> Tensor:
        """See :class:`Penalty`."""
        over = (expected_ms - self.reference_ms).clamp(min=0.0)
        return task_loss + self.weight * over / self.reference_ms


class _Logarithmic(Penalty):
    """A penalty with ``ln(E / unit_ms)``, which has to be at least 1 in the whole space.

    Below the unit the logarithm is negative: its square grows towards faster networks, and other
    powers are no numbers. Below e units a power of it still grows with the latency, but a change of
    the unit would turn the one case into the other; so the unit has to be stated, and small enough.
    """

    def __init__(self, unit_ms: float) -> None:
        self.unit_ms = _above_zero("unit_ms", unit_ms)

    def check(self, fastest_ms: float) -> None:
        """See :class:`Penalty`."""
        if not fastest_ms >= math.e * self.unit_ms:
            raise UsageError(
                f"{self.name} takes logarithms of latencies in units of {self.unit_ms:g} ms, and "
                f"the fastest network takes {fastest_ms:.4g} ms, below e units; give a unit of at "
                f"most {fastest_ms / math.e:.2g} ms, such as unit_ms={unit_below(fastest_ms)}"
            )

    def _log(self, expected_ms: Tensor) -> Tensor:
        if not bool((expected_ms > self.unit_ms).all()):
            self.check(float(expected_ms.min()))
        return (expected_ms / self.unit_ms).log()


class MulLog(_Logarithmic):
    """``scale * CE * (ln(E / unit_ms) / ln(R / unit_ms)) ** power``."""

    name = "mul#log"

    def __init__(
        self, reference_ms: float, unit_ms: float, scale: float = 0.2, power: float = 0.3
    ) -> None:
        """Store the reference, the unit, and ProxylessNAS's alpha and beta."""
        super().__init__(unit_ms)
        self.reference_ms = _above_zero("reference_ms", reference_ms)
        self.scale = _above_zero("scale", scale)
        self.power = _above_zero("power", power)
        if reference_ms <= unit_ms:
            raise UsageError(
                f"the reference {reference_ms:g} ms is not above the unit {unit_ms:g} ms, so its "
                "logarithm is not above zero; give a smaller unit_ms"
            )

    def __call__(self, task_loss: Tensor, expected_ms: Tensor) -> Tensor:
        """See :class:`Penalty`."""
        share = self._log(expected_ms) / math.log(self.reference_ms / self.unit_ms)
        return self.scale * task_loss * share**self.power


class LogBeta(_Logarithmic):
    """``scale * CE * ln(E / unit_ms) ** power``.

    The scale changes no direction: an optimiser that divides by the size of gradients, such as
    Adam, does not see it. What trades accuracy for latency is the power.
    """

    name = "log^beta"

    def __init__(self, unit_ms: float, scale: float = 0.2, power: float = 0.6) -> None:
        """Store the unit, and FBNet's alpha and beta."""
        super().__init__(unit_ms)
        self.scale = _above_zero("scale", scale)
        self.power = _above_zero("power", power)

    def __call__(self, task_loss: Tensor, expected_ms: Tensor) -> Tensor:
        """See :class:`Penalty`."""
        return self.scale * task_loss * self._log(expected_ms) ** self.power


class MulLog2(_Logarithmic):
    """``CE * ln(E / unit_ms) ** 2``."""

    name = "mul-log2"

    def __init__(self, unit_ms: float) -> None:
        """Store the unit."""
        super().__init__(unit_ms)

    def __call__(self, task_loss: Tensor, expected_ms: Tensor) -> Tensor:
        """See :class:`Penalty`."""
        return task_loss * self._log(expected_ms) ** 2


PENALTIES: dict[str, type[Penalty]] = {
    one.name: one for one in (Additive, AddLinear, Hinge, MulLog, LogBeta, MulLog2)
}


def penalty(name: str, **settings: Any) -> Penalty:
    """Return the penalty that the field calls ``name``.

    Args:
        name: a key of :data:`PENALTIES`.
        **settings: what its constructor takes.

    Raises:
        UsageError: there is no such penalty or setting, one is missing, or a value cannot be.
    """
    if name not in PENALTIES:
        near = difflib.get_close_matches(name, PENALTIES, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"no penalty is called {name!r}; {meant}there are {', '.join(PENALTIES)}")
    takes = inspect.signature(PENALTIES[name]).parameters
    unknown = sorted(set(settings).difference(takes))
    missing = [
        key for key, one in takes.items() if one.default is one.empty and key not in settings
    ]
    if unknown or missing:
        wrong = f"no {', '.join(unknown)}" if unknown else f"a value for {', '.join(missing)}"
        near = difflib.get_close_matches(unknown[0], takes, n=1) if unknown else []
        meant = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"{name} takes {wrong}; its settings: {', '.join(takes)}{meant}")
    return PENALTIES[name](**settings)


def latency_reward(
    latency_ms: float, target_ms: float, exponent: float, capped: bool = False
) -> float:
    """Return ``(target / latency) ** exponent``, by which a score is multiplied.

    ProxylessNAS's REINFORCE takes an exponent of 0.1; MnasNet (arXiv 1807.11626) writes the same as
    ``(latency / target) ** -0.07``.

    Args:
        latency_ms: of the sampled network.
        target_ms: the latency at which the factor is 1.
        exponent: above zero.
        capped: whether the factor stays 1 below the target, so that speed beyond it earns nothing.
    """
    ratio = _above_zero("target_ms", target_ms) / _above_zero("latency_ms", latency_ms)
    return math.pow(min(ratio, 1.0) if capped else ratio, _above_zero("exponent", exponent))


def _above_zero(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{name} is {value!r}; give a number above zero")
    return value


def unit_below(fastest_ms: float) -> float:
    """Return the largest power of ten that is at most an e-th of ``fastest_ms``: a ``unit_ms``."""
    return float(f"1e{math.floor(math.log10(fastest_ms / math.e))}")
