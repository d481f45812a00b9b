"""The primary context is pushed and popped as often, whatever happens, and never made anew."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from latbench.errors import MeasurementError, UnavailableError
from latbench.runtimes.cuda import Gpu, gpu_for
from latbench.runtimes.cuda_lane import CudaLane
from tests.runtimes.fake_cuda import FakeGpu
from tests.runtimes.gpu_machine import machine


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGpu]:
    """A machine with a V100."""
    with machine(monkeypatch, tmp_path, "10.4.0", "v100") as gpu:
        yield gpu


@pytest.fixture
def gpu(fake: FakeGpu) -> Gpu:
    """Its GPU."""
    return gpu_for("v100")


def test_a_gpu_knows_itself(gpu: Gpu) -> None:
    """Name, capability and driver come from CUDA, the instance from the card's fingerprint."""
    assert gpu.name == "Tesla V100-SXM2-16GB"
    assert gpu.compute_capability == (7, 0)
    assert gpu.driver_version == 12040
    assert gpu.instance.startswith("i1:")
    assert gpu_for("v100") is gpu


def test_several_holders_share_one_push(fake: FakeGpu, gpu: Gpu) -> None:
    """In whichever order they let go, the last one pops; retained it stays."""
    for _ in range(2):
        gpu.hold()
        gpu.hold()
        assert len(fake.stack) == 1
        gpu.release()
        assert len(fake.stack) == 1
        gpu.release()
        assert fake.stack == []
    assert fake.retained == 1


def test_copies_go_to_the_gpu_and_back(gpu: Gpu) -> None:
    """Now, or as work of a stream, from memory that is page-locked."""
    gpu.hold()
    stream, buffer = gpu.stream(), gpu.allocate(12)
    values, back = np.arange(3, dtype=np.float32), np.zeros(3, np.float32)
    gpu.upload(buffer, values)
    gpu.download(back, buffer)
    np.testing.assert_array_equal(back, values)
    source, target = (gpu.pinned((3,), np.dtype(np.float32)) for _ in range(2))
    source[...] = 7
    gpu.upload(buffer, source, stream)
    gpu.download(target, buffer, stream)
    stream.synchronize()
    np.testing.assert_array_equal(target, source)
    buffer.free()
    del stream
    gpu.release()


def test_an_empty_tensor_has_a_buffer(gpu: Gpu) -> None:
    """CUDA refuses to allocate nothing."""
    gpu.hold()
    gpu.allocate(0).free()
    gpu.release()


def test_memory_that_is_not_there_is_told(fake: FakeGpu, gpu: Gpu) -> None:
    """How much was wanted, how much is free, and what to do."""
    gpu.hold()
    fake.memory_bytes = 2**21
    with pytest.raises(MeasurementError, match=r"4 MiB do not fit into the 2 MiB of 2 MiB .*batch"):
        gpu.allocate(2**22)
    gpu.release()


def test_page_locked_memory_that_is_not_there_is_told(fake: FakeGpu, gpu: Gpu) -> None:
    """It is the host's, so nothing that is said of the GPU's would help."""
    gpu.hold()
    fake.host_bytes = 2**20
    with pytest.raises(MeasurementError, match=r"out of memory: the host has no 2 MiB .* batch"):
        gpu.pinned((2**19,), np.dtype(np.float32))
    gpu.release()


def test_a_stream_that_does_not_fit_is_told(fake: FakeGpu, gpu: Gpu) -> None:
    """Where buffers have left nothing for it."""
    gpu.hold()
    fake.memory_bytes = 2**20
    buffer = gpu.allocate(2**20)
    with pytest.raises(MeasurementError, match=r"of a stream do not fit into the 0 .* batch"):
        gpu.stream()
    buffer.free()
    gpu.release()


def test_a_lane_tells_what_the_gpu_refuses(
    monkeypatch: pytest.MonkeyPatch, fake: FakeGpu, gpu: Gpu
) -> None:
    """Whatever a clock asks of it: an error of the GPU stays, and the next call meets it."""
    cuda = sys.modules["pycuda.driver"]
    gpu.hold()
    lane = CudaLane(gpu)
    event = lane.event()
    event.record()
    lane.hold(1)
    lane.flush()
    lane.wait()

    def refuse(*_: object) -> None:
        raise cuda.LogicError("an illegal memory access was encountered")

    refused: list[tuple[str, Callable[[], object]]] = [
        ("record", event.record),
        ("query", event.happened),
        ("time_since", lambda: event.ms_since(event)),
        ("synchronize", lane.wait),
        ("prepared_async_call", lambda: lane.hold(1)),
        ("memset_d32_async", lane.flush),
    ]
    owners = (cuda.Event, cuda.Stream, type(lane._spin), cuda)
    for name, call in refused:
        owner = next(one for one in owners if hasattr(one, name))
        with monkeypatch.context() as broken:
            broken.setattr(owner, name, refuse)
            with pytest.raises(MeasurementError, match=r"the Tesla V100.* cannot run it: an ill"):
                call()
    lane.free()
    gpu.release()


def test_another_thread_is_refused(gpu: Gpu) -> None:
    """A stack of contexts belongs to a thread."""
    gpu.hold()
    said: list[str] = []

    def elsewhere() -> None:
        with pytest.raises(UnavailableError) as refused:
            gpu.hold()
        said.append(str(refused.value))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert said == [
        "the Tesla V100-SXM2-16GB is in use in another thread; use it in that one, or in another "
        "process"
    ]
    gpu.release()


def test_one_process_uses_one_gpu(gpu: Gpu) -> None:
    """Two contexts on one stack would get into each other's way."""
    cuda = sys.modules["pycuda.driver"]
    other = Gpu(cuda, cuda.Device(0), "i1:other")
    gpu.hold()
    with pytest.raises(UnavailableError, match="take one process for each GPU"):
        other.hold()
    gpu.release()
    other.hold()
    other.release()


def test_a_slice_of_a_card_is_no_card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its name holds that of the card, and it may be the first on the bus."""
    with machine(monkeypatch, tmp_path, "11.4.0.12", "h100") as fake:
        fake.others = ["NVIDIA H100 80GB HBM3 MIG 1g.10gb"]
        assert gpu_for("h100").name == "NVIDIA H100 80GB HBM3"
        gpu_for.cache_clear()
        fake.name = fake.others[0]
        with pytest.raises(
            UnavailableError, match=r"no h100 here but .* slice of it \(MIG\) is none"
        ):
            gpu_for("h100")


def test_a_gpu_that_cannot_be_used_is_not_held(
    monkeypatch: pytest.MonkeyPatch, fake: FakeGpu, gpu: Gpu
) -> None:
    """As where another process has it for itself; afterwards it can be tried again."""
    cuda = sys.modules["pycuda.driver"]
    retain = cuda.Device.retain_primary_context

    def refuse(device: object) -> None:
        raise cuda.LogicError("cuDevicePrimaryCtxRetain failed: all devices are busy")

    monkeypatch.setattr(cuda.Device, "retain_primary_context", refuse)
    with pytest.raises(UnavailableError, match=r"cannot be used now \(.*busy\); nvidia-smi tells"):
        gpu.hold()
    assert fake.stack == []
    monkeypatch.setattr(cuda.Device, "retain_primary_context", retain)
    gpu.hold()
    gpu.release()
