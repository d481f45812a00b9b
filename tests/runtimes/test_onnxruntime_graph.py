"""ONNX Runtime's kernels: every node of the model is in one of them, or folded."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import (
    NodeProto,
    TensorProto,
    helper,
    load_model_from_string,
    numpy_helper,
    shape_inference,
)

import latbench
from latbench.runtimes import CompiledGraph
from latbench.runtimes.naming import named
from latbench.runtimes.onnxruntime import OnnxRuntime, session_options
from latbench.runtimes.onnxruntime_profile import profiled
from latbench.spaces import Workload
from latbench.spaces.onnx_file import workload_from_file

LEVELS = ("disabled", "basic", "extended", "all")
SPACES = {
    "mobilenet": {"image_size": 32},
    "fbnet": {"image_size": 32},
    "nasbench201": {"image_size": 8, "cells": 1},
    "darts": {"image_size": 8, "width": 4, "cells": 4},
}


def kernels(workload: Workload, level: str, runs: int = 2) -> CompiledGraph:
    """Return the kernels of ``workload`` at an optimisation level."""
    runtime = OnnxRuntime()
    session = runtime.compile(workload, runtime.target("cpu", options={"optimisation": level}))
    return session.kernels(runs)


def model(
    folder: Path, nodes: Sequence[NodeProto], output: str = "y", size: Sequence[int] = (1, 3, 8, 8)
) -> Workload:
    """Return a model of ``nodes`` from ``x`` to ``output``; names of weights tell their shape."""
    made = {name for node in nodes for name in node.output}
    weights = {name for node in nodes for name in node.input} - made - {"x", ""}
    rng = np.random.default_rng(0)
    tensors = []
    for name in sorted(weights):
        kind, *shape = name.split("_")
        dims = [int(dim) for dim in shape]
        values = np.array(dims) if kind == "i" else rng.uniform(0.5, 1.5, dims).astype(np.float32)
        tensors.append(numpy_helper.from_array(values, name))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        tensors,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    proto = shape_inference.infer_shapes(proto)
    path = folder / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    return workload_from_file(path)


def node(operator: str, reads: str, makes: str, name: str = "", **attributes: Any) -> NodeProto:
    """Return a node; tensors are separated by blanks, ``-`` stands for one that is left out."""
    inputs = ["" if tensor == "-" else tensor for tensor in reads.split()]
    return helper.make_node(operator, inputs, makes.split(), name or makes, **attributes)


def groups(graph: CompiledGraph) -> set[tuple[str, ...]]:
    """Return the nodes of each kernel that has some."""
    return {kernel.nodes for kernel in graph.kernels if not kernel.inserted}


def uses_nchwc(graph: CompiledGraph) -> bool:
    """Return whether this machine blocks channels, which ONNX Runtime does from AVX on."""
    return any(kernel.name.endswith("_nchwc") for kernel in graph.kernels)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", SPACES)
def test_every_node_of_a_space_is_in_one_kernel(name: str, level: str) -> None:
    """Whole networks and blocks, at each level: kernels() checks this itself, and raises."""
    space = latbench.space(name, **SPACES[name])
    X = space.sample(np.random.default_rng(3), 3)
    workloads = [space.network_workload(x) for x in X]
    workloads += [space.block_workload(block) for block in space.blocks[::17]]
    for workload in workloads:
        graph = kernels(workload, level)
        assert sum(len(group) for group in groups(graph)) + len(graph.folded) == workload.nodes
        assert all(kernel.time_ms is not None for kernel in graph.kernels)
        assert graph.whole_ms is not None
        assert sum(kernel.time_ms or 0.0 for kernel in graph.kernels) < 1.5 * graph.whole_ms
        assert {kernel.precision for kernel in graph.kernels} == {"fp32"}
        if level == "disabled":
            assert all(len(kernel.nodes) == 1 for kernel in graph.kernels)


@pytest.mark.parametrize("level", ["extended", "all"])
def test_convolution_norm_and_activation_are_one_kernel(tmp_path: Path, level: str) -> None:
    """What is fused stands in one kernel, under the names that the model gave."""
    found = kernels(
        model(
            tmp_path,
            [
                node("Conv", "x w_16_3_3_3", "a", "conv"),
                node("BatchNormalization", "a s_16 t_16 u_16 v_16", "b", "norm"),
                node("Relu", "b", "y", "activation"),
            ],
        ),
        level,
    )
    assert groups(found) == {("conv", "norm", "activation")}


@pytest.mark.parametrize("level", LEVELS)
def test_a_residual_belongs_to_the_convolution_before_it(tmp_path: Path, level: str) -> None:
    """At level all the kernel bears the name of the convolution, and its output no name at all."""
    found = kernels(
        model(
            tmp_path,
            [
                node("Conv", "x w_16_3_1_1", "stem"),
                node("Conv", "stem w_16_16_1_1", "body"),
                node("Add", "body stem", "sum"),
                node("Relu", "sum", "relu"),
                node("Conv", "relu k_16_16_1_1", "left"),
                node("Conv", "relu l_16_16_1_1", "right"),
                node("Add", "left right", "y"),
            ],
        ),
        level,
    )
    if uses_nchwc(found):
        assert ("body", "sum", "relu") in groups(found)
        assert any("Reorder" in kernel.kind for kernel in found.kernels if kernel.inserted)
        assert all("Reorder" in kernel.kind for kernel in found.kernels if kernel.inserted)
    elif level in ("disabled", "basic"):
        assert groups(found) == {
            (name,) for name in ("stem", "body", "sum", "relu", "left", "right", "y")
        }


@pytest.mark.parametrize("level", LEVELS)
def test_names_that_are_doubled_or_empty_do_not_matter(tmp_path: Path, level: str) -> None:
    """Nodes without a name, and several of one name, are told apart by their outputs."""
    nodes = [
        node("Conv", "x w_16_3_3_3", "a", "same"),
        node("Relu", "a", "b", "same"),
        node("Conv", "b w_16_16_3_3", "c", "n0"),
        node("Relu", "c", "d"),
        node("GlobalAveragePool", "d", "y", "a name, with [brackets]"),
    ]
    nodes[3].name = ""
    # ONNX Runtime refuses to time a model with doubled names; other runtimes take it.
    runtime = OnnxRuntime()
    target = runtime.target("cpu", options={"optimisation": level})
    found = profiled(model(tmp_path, nodes), partial(session_options, target), runs=2)
    seen = [name for group in groups(found) for name in group]
    assert sorted(seen) == sorted(["same:a", "same:b", "n0", "Relu:d", "a name, with [brackets]"])


def test_what_is_constant_is_folded(tmp_path: Path) -> None:
    """Shapes, and what is computed from them and from constants, take no time in a run."""
    nodes = [
        node("Constant", "", "first", value=numpy_helper.from_array(np.array([0]))),
        node("Shape", "x", "shape"),
        node("Gather", "shape first", "batch"),
        node("Concat", "batch i_-1", "target", axis=0),
        node("Reshape", "x target", "flat"),
        node("Dropout", "flat", "kept"),
        node("MatMul", "kept w_192_8", "product"),
        node("Add", "product b_8", "biased"),
        node("Relu", "biased", "y"),
    ]
    for level in LEVELS[1:]:
        found = kernels(model(tmp_path, nodes), level)
        assert found.folded == ("first", "shape", "batch", "target")
        assert ("flat",) in groups(found)
    assert kernels(model(tmp_path, nodes), "disabled").folded == ("first",)


def test_nodes_that_were_merged_are_in_the_same_kernel(tmp_path: Path) -> None:
    """Of equal computations one remains; the others did not move to whoever reads them."""
    found = kernels(
        model(
            tmp_path,
            [
                node("Conv", "x w_16_3_1_1", "conv"),
                node("Identity", "conv", "copy"),
                node("Sigmoid", "conv", "one"),
                node("Sigmoid", "copy", "two"),
                node("Mul", "one two", "y"),
            ],
        ),
        "basic",
    )
    assert ("one", "two") in {tuple(n for n in g if n != "copy") for g in groups(found)}
    assert any("y" in group and "two" not in group for group in groups(found))


@pytest.mark.parametrize("level", LEVELS)
def test_a_bias_belongs_to_its_matrix_product(tmp_path: Path, level: str) -> None:
    """Reshapes around a product of stacks are inserted, though one bears the sum's output."""
    found = kernels(
        model(
            tmp_path,
            [
                node("MatMul", "x w_32_16", "product"),
                node("Add", "product b_16", "sum"),
                node("Softmax", "sum", "y", axis=-1),
            ],
            size=(1, 8, 32),
        ),
        level,
    )
    fused = [kernel for kernel in found.kernels if kernel.kind == "Gemm"]
    for kernel in fused:
        assert kernel.nodes == ("product", "sum")
    assert bool(fused) == (level != "disabled")


