"""PyTorch compiled by inductor, for the processor or a card."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from types import FunctionType
from typing import TYPE_CHECKING, ClassVar

from latbench.errors import LatbenchError, MeasurementError
from latbench.runtimes.kernel import CompiledGraph
from latbench.runtimes.runtime import PROFILED_RUNS, Session, is_processor, reason_of
from latbench.runtimes.torch import TorchRuntime, TorchSession
from latbench.spaces.workload import Workload
from latbench.target import Target

if TYPE_CHECKING:
    from torch import Tensor, nn


class TorchCompile(TorchRuntime):
    """``torch.compile`` in inference mode; ``amp`` is compiled with autocast inside."""

    name: ClassVar[str] = "torch-compile"

    def available(self) -> str | None:
        """See :class:`Runtime`."""
        return _without_compiler("C++", "CXX", "g++") or super().available()

    def available_on(self, device: str) -> str | None:
        """See :class:`Runtime`; for a card triton compiles, and needs a compiler for C."""
        if is_processor(device):
            return self.available()
        reason = TorchRuntime().available_on(device)
        if reason is None and find_spec("triton") is None:
            reason = "torch.compile needs triton on a GPU; run: pip install triton"
        return reason or _without_compiler("C", "CC", "gcc")

    def _session(self, workload: Workload, target: Target) -> Session:
        return TorchCompileSession(workload, target)


class TorchCompileSession(TorchSession):
    """A module that was compiled as one graph for the shapes of its inputs."""

    refusal: ClassVar[str] = "torch.compile refused it"

    def __init__(self, workload: Workload, target: Target) -> None:
        """Compile the module of ``workload``, which takes seconds."""
        try:
            super().__init__(workload, target)
            self.run_once()  # torch compiles at the first call
        except LatbenchError:
            raise
        # Tracing, inductor and the C++ compiler each have errors of their own.
        except Exception as failure:
            raise MeasurementError(f"{self.refusal}: {reason_of(failure)}") from failure

    def _made(self, module: nn.Module, target: Target) -> Callable[..., Tensor]:
        import torch

        inner = self._wrapped(module)

        def run(*inputs: Tensor) -> Tensor:
            return inner(*inputs)

        compiled: Callable[..., Tensor] = torch.compile(
            _own(run),
            fullgraph=True,
            dynamic=False,
            # Said here, it is part of the key under which inductor keeps what it compiled.
            options={"cpp.threads": target.threads} if is_processor(target.device) else None,
        )
        return compiled

    def kernels(self, runs: int = PROFILED_RUNS) -> CompiledGraph:
        """Refuse: inductor's kernels are not traced to layers."""
        return Session.kernels(self, runs)


def _without_compiler(language: str, variable: str, usual: str) -> str | None:
    """Return that there is no compiler for ``language``, if there is none."""
    compiler = os.environ.get(variable, usual)
    if shutil.which(compiler) is not None:
        return None
    return (
        f"torch.compile needs a {language} compiler and there is no {compiler}; install {usual}, "
        f"or set {variable} to the compiler that is here"
    )


def _own(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a copy of ``function`` with a code object of its own.

    torch keeps what it compiled with the code object, and searches all of it at each call: sessions
    that shared one would slow each other, and after eight of them torch would refuse.
    """
    assert isinstance(function, FunctionType)
    return FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
