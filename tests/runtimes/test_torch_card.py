"""PyTorch on a card, as far as can be told without one: over a fake that is strict about CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import latbench
from latbench.errors import MeasurementError, UnavailableError, UsageError
from latbench.runtimes import Runtime, random_inputs, torch_card, torch_stage
from latbench.runtimes import torch as torch_runtime
from latbench.runtimes.torch import TorchRuntime, TorchSession
from latbench.runtimes.torch_compile import TorchCompile
from latbench.spaces import Workload
from tests.runtimes.fake_torch_cuda import FakeTorchCuda, torch_with_cuda
from tests.runtimes.torch_suite import TorchSuite


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTorchCuda]:
    """A machine with a card."""
    with torch_with_cuda(monkeypatch) as machine:
        yield machine


@pytest.fixture
def block() -> Workload:
    """A block."""
    space = latbench.space("digits-mobilenet", image_size=16)
    return space.block_workload(space.blocks[1])


class OnFakes(TorchSuite):
    device = "v100"

    @pytest.fixture(autouse=True)
    def machine(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTorchCuda]:
        """The machine."""
        with torch_with_cuda(monkeypatch) as machine:
            yield machine


class TestOnACard(OnFakes):
    pass


class TestAsAGraph(OnFakes):
    options: ClassVar[dict[str, str]] = {"launch": "graph", "layout": "nhwc"}


class TestByTheGpusClock(OnFakes):
    options: ClassVar[dict[str, str]] = {"clock": "gpu", "l2": "cold"}


class TestInHalfPrecision(OnFakes):
    precision: ClassVar[str] = "amp"
    tolerance: ClassVar[float] = 2e-2  # eleven bits, and depth adds up their errors


def compiled(workload: Workload, precision: str = "fp32", **options: str) -> Any:
    """Return ``workload``, compiled."""
    runtime = TorchRuntime()
    session = runtime.compile(workload, runtime.target("v100", precision, options=options))
    assert isinstance(session, TorchSession)
    return session


# Running


@pytest.mark.usefixtures("card")
def test_weights_and_inputs_lie_on_the_card(block: Workload) -> None:
    """A run copies nothing to it."""
    session = compiled(block)
    tensors = [*session._module.parameters(), *session._module.buffers(), *session._inputs]
    assert len(tensors) > 3
    assert all(tensor.device.type == "cuda" for tensor in tensors)


@pytest.mark.parametrize("launch", ["stream", "graph"])
def test_a_run_waits_and_a_begun_one_does_not(
    card: FakeTorchCuda, block: Workload, launch: str
) -> None:
    """CUDA returns before the work is done."""
    session = compiled(block, launch=launch)
    session.begin()
    assert card.pending
    session.run_once()
    assert not card.pending


def test_a_graph_is_captured_aside_and_replayed(card: FakeTorchCuda, block: Workload) -> None:
    """It computes what is in place, and the module is not called again."""
    plain, graph = compiled(block), compiled(block, launch="graph")
    before = card.replays
    graph._run = None
    inputs = {spec.name: np.full(spec.shape, -0.5, spec.dtype) for spec in block.inputs}
    np.testing.assert_array_equal(graph.outputs(inputs)[0], plain.outputs(inputs)[0])
    assert card.replays == before + 1


def test_what_waits_cannot_be_captured(
    monkeypatch: pytest.MonkeyPatch, card: FakeTorchCuda, block: Workload
) -> None:
    """It is this subject's failure, on one line."""

    def peeking(module: Any) -> Any:
        def run(images: Any) -> Any:
            return module(images.to("cpu").to("cuda"))

        return run

    monkeypatch.setattr(TorchSession, "_wrapped", lambda session, module: peeking(module))
    compiled(block)
    with pytest.raises(MeasurementError, match=r"cannot run it: a copy .* is capturing"):
        compiled(block, launch="graph")
    assert card.captured is None


@pytest.mark.usefixtures("card")
def test_fp32_is_not_rounded_to_tf32(block: Workload) -> None:
    """cuDNN does by itself."""
    torch.backends.cudnn.allow_tf32 = True
    compiled(block)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(
    ("options", "dtype"), [({}, torch.float16), ({"autocast": "bf16"}, torch.bfloat16)]
)
def test_autocast_computes_in_what_was_asked_for(
    card: FakeTorchCuda, block: Workload, options: dict[str, str], dtype: torch.dtype
) -> None:
    """In fp16 by default, as PyTorch does on a card."""
    card.capability = (8, 0)
    card.kernels = ["sm_80"]
    session = compiled(block, "amp", **options)
    assert session.precision_run == "amp"
    found = set()
    for module in session._module.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda module, inputs, output: found.add(output.dtype))
    session.begin()
    assert found == {dtype}


