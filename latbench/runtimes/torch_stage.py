"""Where a module of PyTorch runs: what differs between the processor and a card."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from latbench.errors import MeasurementError
from latbench.runtimes.gpu_clock import Lane
from latbench.runtimes.packages import version_of
from latbench.runtimes.runtime import is_processor, reason_of
from latbench.target import Target

if TYPE_CHECKING:
    import torch

Run = Callable[[], None]


class Processor:
    """The processor: a run has ended when its call returns.

    Attributes:
        device: as PyTorch calls it.
        lane: the stream of a GPU that runs are put into; None here.
    """

    lane: Lane | None = None

    def __init__(self) -> None:
        """Use it."""
        import torch

        self.device: torch.device = torch.device("cpu")

    @property
    def autocast_type(self) -> torch.dtype:
        """The type that autocast computes in where nobody asked for one."""
        import torch

        return torch.bfloat16

    def ready(self, run: Run, as_graph: bool) -> Run:
        """Return what begins ``run`` from now on: itself, or its replay as one CUDA graph."""
        return run

    def require_bf16(self) -> None:
        """Refuse a card that could only emulate bf16; every processor may."""

    def wait(self) -> None:
        """Return when all that was begun has ended."""

    def failure(self, failure: Exception, what: str) -> MeasurementError:
        """Return what ``failure``, raised by PyTorch, is on one line that begins with ``what``."""
        return MeasurementError(f"{what}: {reason_of(failure)}")


def without_cuda() -> str:
    """Return that the PyTorch here cannot use a card, and which one can."""
    return (
        f"the PyTorch that is installed here ({version_of('torch')}) is built without CUDA; "
        "install a build with it, as pytorch.org/get-started tells"
    )


def stage_of(target: Target) -> Processor:
    """Return where ``target`` runs.

    Raises:
        UnavailableError: PyTorch cannot use that device here.
    """
    if is_processor(target.device):
        return Processor()
    from latbench.runtimes.torch_card import Card

    return Card(target.device)
