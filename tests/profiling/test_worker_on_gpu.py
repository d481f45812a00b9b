"""What a worker does with a card, in this process: clocks, times, the build and counters."""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import latbench
from latbench.profiling import worker
from latbench.profiling.channel import Channel, Message, checked, unpack_times
from latbench.profiling.process import Task, models, request
from latbench.profiling.subjects import block_subjects
from latbench.registry import RUNTIMES, load
from latbench.runtimes import Runtime
from latbench.timing import Protocol
from tests.runtimes.fake_cuda import FakeGpu
from tests.runtimes.fake_torch_cuda import torch_with_cuda
from tests.runtimes.gpu_machine import machine

Serve = Callable[..., list[Message]]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGpu]:
    """A machine with a V100, and PyTorch with CUDA on it."""
    with machine(monkeypatch, tmp_path, "10.4.0", "v100") as gpu, torch_with_cuda(monkeypatch):
        yield gpu


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fast: Protocol) -> Serve:
    """A function that lets a worker time two blocks and returns all that it says."""
    space = latbench.space("digits-mobilenet", image_size=16)
    small, *others = (one.workload for one in block_subjects(space, blocks=space.blocks[1:4]))
    workloads = {f"j{number}": workload for number, workload in enumerate(others)}
    # It would stay there for the tests to come.
    monkeypatch.setattr(worker, "_stay_on_one_cpu", lambda: None)

    def run(name: str, **options: str) -> list[Message]:
        runtime: Runtime = load(RUNTIMES, name)()
        target = runtime.target("v100", options=options)
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


@pytest.mark.parametrize("runtime", ["tensorrt", "torch"])
@pytest.mark.parametrize("options", [{}, {"clock": "gpu", "launch": "graph"}, {"l2": "cold"}])
def test_blocks_are_timed_on_a_card(
    gpu: FakeGpu, serve: Serve, runtime: str, options: dict[str, str]
) -> None:
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


def test_a_card_that_is_slowed_taints_the_rounds(gpu: FakeGpu, serve: Serve) -> None:
    """NVML is read around each of them."""
    gpu.throttle = 0x40
    taints = {taint for one in serve("torch") if one["type"] == "round" for taint in one["taints"]}
    assert "card-slowed" in taints