@pytest.mark.usefixtures("card")
def test_channels_last_is_a_layout_of_weights_and_inputs(block: Workload) -> None:
    """By default they lie as PyTorch makes them."""
    for options, last in (({}, False), ({"layout": "nhwc"}, True)):
        session = compiled(block, **options)
        (images,) = session._inputs
        assert images.is_contiguous(memory_format=torch.channels_last) is last


def test_the_gpus_clock_holds_the_stream(card: FakeTorchCuda, block: Workload) -> None:
    """So that launches are hidden; where they are not, it is told."""
    session = compiled(block, clock="gpu")
    card.holds.clear()
    assert session.clock.time(session.begin, 2) > 0
    assert len(card.holds) == 1
    assert session.clock.hidden
    card.prompt = True
    session.clock.time(session.begin, 1)
    assert not session.clock.hidden


def test_times_of_layers_are_those_of_the_card(
    monkeypatch: pytest.MonkeyPatch, card: FakeTorchCuda, block: Workload
) -> None:
    """What the host takes to launch their kernels is not in them."""
    monkeypatch.setattr(
        "torch.autograd.profiler_util.FunctionEvent.device_time_total", property(lambda _: 7.0)
    )
    graph = compiled(block).kernels(runs=1)
    assert card.watched == ["CPU", "CUDA"]
    operators = sum(kernel.time_ms or 0.0 for kernel in graph.kernels) / 0.007
    assert operators == pytest.approx(round(operators))
    assert operators >= len(graph.kernels)


# What is missing


def test_a_build_without_cuda_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, at the same place where other runtimes say what they lack."""
    for module in (torch_runtime, torch_stage):
        monkeypatch.setattr(module, "version_of", lambda name: "2.13.0+cpu")
    for runtime in (TorchRuntime(), TorchCompile()):
        reason = str(runtime.available_on("v100"))
        assert reason.startswith("the PyTorch that is installed here (")
        assert "is built without CUDA; install a build with it" in reason
        with pytest.raises(UnavailableError, match=f"{runtime.name} is not available: the PyTorch"):
            runtime.target("v100")
    assert TorchRuntime().available_on("cpu") is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"is_available": lambda: False}, r"built for CUDA 12\.6 and finds no card: nvidia-smi"),
        ({"names": ["NVIDIA T4"]}, r"shows no v100 here but NVIDIA T4; CUDA_VISIBLE_DEVICES"),
        ({"names": []}, r"shows no v100 here but none"),
        (
            {"kernels": ["sm_75", "sm_80", "compute_90"]},
            r"no kernels for a v100 .* 7\.0; it",
        ),
        ({"kernels": ["sm_72"]}, "no kernels for a v100"),
    ],
)
def test_a_card_that_it_cannot_use_is_named(
    monkeypatch: pytest.MonkeyPatch, card: FakeTorchCuda, change: dict[str, Any], says: str
) -> None:
    """No driver or card, another card, or a PyTorch that has dropped this one."""
    for name, value in change.items():
        monkeypatch.setattr(torch.cuda if name == "is_available" else card, name, value)
    with pytest.raises(UnavailableError, match=says) as refused:
        TorchRuntime().target("v100")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "kernels", [["sm_70"], ["sm_60", "compute_60"], ["sm_90a", "compute_70"], ["sm_75", "sm_70"]]
)
def test_kernels_of_its_generation_or_older_ptx_serve_a_card(
    card: FakeTorchCuda, kernels: list[str]
) -> None:
    """Machine code runs on later cards of its generation, PTX on all later ones."""
    card.kernels = kernels
    assert torch_card.missing("v100") is None


def test_two_cards_of_one_kind_are_not_mixed_up(card: FakeTorchCuda, block: Workload) -> None:
    """What is measured belongs to one of them, so PyTorch has to be shown that one alone."""
    card.names *= 2
    assert TorchRuntime().available_on("v100") is None
    with pytest.raises(UnavailableError, match=r"2 cards here are a v100, .*CUDA_VISIBLE_DEVICES="):
        compiled(block)


def test_a_card_of_another_kind_beside_it_is_left_alone(
    card: FakeTorchCuda, block: Workload
) -> None:
    """PyTorch's number of the card is not nvidia-smi's."""
    card.names.insert(0, "NVIDIA T4")
    assert compiled(block)._stage.device == torch.device("cuda", 1)


@pytest.mark.parametrize("precision", ["fp32", "amp"])
def test_too_little_memory_is_one_line(
    card: FakeTorchCuda, block: Workload, precision: str
) -> None:
    """In the build and in a run; what to do is said."""
    session = compiled(block, precision)
    card.free_bytes = 2**8
    says = r"^out of memory: .* are free on the v100; take a smaller batch"
    with pytest.raises(MeasurementError, match=says):
        session.run_once()
    with pytest.raises(MeasurementError, match=says):
        compiled(block, precision)


@pytest.mark.parametrize(
    "said",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB.\nMore lines.",
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA driver error: out of memory",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_memory_is_short_whoever_says_so(
    monkeypatch: pytest.MonkeyPatch, card: FakeTorchCuda, block: Workload, said: str
) -> None:
    """PyTorch's allocator, CUDA, cuDNN and cuBLAS each have words of their own."""
    session = compiled(block)

    def fail() -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(session, "_begin", fail)
    with pytest.raises(MeasurementError, match=r"^out of memory: .* free on the v100; take a sm"):
        session.run_once()
    # Where there is no room for a context, CUDA tells no numbers either.
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: fail())
    with pytest.raises(MeasurementError, match=r"^out of memory; take a smaller .* the v100 \("):
        session.run_once()


