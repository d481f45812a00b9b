"""torch.compile: each session has a graph of its own, and says what it lacks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch._dynamo

import latbench
from latbench.errors import MeasurementError
from latbench.runtimes import random_inputs
from latbench.runtimes.torch_compile import TorchCompile, TorchCompileSession
from latbench.spaces import Workload

needs_compiler = pytest.mark.skipif(
    TorchCompile().available() is not None, reason=f"torch-compile: {TorchCompile().available()}"
)


@pytest.fixture
def workload() -> Workload:
    """A block."""
    space = latbench.space("digits-mobilenet", image_size=16)
    return space.block_workload(space.blocks[1])


def compiled(workload: Workload, precision: str = "fp32") -> TorchCompileSession:
    """Return ``workload``, compiled."""
    runtime = TorchCompile()
    session = runtime.compile(workload, runtime.target("cpu", precision))
    assert isinstance(session, TorchCompileSession)
    return session


@needs_compiler
def test_sessions_do_not_recompile_each_other(workload: Workload) -> None:
    """Where all shared one function, the second would be a recompilation of the first."""
    with torch._dynamo.config.patch(recompile_limit=1):
        first, second = compiled(workload), compiled(workload)
        before = dict(torch._dynamo.utils.counters["stats"])
        for session in (first, second, first):
            session.run_once()
            session.outputs(random_inputs(workload.inputs))
    assert dict(torch._dynamo.utils.counters["stats"]) == before


@needs_compiler
def test_amp_is_compiled_in(workload: Workload) -> None:
    """The compiled graph computes in bfloat16: its outputs differ from fp32, by a little."""
    full, mixed = compiled(workload), compiled(workload, "amp")
    assert (full.precision_run, mixed.precision_run) == ("fp32", "amp")
    inputs = random_inputs(workload.inputs)
    exact, rounded = full.outputs(inputs)[0], mixed.outputs(inputs)[0]
    assert (rounded != exact).mean() > 0.5
    error = np.abs(rounded.astype(np.float64) - exact.astype(np.float64)).max()
    assert error < 0.05 * np.abs(exact.astype(np.float64)).max()


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inductor would end in a long error of its own at the first run."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    reason = str(TorchCompile().available())
    assert "there is no no-such-compiler; install g++, or set CXX" in reason


@needs_compiler
def test_what_torch_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, workload: Workload
) -> None:
    """An error of tracing or of the compiler is this workload's result, not a crash."""

    def refuse(*arguments: object, **options: object) -> None:
        raise RuntimeError("CppCompileError: Python.h is not there\nmany more lines")

    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(MeasurementError) as refused:
        compiled(workload)
    assert str(refused.value) == (
        "torch.compile refused it: CppCompileError: Python.h is not there"
    )
