"""One network from inside: its kernels belong to blocks, and the parts add up to the run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import latbench
from latbench.errors import MeasurementError
from latbench.profiling.process import LocalExecutor
from latbench.reports import Inside
from latbench.runtimes import CompiledGraph, Kernel
from latbench.spaces import SearchSpace, Workload
from latbench.target import Target
from latbench.workflows.compare import Compared, compare
from latbench.workflows.inside import inside
from latbench.workflows.measured import Measured
from latbench.workflows.setting import Setting

SPACES = {
    "digits-mobilenet": {"image_size": 16},
    "nasbench201": {"image_size": 8, "cells": 1},
    "darts": {"image_size": 8, "width": 4, "cells": 4},
}


class Telling(LocalExecutor):
    """Tells a compiled graph without compiling, or what went wrong."""

    def __init__(self, told: CompiledGraph | MeasurementError) -> None:
        super().__init__()
        self._told = told
        self.asked: list[Workload] = []

    def describe(self, workload: Workload, target: Target, runs: int = 20) -> CompiledGraph:
        self.asked.append(workload)
        if isinstance(self._told, MeasurementError):
            raise self._told
        return self._told


def compared(space: SearchSpace, target: Target, true_ms: tuple[float, ...]) -> Compared:
    """Return a comparison of sampled networks with these latencies; a block takes 1 ms."""
    X = space.sample(np.random.default_rng(0), len(true_ms))

    def frame(keys: list[str], latency_ms: list[float]) -> pd.DataFrame:
        return pd.DataFrame({"key": keys, "latency_ms": latency_ms, "status": "ok"})

    blocks = [block.key for block in space.blocks]
    networks = frame([space.decode(x) for x in X], list(true_ms))
    found = Measured(space, target, frame(blocks, [1.0] * len(blocks)), networks, X, networks[:0])
    return compare(found)


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
@pytest.mark.parametrize("name", SPACES)
def test_parts_add_up_to_the_profiled_run(name: str, runtime: str) -> None:
    """Real kernels of a real network: each block has some, and nothing is counted twice."""
    space = latbench.space(name, **SPACES[name])
    setting = Setting(runtime=runtime)
    found = inside(compared(space, setting.here()[0], (1.0, 1.0, 1.0)), setting)
    assert isinstance(found, Inside)
    assert all(block.kernels + block.shared > 0 for block in found.blocks)
    assert all(block.inside_ms > 0 for block in found.blocks if block.kernels)
    assert found.alone_ms == len(found.blocks)
    assert found.between_ms > 0
    parts_ms = found.inside_ms + found.across_ms + found.inserted_ms + found.between_ms
    assert parts_ms == pytest.approx(found.whole_ms)


def test_kernels_go_to_blocks_borders_and_neither() -> None:
    """A kernel of two blocks is in neither's sum; one of no node is inserted."""
    told = CompiledGraph(
        (
            Kernel("a", "Conv", ("b0./Conv",), 1.0),
            Kernel("b", "Conv", ("b0./Relu", "b1./Conv"), 2.0),
            Kernel("c", "Reorder", (), 4.0),
            Kernel("d", "Conv", ("b1./Add", "ConstantOfShape:b1.zeros0"), 8.0),
        ),
        whole_ms=20.0,
    )
    space = latbench.space("digits-mobilenet", image_size=16)
    setting = Setting(runtime="onnxruntime")
    found = inside(compared(space, setting.here()[0], (1.0, 2.0, 3.0)), setting, Telling(told))
    assert isinstance(found, Inside)
    assert [block.inside_ms for block in found.blocks[:3]] == [1.0, 8.0, 0.0]
    assert [block.shared for block in found.blocks[:3]] == [1, 1, 0]
    assert (found.across_ms, found.across) == (2.0, 1)
    assert (found.inserted_ms, found.inserted) == (4.0, 1)
    assert found.between_ms == 5.0


def test_the_network_is_that_of_the_median_ratio() -> None:
    """Neither the worst nor the best network stands for the others."""
    space = latbench.space("digits-mobilenet", image_size=16)
    setting = Setting(runtime="onnxruntime")
    given = compared(space, setting.here()[0], (1.0, 1000.0, 30.0))
    executor = Telling(MeasurementError("the engine is broken"))
    assert inside(given, setting, executor) == (
        "The kernels of a network are not shown: the engine is broken."
    )
    assert executor.asked[0].id == space.network_workload(given.measured.X[2]).id


def test_other_devices_and_versions_are_not_described_here() -> None:
    """Kernels of another version of the runtime, or of no device here, are not passed for those."""
    space = latbench.space("digits-mobilenet", image_size=16)
    other = Target("cpu", "onnxruntime", "1.0")
    said = inside(compared(space, other, (1.0, 2.0)), Setting())
    assert isinstance(said, str)
    assert "onnxruntime 1.0" in said
    said = inside(compared(space, other, (1.0, 2.0)), Setting(device="v100"))
    assert isinstance(said, str)
    assert "no v100 here" in said