@pytest.mark.parametrize("clock", ["host", "gpu"])
def test_a_flush_that_does_not_fit_is_one_line(
    card: FakeTorchCuda, block: Workload, clock: str
) -> None:
    """What is written over to clear the L2 cache takes memory, too."""
    session = compiled(block, clock=clock, l2="cold")
    card.free_bytes = 2**8
    with pytest.raises(MeasurementError, match=r"^out of memory: .* take a smaller batch"):
        session.clock.time(session.begin, 1)


def test_what_fails_in_the_stream_is_told_by_the_wait(card: FakeTorchCuda, block: Workload) -> None:
    """CUDA returns from a launch before the work is done, and so before it fails."""
    session = compiled(block)
    card.fails = "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might"
    says = r"^torch cannot run it: CUDA error: an illegal memory access was encountered$"
    with pytest.raises(MeasurementError, match=says):
        session.run_once()


@pytest.mark.usefixtures("card")
def test_a_type_that_the_card_lacks_is_refused(block: Workload) -> None:
    """PyTorch would emulate it."""
    with pytest.raises(UnavailableError, match=r"v100 does not compute in bf16; take .*=fp16"):
        compiled(block, "amp", autocast="bf16")


@pytest.mark.parametrize("runtime", [TorchRuntime(), TorchCompile()])
def test_options_are_for_what_they_can_change(runtime: Runtime) -> None:
    """Launches and caches of a GPU mean nothing on a processor; fp32 is not cast."""
    for name, value in (("launch", "graph"), ("l2", "cold"), ("clock", "gpu")):
        with pytest.raises(UsageError, match=f"{name} is an option for GPUs, not for the cpu"):
            runtime.target("cpu", options={name: value})
    with pytest.raises(UsageError, match=r"autocast is an option of .* amp, .* fp32"):
        runtime.target("cpu", options={"autocast": "bf16"})


# torch.compile


def test_inductor_needs_triton_and_a_compiler_for_a_card(
    monkeypatch: pytest.MonkeyPatch, card: FakeTorchCuda
) -> None:
    """Not the C++ compiler that it needs for a processor."""
    monkeypatch.setattr(torch_compile_module(), "find_spec", lambda name: None)
    assert TorchCompile().available_on("v100") == (
        "torch.compile needs triton on a GPU; run: pip install triton"
    )
    monkeypatch.setattr(torch_compile_module(), "find_spec", lambda name: SimpleNamespace())
    monkeypatch.setenv("CC", "no-such-compiler")
    assert "needs a C compiler and there is no no-such" in str(TorchCompile().available_on("v100"))
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("CC", "true")
    assert TorchCompile().available_on("v100") is None


def test_what_inductor_compiled_can_be_captured(
    monkeypatch: pytest.MonkeyPatch, card: FakeTorchCuda, block: Workload
) -> None:
    """It compiles in the first run, before the capture, and without options of the processor's."""
    asked: dict[str, Any] = {}

    def compile_(run: Any, **options: Any) -> Any:
        asked.update(options)
        return run

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(TorchCompile, "available_on", lambda runtime, device: None)
    runtime = TorchCompile()
    session = runtime.compile(block, runtime.target("v100", options={"launch": "graph"}))
    assert asked == {"fullgraph": True, "dynamic": False, "options": None}
    (expected,) = compiled(block).outputs(random_inputs(block.inputs))
    np.testing.assert_array_equal(session.outputs(random_inputs(block.inputs))[0], expected)
    assert card.replays


def torch_compile_module() -> Any:
    """Return the module of the runtime, which shares its name with a function of torch."""
    from latbench.runtimes import torch_compile

    return torch_compile
