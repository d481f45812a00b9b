"""ONNX Runtime: what is timed is what a user would deploy."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import latbench
from latbench.errors import MeasurementError, UsageError
from latbench.runtimes import random_inputs
from latbench.runtimes.onnxruntime import OnnxRuntime, OnnxRuntimeSession, session_options
from latbench.runtimes.onnxruntime_gpu import OnnxRuntimeCuda
from latbench.spaces import Workload
from latbench.spaces.weights import with_weights


@pytest.fixture
def workload() -> Workload:
    """A network of inverted residuals."""
    space = latbench.space("digits-mobilenet", image_size=16)
    return space.network_workload([1] * 8)


def operators(path: Path) -> Counter[str]:
    """Return the operators of the model in ``path``."""
    model = onnx.load(path, load_external_data=False)
    return Counter(node.op_type for node in model.graph.node)


def test_weights_from_outside_compile_to_the_same_graph(workload: Workload, tmp_path: Path) -> None:
    """Weights handed over beside the model are folded and laid out as those inside a file are."""
    beside, inside = (onnxruntime.SessionOptions() for _ in range(2))
    for settings, name in ((beside, "beside.onnx"), (inside, "inside.onnx")):
        settings.optimized_model_filepath = str(tmp_path / name)
        settings.log_severity_level = 4
    OnnxRuntimeSession(workload, lambda: beside)
    onnxruntime.InferenceSession(with_weights(workload.model).SerializeToString(), inside)
    expected = operators(tmp_path / "inside.onnx")
    assert operators(tmp_path / "beside.onnx") == expected
    assert "Conv" in expected
    assert "Clip" not in expected  # the activations are fused: this is an optimised graph


def test_what_is_timed_is_what_is_checked(workload: Workload) -> None:
    """``run_once`` reads the inputs in place, and gives what ``outputs`` does for them."""
    runtime = OnnxRuntime()
    session = runtime.compile(workload, runtime.target("cpu"))
    assert isinstance(session, OnnxRuntimeSession)
    for _ in range(3):
        session.run_once()
    (bound,) = session._binding.copy_outputs_to_cpu()
    (expected,) = session.outputs(random_inputs(workload.inputs))
    np.testing.assert_array_equal(bound, expected)


def test_threads_spin_within_a_run_alone() -> None:
    """By default they spin; that they stop with the run is all that is asked otherwise."""
    told = session_options(OnnxRuntime().target("cpu", threads=2))
    assert told.get_session_config_entry("session.force_spinning_stop") == "1"
    with pytest.raises(RuntimeError, match="allow_spinning"):
        told.get_session_config_entry("session.intra_op.allow_spinning")


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has no second thread")
def test_an_idle_session_burns_no_core(workload: Workload) -> None:
    """Another subject is timed there; by default its threads would go on for some 40 ms."""
    runtime = OnnxRuntime()
    session = runtime.compile(workload, runtime.target("cpu", threads=2))

    def burnt_s() -> float:
        for _ in range(5):
            session.run_once()
        before = time.process_time()
        time.sleep(0.3)
        return time.process_time() - before

    # Threads of whatever else this process has loaded may wake now and then.
    assert min(burnt_s() for _ in range(5)) < 0.02


def test_unknown_levels_are_refused_with_those_there_are() -> None:
    """A level is checked when the target is made, before a sweep begins."""
    with pytest.raises(UsageError, match="disabled, basic, extended, all"):
        OnnxRuntime().target("cpu", options={"optimisation": "fast"})


def test_another_provider_of_the_build_computes_the_same(workload: Workload) -> None:
    """It is a target of its own; what it does not take, the processor's own does."""
    runtime = OnnxRuntime()
    plain = runtime.target("cpu")
    other = runtime.target("cpu", options={"provider": "AzureExecutionProvider"})
    assert other.key != plain.key
    inputs = random_inputs(workload.inputs)
    expected, found = (runtime.compile(workload, one).outputs(inputs) for one in (plain, other))
    np.testing.assert_array_equal(expected, found)


def test_a_provider_that_the_build_lacks_is_refused() -> None:
    """With those that it has; the GPU's have runtimes of their own."""
    with pytest.raises(UsageError, match=r"'Dnnl' is not in .* it has .*CPUExecutionProvider"):
        OnnxRuntime().target("cpu", options={"provider": "Dnnl"})
    assert "provider" not in OnnxRuntimeCuda.options


def test_a_provider_that_does_not_start_is_no_measurement(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime would go on with the processor, under the name of the other one."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["DnnlExecutionProvider"])
    runtime = OnnxRuntime()
    target = runtime.target("cpu", options={"provider": "DnnlExecutionProvider"})
    with pytest.raises(MeasurementError, match="DnnlExecutionProvider"):
        runtime.compile(workload, target)
