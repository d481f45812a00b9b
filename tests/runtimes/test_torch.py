"""PyTorch builds a workload from its recipe, with values that stay ordinary however deep it is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

import latbench
from latbench.runtimes import random_inputs
from latbench.runtimes.torch import TorchRuntime, module_of


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
    error = np.abs(rounded.astype(np.float64) - exact.astype(np.float64)).max()
    assert error < 0.05 * np.abs(exact.astype(np.float64)).max()
