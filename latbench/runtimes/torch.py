"""PyTorch, eager, on the processor: the network as it would run in the user's own script."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from latbench.errors import MeasurementError
from latbench.registry import SPACES, load
from latbench.runtimes.kernel import CompiledGraph
from latbench.runtimes.runtime import PROFILED_RUNS, Array, Runtime, Session, random_inputs
from latbench.spaces.workload import Workload
from latbench.target import Target

if TYPE_CHECKING:
    from torch import Tensor, nn


class TorchRuntime(Runtime):
    """Eager PyTorch in inference mode; ``amp`` computes in bfloat16 where autocast does."""

    name: ClassVar[str] = "torch"
    one_kernel_a_node: ClassVar[bool] = True
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "amp")

    def available(self) -> str | None:
        """See :class:`Runtime`."""
        if find_spec("torch") is None:
            return "the package torch is not installed; run: pip install torch"
        return None

    def version(self) -> str:
        """See :class:`Runtime`."""
        return version("torch")

    def _compile(self, workload: Workload, target: Target) -> Session:
        return TorchSession(workload, target)

    def reference(self, workload: Workload, target: Target) -> Session:
        """See :class:`Runtime`; eager PyTorch, whose weights are drawn by torch."""
        return TorchSession(workload, dataclasses.replace(target, precision="fp32"))


class TorchSession(Session):
    """A module in evaluation mode with its inputs as tensors."""

    def __init__(self, workload: Workload, target: Target) -> None:
        """Build the module of ``workload``, to be run as ``target`` says."""
        import torch

        torch.set_num_threads(target.threads)
        self.precision_run = target.precision
        self._module = module_of(workload).eval()
        self._run = self._made(self._module, target)
        self._names = [spec.name for spec in workload.inputs]
        inputs = random_inputs(workload.inputs)
        self._inputs = [torch.from_numpy(inputs[name]) for name in self._names]
        self._inference = torch.inference_mode

    def _made(self, module: nn.Module, target: Target) -> Callable[..., Tensor]:
        """Return what is called to run ``module``."""
        return module if target.precision == "fp32" else autocast(module)

    def run_once(self) -> None:
        """See :class:`Session`."""
        with self._inference():
            self._run(*self._inputs)

    def outputs(self, inputs: Mapping[str, Array]) -> list[Array]:
        """See :class:`Session`."""
        import torch

        # Tensors made in inference mode are of another kind: torch.compile would compile again.
        tensors = [torch.from_numpy(np.asarray(inputs[name])) for name in self._names]
        with self._inference():
            return [self._run(*tensors).float().numpy()]

    def kernels(self, runs: int = PROFILED_RUNS) -> CompiledGraph:
        """See :class:`Session`; its source nodes are layers."""
        from latbench.runtimes.torch_profile import profiled

        if self.precision_run == "amp":
            # Autocast decides for each operator, and the profile does not tell.
            return profiled(self._module, self._inputs, runs, autocast, precision=None)
        return profiled(self._module, self._inputs, runs)


def autocast(module: nn.Module) -> Callable[..., Tensor]:
    """Return a function that runs ``module`` in bfloat16 where autocast holds that safe."""
    import torch

    def run(*inputs: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            result: Tensor = module(*inputs)
            return result

    return run


def module_of(workload: Workload) -> nn.Module:
    """Return the torch module that ``workload`` describes; equal workloads get equal weights.

    Those are the trained ones where its recipe names them.

    Raises:
        MeasurementError: the workload is an ONNX file, for which there is no torch module.
    """
    from safetensors.torch import load_file
    from torch import nn

    from latbench.spaces.network import drawn_from

    with drawn_from(0):
        module = _built(workload)
        if "weights" in workload.recipe:
            module.load_state_dict(load_file(workload.recipe["weights"]))
            return module
        # torch's own initialisation lets values shrink with depth, in the end to subnormal
        # numbers, which run at another speed.
        for weight in module.parameters():
            if weight.dim() > 1:
                nn.init.kaiming_normal_(weight, nonlinearity="relu")
    return module


def _built(workload: Workload) -> nn.Module:
    recipe = workload.recipe
    if recipe["kind"] == "file":
        raise MeasurementError(
            f"{workload.name} exists as ONNX only, and torch runs modules; time it with "
            "another runtime, such as onnxruntime"
        )
    space = load(SPACES, recipe["space"]["name"])(**recipe["space"]["options"])
    if recipe["kind"] == "network":
        module: nn.Module = space.network(np.array(recipe["arch"]))
        return module
    operations = {block.key: block.operation for block in space.blocks}
    built: nn.Module = operations[recipe["block"]].module()
    return built
