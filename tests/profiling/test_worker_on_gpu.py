"""What a worker does with a card, in this process: clocks, times, the build and counters."""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import latbench
from latbench.profiling import worker
from latbench.profiling.channel import Channel, Message, checked, unpack_times
from latbench.profiling.process import Task, models, request
from latbench.profiling.subjects import block_subjects
from latbench.registry import RUNTIMES, load
from latbench.runtimes import Runtime
from latbench.runtimes.cuda_lane import CudaEvent
from latbench.runtimes.numerics import GREATEST_RELATIVE_L2
from latbench.runtimes.torch_card import Mark
from latbench.spaces import Workload
from latbench.spaces.onnx_file import workload_from_file
from latbench.timing import Protocol
from tests.runtimes.fake_cuda import FakeGpu
from tests.runtimes.fake_torch_cuda import torch_with_cuda
from tests.runtimes.gpu_machine import VERSIONS, machine

Serve = Callable[..., list[Message]]


@pytest.fixture
def version() -> str:
    """TensorRT's."""
    return "10.4.0"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str) -> Iterator[FakeGpu]:
    """A machine with a card, and PyTorch with CUDA on it."""
    device = VERSIONS[version]
    with machine(monkeypatch, tmp_path, version, device) as gpu, torch_with_cuda(monkeypatch):
        yield gpu


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fast: Protocol, version: str) -> Serve:
    """A function that lets a worker time blocks, or what it is given, and returns all it says."""
    space = latbench.space("digits-mobilenet", image_size=16)
    small, *blocks = (one.workload for one in block_subjects(space, blocks=space.blocks[1:4]))
    # It would stay there for the tests to come.
    monkeypatch.setattr(worker, "_stay_on_one_cpu", lambda: None)

    def run(
        name: str, precision: str = "fp32", given: Sequence[Workload] = (), **options: str
    ) -> list[Message]:
        workloads = {f"j{number}": one for number, one in enumerate(given or blocks)}
        runtime: Runtime = load(RUNTIMES, name)()
        target = runtime.target(VERSIONS[version], precision, options=options)
        before: dict[str, dict[str, Any]] = {job: {} for job in workloads}
        once = dataclasses.replace(fast, processes=1)
        task = Task(target, "i1:x", once, workloads, before, small)
        for file, content in models(task):
            (tmp_path / file).write_bytes(content)
        ours, theirs = (Channel(one) for one in socket.socketpair())
        said: list[Message] = []

        def listen() -> None:
            while (message := ours.receive()) is not None:
                said.append(checked(message, workloads))

        listener = threading.Thread(target=listen)
        listener.start()
        ours.send(request(task, "p0", tmp_path))
        try:
            worker.serve(theirs)
        finally:
            theirs.close()
            listener.join()
            ours.close()
        return said

    return run


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("runtime", ["tensorrt", "torch"])
@pytest.mark.parametrize("options", [{}, {"clock": "gpu", "launch": "graph"}, {"l2": "cold"}])
def test_blocks_are_timed_on_a_card(serve: Serve, runtime: str, options: dict[str, str]) -> None:
    """By the clock that was asked for; with the three times of each block, and its build."""
    said = serve(runtime, **options)
    kinds = [message["type"] for message in said if message["type"] != "working"]
    assert "failed" not in kinds, said
    assert kinds[-1] == "end"
    assert kinds.count("done") == 2
    for message in said:
        if message["type"] == "compiled":
            assert ("engine_sha256" in message["build"]) == (runtime == "tensorrt")
        if message["type"] == "warm":
            told = message["run_times"]
            assert min(told["gpu_ms"], told["enqueue_ms"], told["e2e_ms"]) > 0
            assert told["runs"] == 20
        if message["type"] == "round":
            assert unpack_times(message["times"]).min() > 0
            # Nobody probes the host's core where the card tells the time.
            assert (message["quiet"] is None) == (options.get("clock") == "gpu")


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("runtime", ["tensorrt", "torch"])
def test_rounds_whose_launches_were_not_hidden_are_tainted(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    """The card had begun before the host was done: the time of the launches is in the rounds'."""
    for event in (CudaEvent, Mark):
        monkeypatch.setattr(event, "happened", lambda mark: True)
    said = serve(runtime, clock="gpu")
    assert all("launches-shown" in one["taints"] for one in said if one["type"] == "round")
    told = [one["run_times"]["hidden"] for one in said if one["type"] == "warm"]
    assert told == [False, False]


@pytest.mark.usefixtures("gpu")
def test_the_card_is_read_when_a_subject_is_warm(serve: Serve) -> None:
    """Its clock and its heat are then those at work."""
    cards = [one["card"] for one in serve("torch") if one["type"] == "warm"]
    assert [(card["sm_clock_mhz"], card["temperature_c"]) for card in cards] == [(1380, 41)] * 2


def test_a_card_that_is_slowed_taints_the_rounds(gpu: FakeGpu, serve: Serve) -> None:
    """NVML is read around each of them."""
    gpu.throttle = 0x40
    taints = {taint for one in serve("torch") if one["type"] == "round" for taint in one["taints"]}
    assert "card-slowed" in taints


def scaled(path: Path, *factors: float) -> Workload:
    """Return a model that multiplies its input by one factor after the other, and doubles it.

    The doubled batch keeps the host that computes for the fake from leaving out a cast to fp16.
    """
    make = helper.make_tensor_value_info
    names = ["x", *(f"t{number}" for number in range(len(factors)))]
    nodes = [
        helper.make_node("Mul", [names[number], f"c{number}"], [names[number + 1]])
        for number in range(len(factors))
    ]
    nodes.append(helper.make_node("Concat", [names[-1], names[-1]], ["y"], axis=0))
    given, got = (make(name, TensorProto.FLOAT, [n, 64]) for name, n in (("x", 1), ("y", 2)))
    constants = [
        numpy_helper.from_array(np.array([factor], np.float32), f"c{number}")
        for number, factor in enumerate(factors)
    ]
    graph = helper.make_graph(nodes, "g", [given], [got], constants)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return workload_from_file(path, 1)


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("version", ["8.5.3.1", "10.4.0", "11.4.0.12"])
@pytest.mark.usefixtures("gpu")
def test_a_network_that_overflows_in_half_precision_fails(serve: Serve, tmp_path: Path) -> None:
    """Infinity runs at another speed, and nobody would deploy it; in fp32 the network is timed."""
    workload = scaled(tmp_path / "great.onnx", 1e4, 1e4)
    (failure,) = (one for one in serve("tensorrt", "fp16", [workload]) if one["type"] == "failed")
    assert "values that it gives are NaN or infinite; take a precision" in failure["reason"]
    assert "failed" not in {one["type"] for one in serve("tensorrt", "fp32", [workload])}


@pytest.mark.parametrize("version", ["11.4.0.12"])
@pytest.mark.usefixtures("gpu")
def test_a_network_that_half_precision_changes_is_told(serve: Serve, tmp_path: Path) -> None:
    """A constant became the largest number there is: the outputs are far from those of fp32."""
    workload = scaled(tmp_path / "clipped.onnx", 1e-3, 1e6)
    (built,) = (one for one in serve("tensorrt", "fp16", [workload]) if one["type"] == "compiled")
    assert built["numerics"]["relative_l2"] > GREATEST_RELATIVE_L2
