"""PyTorch builds a workload from its recipe, with values that stay ordinary however deep it is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

import latbench
from latbench.runtimes import random_inputs
from latbench.runtimes.torch import TorchRuntime, module_of
from latbench.runtimes.torch_profile import profiled


def activations(module: nn.Module, images: Tensor) -> list[Tensor]:
    """Return what every layer gives."""
    found: list[Tensor] = []
    for layer in module.modules():
        layer.register_forward_hook(lambda layer, inputs, output: found.append(output))
    with torch.inference_mode():
        module.eval()(images)
    return found


def test_values_do_not_vanish_with_depth() -> None:
    """Under torch's own initialisation 48 cells would end in subnormal numbers and zeros."""
    space = latbench.space("nasbench201", image_size=32, cells=16, width=8)
    chain = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|"
    workload = space.network_workload(space.encode(chain))
    images = torch.from_numpy(random_inputs(workload.inputs)["input"])
    deviations = [float(values.std()) for values in activations(module_of(workload), images)]
    assert len(deviations) > 300
    assert min(deviations) > 1e-6
    assert max(deviations) < 1e3


def test_building_leaves_the_random_state() -> None:
    """Who measures in the middle of training draws the same numbers afterwards."""
    space = latbench.space("digits-mobilenet", image_size=16)
    before = torch.get_rng_state()
    module_of(space.network_workload([0] * 8))
    module_of(space.block_workload(space.blocks[1]))
    assert torch.equal(torch.get_rng_state(), before)


def test_networks_are_those_of_the_space() -> None:
    """The recipe builds the architecture it names: as many parameters, the same shapes."""
    space = latbench.space("digits-mobilenet", image_size=16)
    for x in space.sample(np.random.default_rng(0), 3):
        built = module_of(space.network_workload(x)).state_dict()
        expected = space.network(x).state_dict()
        assert {name: values.shape for name, values in built.items()} == {
            name: values.shape for name, values in expected.items()
        }


class Residual(nn.Module):
    """A layer, its sum with the input, and layers that compute nothing or are never called."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(8, 8, 3, padding=1)
        self.same = nn.Identity()
        self.spare = nn.Linear(2, 2)

    def forward(self, images: Tensor) -> Tensor:
        computed: Tensor = self.same(self.layer(images))
        return images + computed


def test_layers_are_kernels_and_sums_belong_to_their_parent() -> None:
    """Each layer is one kernel; what a module computes itself is a kernel of its own."""
    network = nn.Sequential(Residual(), nn.ReLU())
    found = profiled(network, [torch.randn(1, 8, 64, 64)], runs=3)
    kernels = {kernel.name: kernel for kernel in found.kernels}
    assert list(kernels) == ["0.layer", "0.same", "0", "1"]
    assert kernels["0"].kind == "add"
    assert kernels["0.layer"].kind == "Conv2d"
    assert found.folded == ("0.spare",)
    times = {name: kernel.time_ms or 0.0 for name, kernel in kernels.items()}
    assert times["0.layer"] > times["1"] > times["0.same"] == 0.0
    assert sum(times.values()) < (found.whole_ms or 0.0)


def test_a_layer_that_is_called_often_is_one_kernel() -> None:
    """Its time in a run is that of all calls: of sixteen, by far more than that of one."""
    layer = nn.Conv2d(8, 8, 3, padding=1)
    images = [torch.randn(1, 8, 96, 96)]
    (once,) = profiled(nn.Sequential(layer), images, runs=5).kernels
    (often,) = profiled(nn.Sequential(*[layer] * 16), images, runs=5).kernels
    assert (often.time_ms or 0.0) > 2 * (once.time_ms or 0.0)


def test_profiling_leaves_the_module_as_it_is() -> None:
    """The timed module gets no hooks, which would slow it."""
    network = nn.Sequential(nn.ReLU())
    profiled(network, [torch.randn(4)], runs=1)
    assert not network[0]._forward_pre_hooks
    assert not network[0]._forward_hooks


def test_amp_computes_in_bfloat16() -> None:
    """Under autocast the convolutions give bfloat16; what is returned can still be compared."""
    space = latbench.space("digits-mobilenet", image_size=16)
    workload = space.network_workload([0] * 8)
    runtime = TorchRuntime()
    sessions = [runtime.compile(workload, runtime.target("cpu", one)) for one in ("fp32", "amp")]
    assert [session.precision_run for session in sessions] == ["fp32", "amp"]
    exact, rounded = (session.outputs(random_inputs(workload.inputs))[0] for session in sessions)
    assert rounded.dtype == np.float32
    assert (rounded != exact).mean() > 0.5
    told = [{kernel.precision for kernel in session.kernels(1).kernels} for session in sessions]
    assert told == [{"fp32"}, {None}]
    error = np.abs(rounded.astype(np.float64) - exact.astype(np.float64)).max()
    assert error < 0.05 * np.abs(exact.astype(np.float64)).max()
