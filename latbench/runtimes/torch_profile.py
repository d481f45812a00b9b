"""PyTorch's layers and their times, from a copy of the module that is profiled.

Eager PyTorch fuses nothing, so a kernel here is one layer: a module without children. What the
``forward`` of a module with children computes itself, such as the sum of a residual, counts as a
kernel of that module.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function

from latbench.runtimes.kernel import CompiledGraph, Kernel

_LEAD_IN = 5
"""Runs that come first and are not counted: they allocate memory and warm the caches."""
_RANGE = "latbench/"
_WHOLE = "latbench"


@dataclass
class _Layer:
    """What the runs said of one module: its times by run, in ms, and its own operators."""

    times_ms: dict[int, float] = field(default_factory=dict)
    operators: dict[str, None] = field(default_factory=dict)


def layers(module: nn.Module) -> list[str]:
    """Return the source nodes of a module: the names of its layers.

    A module that has no children is its own layer, called by its class.
    """
    return [
        _shown(module, name) for name, child in module.named_modules() if not any(child.children())
    ]


def profiled(
    module: nn.Module,
    inputs: Sequence[Tensor],
    runs: int,
    wrap: Callable[[nn.Module], Callable[..., Tensor]] = lambda module: module,
    precision: str | None = "fp32",
    gpu_ms: float | None = None,
) -> CompiledGraph:
    """Return the layers of ``module`` with their median times over ``runs`` runs on ``inputs``.

    The module itself is left as it is; what is run is ``wrap`` of a copy. A layer that no run
    reaches is among the folded. ``precision`` is that of every layer, None where they differ.

    On a GPU, ``gpu_ms`` is the time of the whole run there, and times of layers are those of the
    kernels that they launch; what the host takes to launch them is not in it.
    """
    activities, spent_us = [ProfilerActivity.CPU], _host_us
    if gpu_ms is not None:
        activities, spent_us = [*activities, ProfilerActivity.CUDA], _device_us

    watched = copy.deepcopy(module)
    for name, child in watched.named_modules():
        _watch(child, _RANGE + name)
    run = wrap(watched)
    with torch.inference_mode():
        for _ in range(_LEAD_IN):
            run(*inputs)
        with profile(activities=activities) as profiler:
            for _ in range(runs):
                with record_function(_WHOLE):
                    run(*inputs)
    # Ranges appear once more on the GPU, without the operators inside.
    wholes = [
        event
        for event in profiler.events()
        if event.name == _WHOLE and event.device_type.name == "CPU"
    ]
    found: dict[str, _Layer] = {}
    for number, whole in enumerate(wholes):
        _collect(whole, number, found, spent_us)
    children = dict(watched.named_modules())
    kernels = [
        _kernel(module, children[name], name, layer, len(wholes), precision)
        for name, layer in found.items()
        if layer.operators or not any(children[name].children())
    ]
    reached = {node for kernel in kernels for node in kernel.nodes}
    folded = tuple(name for name in layers(module) if name not in reached)
    whole_ms = gpu_ms or median(map(_host_us, wholes)) / 1e3
    known = dict.fromkeys([*layers(module), *(kernel.name for kernel in kernels)])
    return CompiledGraph(tuple(kernels), folded, whole_ms).check(known, exactly_once=True)


def _watch(module: nn.Module, name: str) -> None:
    """Open a range called ``name`` around each call of ``module``."""
    open_ranges: list[Any] = []

    def enter(_module: nn.Module, _inputs: object) -> None:
        open_ranges.append(record_function(name))
        open_ranges[-1].__enter__()

    def leave(_module: nn.Module, _inputs: object, _output: object) -> None:
        open_ranges.pop().__exit__(None, None, None)

    module.register_forward_pre_hook(enter)
    module.register_forward_hook(leave)


def _host_us(event: Any) -> float:
    return float(event.cpu_time_total)


def _device_us(event: Any) -> float:
    return float(event.device_time_total)


def _collect(
    event: Any, number: int, found: dict[str, _Layer], spent_us: Callable[[Any], float]
) -> None:
    """Add what happened directly in the range ``event`` of run ``number``, then go into it."""
    name = event.name.removeprefix(_RANGE) if event.name.startswith(_RANGE) else None
    for child in event.cpu_children:
        if child.name.startswith(_RANGE):
            _collect(child, number, found, spent_us)
        elif name is not None:
            layer = found.setdefault(name, _Layer())
            layer.operators.setdefault(child.name)
            spent_ms = spent_us(child) / 1e3
            layer.times_ms[number] = layer.times_ms.get(number, 0.0) + spent_ms
    if name is not None and not any(child.name.startswith(_RANGE) for child in event.cpu_children):
        found.setdefault(name, _Layer())  # a layer that computes nothing, such as Identity


def _kernel(
    module: nn.Module,
    child: nn.Module,
    name: str,
    layer: _Layer,
    runs: int,
    precision: str | None,
) -> Kernel:
    own = any(child.children())
    operators = " + ".join(operator.removeprefix("aten::") for operator in layer.operators)
    return Kernel(
        name=_shown(module, name),
        kind=operators if own else type(child).__name__,
        nodes=(_shown(module, name),),
        time_ms=median(layer.times_ms.get(number, 0.0) for number in range(runs)),
        precision=precision,
    )


def _shown(module: nn.Module, name: str) -> str:
    return name or type(module).__name__
