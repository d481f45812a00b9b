"""PyTorch, eager, on the processor or a card: the network as it would run in a user's script."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from latbench.errors import MeasurementError, UnavailableError, UsageError
from latbench.registry import SPACES, load
from latbench.runtimes.gpu_options import GPU_OPTIONS, clock_for, mode_of, refuse_unknown
from latbench.runtimes.inputs import Array, random_inputs
from latbench.runtimes.kernel import CompiledGraph
from latbench.runtimes.packages import obstacle, require_library, require_part, version_of
from latbench.runtimes.run_times import RunTimes, run_times
from latbench.runtimes.runtime import PROFILED_RUNS, Runtime, Session, is_processor
from latbench.runtimes.torch_stage import stage_of, without_cuda
from latbench.spaces.workload import Workload
from latbench.target import Target

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


_IMAGES = 4
"""Dimensions of a tensor of images, the only one that has a layout."""
_TYPES = {"fp16": "float16", "bf16": "bfloat16"}
_KNOWN = {"autocast": tuple(_TYPES), "layout": ("nchw", "nhwc")}


class TorchRuntime(Runtime):
    """Eager PyTorch in inference mode, with TF32 off; ``amp`` computes under autocast."""

    name: ClassVar[str] = "torch"
    one_kernel_a_node: ClassVar[bool] = True
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "amp")
    device_kinds: ClassVar[tuple[str, ...]] = ("cpu", "gpu", "soc")
    options: ClassVar[Mapping[str, str]] = {
        "autocast": "type that amp computes in: fp16 (default on a GPU) or bf16 (default on a CPU)",
        "layout": "how tensors of images lie in memory: nchw (default), or nhwc (channels last)",
        **GPU_OPTIONS,
    }

    def available(self) -> str | None:
        """See :class:`Runtime`."""
        # Loading PyTorch takes seconds, and the runtime is asked by commands that never run it.
        return obstacle("torch", partial(require_library, "torch", "_C"))

    def available_on(self, device: str) -> str | None:
        """See :class:`Runtime`."""
        reason = self.available()
        if reason is not None or is_processor(device):
            return reason
        # The commonest reason, told without the seconds that it takes to load PyTorch.
        if version_of("torch").endswith("+cpu"):
            return without_cuda()
        reason = _not_loaded()
        if reason is not None:
            return reason
        from latbench.runtimes.torch_card import missing

        return missing(device)

    def version(self) -> str:
        """See :class:`Runtime`."""
        return version_of("torch")

    def mode(self, options: Mapping[str, str]) -> str:
        """See :class:`Runtime`."""
        return mode_of(options)

    def check(self, target: Target) -> None:
        """See :class:`Runtime`."""
        super().check(target)
        refuse_unknown(target.options, _KNOWN)
        refuse_unknown(target.options)
        names = [name for name, _ in target.options]
        if "autocast" in names and target.precision != "amp":
            raise UsageError(
                f"autocast is an option of the precision amp, and this is {target.precision}; "
                f"write --runtime {self.name}:amp, or leave it out"
            )
        of_gpus = [name for name in names if name in GPU_OPTIONS]
        if of_gpus and is_processor(target.device):
            raise UsageError(f"{of_gpus[0]} is an option for GPUs, not for the {target.device}")

    def _compile(self, workload: Workload, target: Target) -> Session:
        reason = _not_loaded()
        if reason is not None:
            raise UnavailableError(reason)
        return self._session(workload, target)

    def _session(self, workload: Workload, target: Target) -> Session:
        return TorchSession(workload, target)

    def reference(self, workload: Workload, target: Target) -> Session:
        """See :class:`Runtime`; eager PyTorch, whose weights are drawn by torch."""
        plain = dataclasses.replace(
            target, runtime=TorchRuntime.name, precision="fp32", options=(), mode="host"
        )
        return TorchRuntime().compile(workload, plain)


def _not_loaded() -> str | None:
    """Load PyTorch, which :meth:`TorchRuntime.available` leaves out; return why that fails."""
    return obstacle("torch", partial(require_part, "torch", "nn"))


class TorchSession(Session):
    """A module in evaluation mode, with its inputs as tensors that stay where they are."""

    refusal: ClassVar[str] = "torch cannot run it"

    def __init__(self, workload: Workload, target: Target) -> None:
        """Build the module of ``workload``, to be run as ``target`` says.

        Raises:
            MeasurementError: there is no module of it, or PyTorch cannot run it.
            UnavailableError: PyTorch cannot use the device.
        """
        import torch

        torch.set_num_threads(target.threads)
        self.precision_run = target.precision
        options = dict(target.options)
        self._stage = stage_of(target)
        self._inference = torch.inference_mode
        self._names = [spec.name for spec in workload.inputs]
        self._layout = torch.channels_last if options.get("layout") == "nhwc" else None
        try:
            self._autocast = self._type_of(options) if target.precision == "amp" else None
            self._module = self._placed_module(module_of(workload).eval())
            self._run = self._made(self._module, target)
            self._values = random_inputs(workload.inputs)
            self._inputs = [self._placed(self._values[name]) for name in self._names]
            with self._inference():
                self._begin = self._stage.ready(self._compute, options.get("launch") == "graph")
        except RuntimeError as failure:
            raise self._stage.failure(failure, self.refusal) from failure
        if self._stage.lane is not None:
            self.clock = clock_for(options, self._stage.lane)

    def _type_of(self, options: Mapping[str, str]) -> torch.dtype:
        import torch

        if options.get("autocast") == "bf16":
            self._stage.require_bf16()
        if "autocast" in options:
            found: torch.dtype = getattr(torch, _TYPES[options["autocast"]])
            return found
        return self._stage.autocast_type

    def _placed_module(self, module: nn.Module) -> nn.Module:
        placed = module.to(self._stage.device)
        return placed if self._layout is None else placed.to(memory_format=self._layout)  # type: ignore[call-overload]

    def _placed(self, values: Array) -> Tensor:
        import torch

        # A copy: what lies in place is written over for other inputs.
        tensor = torch.tensor(values)
        if self._layout is not None and tensor.dim() == _IMAGES:
            tensor = tensor.contiguous(memory_format=self._layout)
        return tensor.to(self._stage.device)

    def _made(self, module: nn.Module, target: Target) -> Callable[..., Tensor]:
        """Return what is called to run ``module``."""
        return self._wrapped(module)

    def _wrapped(self, module: nn.Module) -> Callable[..., Tensor]:
        """Return ``module``, under autocast if that was asked for."""
        if self._autocast is None:
            return module
        return autocast(module, self._stage.device.type, self._autocast)

    def _compute(self) -> None:
        self._output = self._run(*self._inputs)

    def run_once(self) -> None:
        """See :class:`Session`."""
        self.begin()
        self._stage.wait()

    def begin(self) -> None:
        """See :class:`Session`."""
        try:
            with self._inference():
                self._begin()
        except RuntimeError as failure:
            raise self._stage.failure(failure, "torch cannot run it") from failure

    def run_times(self, runs: int = PROFILED_RUNS) -> RunTimes | None:
        """See :class:`Session`."""
        lane = self._stage.lane
        return None if lane is None else run_times(lane, self.begin, runs)

    def _outputs(self, inputs: Mapping[str, Array]) -> list[Array]:
        self._fill(inputs)
        self.begin()
        given: Array = self._output.float().cpu().numpy().copy()
        self._fill(self._values)
        return [given]

    def _fill(self, inputs: Mapping[str, Array]) -> None:
        """Write ``inputs`` over those in place; other tensors would be compiled for again."""
        import torch

        with self._inference():
            for name, tensor in zip(self._names, self._inputs, strict=True):
                tensor.copy_(torch.from_numpy(np.ascontiguousarray(inputs[name])))

    def kernels(self, runs: int = PROFILED_RUNS) -> CompiledGraph:
        """See :class:`Session`; its source nodes are layers."""
        from latbench.runtimes.torch_profile import profiled

        # Autocast decides for each operator, and the profile does not tell.
        precision = "fp32" if self._autocast is None else None
        times = self.run_times(runs)
        whole_ms = None if times is None else median(times.gpu_ms)
        return profiled(self._module, self._inputs, runs, self._wrapped, precision, whole_ms)


def autocast(module: nn.Module, device: str, dtype: torch.dtype) -> Callable[..., Tensor]:
    """Return a function that runs ``module`` in ``dtype`` where autocast holds that safe."""
    import torch

    def run(*inputs: Tensor) -> Tensor:
        with torch.autocast(device, dtype):
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