@pytest.mark.parametrize("level", LEVELS)
def test_an_operator_without_a_kernel_is_one_kernel(tmp_path: Path, level: str) -> None:
    """ONNX Runtime runs HardSwish as two nodes without a name; nobody inserted those."""
    found = kernels(
        model(
            tmp_path,
            [
                node("Conv", "x w_16_3_3_3", "conv"),
                node("Softplus", "conv", "first"),
                node("HardSwish", "first", "one"),
                node("Softplus", "one", "second"),
                node("HardSwish", "second", "two"),
                node("Conv", "two w_16_16_3_3", "third"),
                node("Sigmoid", "third", "fused"),
                node("HardSwish", "fused", "blocked"),
                node("Conv", "blocked w_16_16_3_3", "y"),
            ],
        ),
        level,
    )
    assert groups(found) >= {("conv",), ("one",), ("two",), ("y",)}
    swishes = [
        kernel for kernel in found.kernels if kernel.nodes in {("one",), ("two",), ("blocked",)}
    ]
    assert [kernel.kind for kernel in swishes] == ["HardSigmoid + Mul"] * 3
    assert found.sum_ms is not None
    assert all("Reorder" in kernel.kind for kernel in found.kernels if kernel.inserted)


def test_dead_ends_are_accounted_for(tmp_path: Path) -> None:
    """A node that no output needs is run or not; either way it is told."""
    nodes = [node("Relu", "x", "dead"), node("Sigmoid", "x", "y")]
    for level in LEVELS:
        found = kernels(model(tmp_path, nodes), level)
        assert sorted([*found.folded, *sum(groups(found), ())]) == ["dead", "y"]


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Profiles and saved models, which fit this machine alone, are gone when kernels are told."""
    workload = model(tmp_path, [node("Relu", "x", "y")])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(scratch)
    kernels(workload, "all")
    assert list(scratch.iterdir()) == []


def test_kernels_come_in_the_order_of_execution(tmp_path: Path) -> None:
    """A chain is told from its input to its output, with times that are not all the same."""
    found = kernels(
        model(
            tmp_path,
            [
                node("Conv", "x w_64_3_3_3", "first"),
                node("Conv", "first w_64_64_3_3", "second"),
                node("GlobalAveragePool", "second", "y"),
            ],
            size=(1, 3, 64, 64),
        ),
        "basic",
        runs=5,
    )
    assert [kernel.nodes for kernel in found.kernels] == [("first",), ("second",), ("y",)]
    slowest = max(found.kernels, key=lambda kernel: kernel.time_ms or 0.0)
    assert slowest.nodes == ("second",)


def test_named_nodes_are_those_of_the_model() -> None:
    """The names in a compiled graph are those of the workload's own nodes."""
    space = latbench.space("digits-mobilenet", image_size=16)
    workload = space.network_workload([1] * 8)
    _, shown = named(load_model_from_string(workload.model))
    for kernel in kernels(workload, "all").kernels:
        assert set(kernel.nodes) <= set(shown.values())
