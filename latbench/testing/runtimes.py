"""What every runtime must do: subclass :class:`RuntimeSuite` under a name pytest collects.

.. code-block:: python

    class TestMyRuntime(RuntimeSuite):
        def make_runtime(self):
            return MyRuntime()

Where the runtime is not available, its checks are skipped with its own reason.
"""

from __future__ import annotations

import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pytest
from onnx import ModelProto, load_model_from_string

from latbench import registry
from latbench.errors import MeasurementError, UnavailableError, UsageError
from latbench.runtimes import CompiledGraph, Runtime, Session, random_inputs
from latbench.runtimes.inputs import Array
from latbench.runtimes.naming import named
from latbench.spaces import Block, SearchSpace, Sum, Workload
from latbench.spaces.weights import with_weights
from latbench.target import PRECISIONS, Target
from latbench.testing import onnx_models
from latbench.timing import HostClock

WORKLOADS = ("block", "join", "network", "batch of 3", "cell", "constant")


class RuntimeSuite(ABC):
    """One check a rule of :class:`latbench.runtimes.Runtime`, on small blocks and networks.

    Attributes:
        device: the device profile of the targets.
        reads_onnx: whether it compiles ONNX models, and so takes a user's file.
        tolerance: greatest difference to the reference, relative to the largest output.
        workloads: what is compiled and compared; fewer where an engine compiles for seconds.
        exact: whether equal computations give equal bits. On a GPU libraries may choose a kernel by
            its time, so that two sessions round differently: then the tolerance holds here too.
    """

    device: ClassVar[str] = "cpu"
    reads_onnx: ClassVar[bool] = True
    tolerance: ClassVar[float] = 1e-4
    workloads: ClassVar[tuple[str, ...]] = WORKLOADS
    exact: ClassVar[bool] = True

    @abstractmethod
    def make_runtime(self) -> Runtime:
        """Return the runtime under test."""

    def make_target(self, runtime: Runtime, batch: int = 1) -> Target:
        """Return the target that most checks compile for."""
        return runtime.target(self.device, runtime.precisions[0], batch)

    def reference(self, workload: Workload) -> ModelProto | None:
        """Return an ONNX model that computes what the runtime does, down to the weights.

        None where they cannot be known: then outputs are checked for shape and order alone.
        """
        return with_weights(workload.model)

    def nodes(self, workload: Workload, told: CompiledGraph) -> list[str]:
        """Return the source nodes of ``workload``, as the compiled graph ``told`` should call them.

        The nodes of the ONNX model by default.
        """
        return list(named(load_model_from_string(workload.model))[1].values())

    @pytest.fixture
    def runtime(self) -> Runtime:
        """The runtime, if it is available here."""
        runtime = self.make_runtime()
        reason = runtime.available_on(self.device)
        if reason is not None:
            pytest.skip(f"{runtime.name}: {reason}")
        return runtime

    @pytest.fixture
    def target(self, runtime: Runtime) -> Target:
        """The target of :meth:`make_target`."""
        return self.make_target(runtime)

    # The runtime

    def test_it_is_available_or_says_what_is_missing(self) -> None:
        """Asking raises nothing; what is missing is the text of an UnavailableError."""
        runtime = self.make_runtime()
        reason = runtime.available_on(self.device)
        if reason is None:
            return
        assert reason
        assert "\n" not in reason
        with pytest.raises(UnavailableError) as refused:
            self.make_target(runtime)
        assert reason in str(refused.value)
        assert runtime.name in str(refused.value)

    def test_its_version_is_part_of_the_target(self, runtime: Runtime, target: Target) -> None:
        """The version is the same each time, and a target carries it with the runtime's name."""
        assert runtime.version()
        assert runtime.version() == self.make_runtime().version() == target.runtime_version
        assert target.runtime == runtime.name

    def test_what_it_takes_is_declared(self, runtime: Runtime) -> None:
        """Precisions are those of latbench, and every option says what it does."""
        assert runtime.precisions
        assert set(runtime.precisions) <= set(PRECISIONS)
        assert all(runtime.options.values())

    @pytest.mark.parametrize(
        "wrong",
        [
            {"precision": "fp31"},
            {"precision": ""},
            {"options": {"no such option": "1"}},
            {"batch": 0},
            {"threads": 0},
        ],
    )
    def test_impossible_targets_are_refused(self, runtime: Runtime, wrong: Any) -> None:
        """An unknown precision or option, no batch and no threads are UsageErrors."""
        with pytest.raises(UsageError):
            runtime.target(self.device, **wrong)

    def test_precisions_it_lacks_are_refused(self, runtime: Runtime) -> None:
        """A precision of others is refused, with those that there are."""
        for precision in sorted(set(PRECISIONS) - set(runtime.precisions)):
            with pytest.raises(UsageError, match=runtime.precisions[0]):
                runtime.target(self.device, precision)

    def test_options_take_no_nonsense(self, runtime: Runtime) -> None:
        """A value that an option cannot have is refused before anything is compiled."""
        for option in runtime.options:
            with pytest.raises(UsageError, match=option):
                runtime.target(self.device, runtime.precisions[0], options={option: "no such\n"})

    def test_targets_of_others_are_not_compiled(self, runtime: Runtime, target: Target) -> None:
        """A target of another runtime, or one this one cannot serve, is a UsageError."""
        for wrong in ({"runtime": "another"}, {"precision": "fp31"}, {"threads": -1}):
            with pytest.raises(UsageError):
                runtime.compile(_workload("block"), dataclasses.replace(target, **wrong))

    # Sessions

    @pytest.mark.parametrize("name", WORKLOADS)
    def test_it_compiles_and_runs(self, runtime: Runtime, name: str) -> None:
        """Blocks and whole networks compile, run on the inputs in place, and give their shape."""
        workload = self._chosen(name)
        session = runtime.compile(workload, self.make_target(runtime, workload.recipe["batch"]))
        session.run_once()
        session.run_once()
        assert session.precision_run in PRECISIONS
        (output,) = session.outputs(random_inputs(workload.inputs))
        assert output.shape == _output_shape(workload)
        assert np.isfinite(output.astype(np.float64)).all()
        session.close()

    @pytest.mark.parametrize("name", WORKLOADS)
    def test_outputs_agree_with_the_reference(self, runtime: Runtime, name: str) -> None:
        """What is timed computes the workload: with equal weights it gives equal outputs."""
        workload = self._chosen(name)
        reference = self.reference(workload)
        if reference is None:
            pytest.skip(f"the weights of {runtime.name} are not known")
        session = runtime.compile(workload, self.make_target(runtime, workload.recipe["batch"]))
        inputs = _other_inputs(workload)
        (got,) = session.outputs(inputs)
        known = {value.name for value in reference.graph.input}
        fed = {name: values for name, values in inputs.items() if name in known}
        (want,) = onnx_models.run(reference, fed)
        self._assert_close(got, want)

    def test_outputs_follow_the_inputs(self, runtime: Runtime, target: Target) -> None:
        """Equal inputs give equal outputs, other inputs others, and old outputs stay."""
        workload = _workload("network")
        session = runtime.compile(workload, target)
        inputs, others = random_inputs(workload.inputs), _other_inputs(workload)
        (first,) = session.outputs(inputs)
        kept = first.copy()
        session.run_once()
        (other,) = session.outputs(others)
        (again,) = session.outputs(inputs)
        np.testing.assert_array_equal(first, kept)
        self._assert_same(again, first)
        assert (other != first).any()

    def test_other_inputs_are_refused(self, runtime: Runtime, target: Target) -> None:
        """What has another type, shape or name is a UsageError: nothing is cast or broadcast."""
        workload = _workload("block")
        session = runtime.compile(workload, target)
        inputs = random_inputs(workload.inputs)
        ((name, values),) = inputs.items()
        (before,) = session.outputs(inputs)
        wrong = {
            "float64": values.astype(np.float64),
            "int32": values.astype(np.int32),
            r"\(1, \d+, \d+, 1\)": values[..., :1],
            r"\(\d+, \d+, \d+\), ": values[0],
            r"\(2, ": np.concatenate([values, values]),
        }
        for says, given in wrong.items():
            with pytest.raises(UsageError, match=f"{name!r}.* {says}"):
                session.outputs({name: given})
        for others in ({}, {"no such input": values}, {**inputs, "no such input": values}):
            with pytest.raises(UsageError, match=repr(name)):
                session.outputs(others)
        (after,) = session.outputs(inputs)
        np.testing.assert_array_equal(after, before)

    def test_equal_workloads_get_equal_weights(self, runtime: Runtime, target: Target) -> None:
        """A workload compiled twice computes the same: its values do not depend on the process."""
        workload = _workload("network")
        first, second = (runtime.compile(workload, target) for _ in range(2))
        inputs = random_inputs(workload.inputs)
        self._assert_same(first.outputs(inputs)[0], second.outputs(inputs)[0])

    def test_sessions_do_not_disturb_each_other(self, runtime: Runtime, target: Target) -> None:
        """Subjects of one group interleave in a process; each keeps its own weights and inputs."""
        workloads = [_workload(name) for name in ("block", "network", "cell")]
        alone = [_run_alone(runtime, workload, target) for workload in workloads]
        sessions = [runtime.compile(workload, target) for workload in workloads]
        for _ in range(2):
            for session, workload, expected in zip(sessions, workloads, alone, strict=True):
                for other in sessions:
                    other.run_once()
                (output,) = session.outputs(random_inputs(workload.inputs))
                self._assert_same(output, expected)

    def test_closing_twice_is_fine(self, runtime: Runtime, target: Target) -> None:
        """A session may be closed again, and one that is closed leaves the others alone."""
        workload = _workload("block")
        closed, open_ = (runtime.compile(workload, target) for _ in range(2))
        closed.run_once()
        closed.close()
        closed.close()
        open_.run_once()

    def test_its_clock_counts_nanoseconds(self, runtime: Runtime, target: Target) -> None:
        """A clock of the session's own gives whole nanoseconds of the runs that it begins."""
        session = runtime.compile(_workload("block"), target)
        clock, run = session.clock, session.begin
        if clock is None:
            clock, run = HostClock(), session.run_once
        readings = [clock.time(run, runs) for runs in (1, 1, 3)]
        assert all(type(reading) is int for reading in readings)
        assert min(readings) > 0
        assert clock.resolution_ns > 0
        assert clock.overhead_ns >= 0

    def test_three_times_are_told_apart_or_none_is(self, runtime: Runtime, target: Target) -> None:
        """Of a device the times of its work, of the launches and of the whole; of the host none."""
        session = runtime.compile(_workload("network"), target)
        told = session.run_times(runs=3)
        if told is None:
            return
        assert len(told.gpu_ms) == len(told.enqueue_ms) == len(told.e2e_ms) == 3
        assert min(told.gpu_ms) > 0
        for enqueue_ms, e2e_ms in zip(told.enqueue_ms, told.e2e_ms, strict=True):
            assert 0 < enqueue_ms <= e2e_ms
        assert json.loads(json.dumps(told.to_dict())) == told.to_dict()

    def test_what_it_tells_of_the_build_is_json(self, runtime: Runtime, target: Target) -> None:
        """It goes into the store with the measurement."""
        build = runtime.compile(_workload("block"), target).build
        assert json.loads(json.dumps(dict(build))) == dict(build)

    def test_several_threads_compute_the_same(self, runtime: Runtime, target: Target) -> None:
        """The number of threads is a matter of time alone."""
        workload = _workload("network")
        inputs = random_inputs(workload.inputs)
        two, one = (
            runtime.compile(workload, dataclasses.replace(target, threads=n)).outputs(inputs)[0]
            for n in (2, 1)
        )
        self._assert_close(two, one)

    def _chosen(self, name: str) -> Workload:
        if name not in self.workloads:
            pytest.skip(f"{type(self).__name__} leaves out the workload {name}")
        return _workload(name)

    def _assert_same(self, got: Array, want: Array) -> None:
        if self.exact:
            np.testing.assert_array_equal(got, want)
        else:
            self._assert_close(got, want)

    def _assert_close(self, got: Array, want: Array) -> None:
        a, b = got.astype(np.float64), want.astype(np.float64)
        np.testing.assert_allclose(a, b, rtol=0, atol=self.tolerance * float(np.abs(b).max()))

    # Kernels

    @pytest.mark.parametrize("name", WORKLOADS)
    def test_kernels_account_for_every_node(self, runtime: Runtime, name: str) -> None:
        """Each node is in a kernel or folded, in one only where the runtime says so."""
        workload = _workload(name)
        session = runtime.compile(workload, self.make_target(runtime, workload.recipe["batch"]))
        told = self._kernels(session)
        told.check(self.nodes(workload, told), runtime.one_kernel_a_node)
        assert all(kernel.name and kernel.kind for kernel in told.kernels)

    def test_times_of_kernels_are_times(self, runtime: Runtime, target: Target) -> None:
        """Times are not negative, nor all nothing; precisions are those of latbench."""
        told = self._kernels(runtime.compile(_workload("network"), target))
        times_ms = [kernel.time_ms for kernel in told.kernels if kernel.time_ms is not None]
        assert all(time_ms >= 0 for time_ms in times_ms)
        if told.whole_ms is not None:
            assert 0 < sum(times_ms) < 2 * told.whole_ms
        assert {kernel.precision for kernel in told.kernels} <= {None, *PRECISIONS}

    def test_kernels_leave_the_timed_session_unchanged(
        self, runtime: Runtime, target: Target
    ) -> None:
        """What is profiled is another session: the timed one runs on, and computes the same."""
        workload = _workload("network")
        session = runtime.compile(workload, target)
        inputs = random_inputs(workload.inputs)
        before = session.outputs(inputs)[0].copy()
        first, second = self._kernels(session), self._kernels(session)
        session.run_once()
        self._assert_same(session.outputs(inputs)[0], before)
        assert [kernel.nodes for kernel in first.kernels] == [k.nodes for k in second.kernels]

    @staticmethod
    def _kernels(session: Session) -> CompiledGraph:
        try:
            return session.kernels(runs=2)
        except UnavailableError as refused:
            pytest.skip(str(refused))

    # Models

    def test_files_are_taken_where_onnx_is_read(self, runtime: Runtime, target: Target) -> None:
        """A user's ONNX file runs, or is refused with the reason and what else to use."""
        made = _workload("network")
        model = with_weights(made.model).SerializeToString()
        file = dataclasses.replace(made, name="m.onnx", model=model, recipe={"kind": "file"})
        if not self.reads_onnx:
            with pytest.raises(MeasurementError, match=r"m\.onnx"):
                runtime.compile(file, target)
            return
        (output,) = runtime.compile(file, target).outputs(random_inputs(file.inputs))
        self._assert_same(output, _run_alone(runtime, made, target))

    @pytest.mark.parametrize("what", ["empty", "no model", "truncated", "unknown operator"])
    def test_broken_models_are_refused(self, runtime: Runtime, target: Target, what: str) -> None:
        """What the engine refuses is a MeasurementError, whose text is the reason on one line."""
        if not self.reads_onnx:
            pytest.skip(f"{runtime.name} reads no ONNX")
        made = _workload("block")
        whole = with_weights(made.model)
        whole.graph.node[0].op_type = "NoSuchOperator"
        content = {
            "empty": b"",
            "no model": b"this is no model",
            "truncated": made.model[: len(made.model) // 2],
            "unknown operator": whole.SerializeToString(),
        }
        broken = dataclasses.replace(made, model=content[what], recipe={"kind": "file"})
        with pytest.raises(MeasurementError) as refused:
            runtime.compile(broken, target)
        assert str(refused.value)
        assert "\n" not in str(refused.value)


@lru_cache(maxsize=2)
def _space(name: str, **options: int) -> SearchSpace:
    space: SearchSpace = registry.load(registry.SPACES, name)(**options)
    return space


def _workload(name: str) -> Workload:
    """Return one of :data:`WORKLOADS`."""
    chain = _space("digits-mobilenet", image_size=16)
    cells = _space("nasbench201", image_size=8, cells=1)
    if name == "block":
        return chain.block_workload(chain.blocks[1])
    if name == "join":
        join = next(block for block in cells.blocks if isinstance(block.operation, Sum))
        return cells.block_workload(Block(join.operation, join.input_shapes[:2]))
    if name == "cell":
        return cells.network_workload([3, 2, 1, 4, 3, 2])
    if name == "constant":  # nothing reaches its output, so it does not read its input
        return cells.network_workload([0] * 6)
    return chain.network_workload([1] * 8, batch=3 if name == "batch of 3" else 1)


def _output_shape(workload: Workload) -> tuple[int, ...]:
    (output,) = onnx_models.run(with_weights(workload.model), random_inputs(workload.inputs))
    return output.shape


def _other_inputs(workload: Workload) -> Mapping[str, Array]:
    rng = np.random.default_rng(1)
    return {
        spec.name: rng.standard_normal(spec.shape).astype(spec.dtype) for spec in workload.inputs
    }


def _run_alone(runtime: Runtime, workload: Workload, target: Target) -> Array:
    (output,) = runtime.compile(workload, target).outputs(random_inputs(workload.inputs))
    return output
