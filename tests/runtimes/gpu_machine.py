"""A machine on which TensorRT, pycuda and NVML are fakes, and the driver shows one card."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from latbench.devices import CardFacts, fingerprint, visible
from latbench.devices.driver import Card
from latbench.runtimes import cuda_graph
from latbench.runtimes.cuda import Gpu, gpu_for
from tests.runtimes.fake_cuda import FakeGpu, make_libcuda, make_pycuda, make_pynvml
from tests.runtimes.fake_tensorrt import make_tensorrt

VERSIONS = {"8.5.3.1": "v100", "8.6.1": "v100", "10.4.0": "v100", "11.4.0.12": "h100"}
"""TensorRT's versions, with a device that each supports."""
NAMES = {"v100": "Tesla V100-SXM2-16GB", "h100": "NVIDIA H100 80GB HBM3"}


@contextmanager
def machine(
    monkeypatch: pytest.MonkeyPatch, cache: Path, version: str, device: str
) -> Iterator[FakeGpu]:
    """Put the fakes in place; at the end nothing must be left on the GPU."""
    gpu = FakeGpu(NAMES[device])
    put(monkeypatch, gpu, version)
    card = Card(gpu.name, gpu.uuid, CardFacts(2**34, "550.1", 300, 1530, "7.0", None, None))
    for module in (fingerprint, visible):
        monkeypatch.setattr(module, "read_cards", lambda: ([card], None))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    library = make_libcuda(gpu)
    monkeypatch.setattr(cuda_graph, "_library", lambda: library)
    cuda_graph._function.cache_clear()
    gpu_for.cache_clear()
    yield gpu
    if gpu.stack:  # by an exception that holds the frame that holds it
        gc.collect()
    left = (gpu.stack, gpu.buffers, gpu.faults, gpu.watched, gpu.captures, gpu.graphs)
    gpu_for.cache_clear()
    cuda_graph._function.cache_clear()
    monkeypatch.setattr(Gpu, "_holding", None)
    assert left == ([], {}, [], 0, {}, {})


def put(monkeypatch: pytest.MonkeyPatch, gpu: FakeGpu, version: str) -> None:
    """Let TensorRT be of another version from now on."""
    modules = {"tensorrt": make_tensorrt(version, gpu), **make_pycuda(gpu), **make_pynvml(gpu)}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
