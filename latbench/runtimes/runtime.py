"""The contract of a runtime: what compiles a workload for a target and runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from latbench.errors import UnavailableError, UsageError
from latbench.registry import RUNTIMES, load, nearest
from latbench.runtimes.inputs import Array, check_inputs
from latbench.runtimes.kernel import CompiledGraph
from latbench.spaces.workload import TensorSpec, Workload
from latbench.target import Target

if TYPE_CHECKING:
    from latbench.runtimes.run_times import RunTimes
    from latbench.timing import Clock

PROFILED_RUNS = 20
"""Runs that the times of kernels are medians of, unless it is said otherwise."""


class Session(ABC):
    """A compiled workload with its inputs in place.

    The base class checks, the session computes: a subclass implements :meth:`run_once` and
    :meth:`_outputs`.

    Attributes:
        inputs: what the workload reads; :meth:`Runtime.compile` sets it.
        precision_run: the precision that the compiled graph really computes in.
        clock: what times the runs that :meth:`begin` begins, such as events of the device; None
            for the host's clock around :meth:`run_once`.
        build: what the compiler tells of the build, as JSON values, such as the engine's hash.
    """

    inputs: tuple[TensorSpec, ...]
    precision_run: str = "fp32"
    clock: Clock | None = None
    build: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def run_once(self) -> None:
        """Run the workload once on the inputs in place and wait until it is done."""

    def begin(self) -> None:
        """Begin one run on the inputs in place, which may end later than this returns."""
        self.run_once()

    def run_times(self, runs: int = PROFILED_RUNS) -> RunTimes | None:
        """Return the device's, the launches' and the whole time of ``runs`` runs, kept apart.

        None where the work is done by the host.

        Raises:
            MeasurementError: the engine refused a run.
        """
        return None

    def outputs(self, inputs: Mapping[str, Array]) -> list[Array]:
        """Run the workload on ``inputs`` by name and return its outputs in order.

        Raises:
            UsageError: an input is missing or unknown, or has another type or shape.
            MeasurementError: the engine refused the run.
        """
        check_inputs(inputs, self.inputs)
        return self._outputs(inputs)

    @abstractmethod
    def _outputs(self, inputs: Mapping[str, Array]) -> list[Array]:
        """Return the outputs for ``inputs``, which have been checked."""

    def kernels(self, runs: int = PROFILED_RUNS) -> CompiledGraph:
        """Return the compiled graph, its times from ``runs`` profiled runs in another session.

        Raises:
            UnavailableError: this runtime does not tell.
            MeasurementError: the profiled session failed, or a node of the model was lost.
        """
        raise UnavailableError(
            f"{type(self).__name__} does not tell which kernels it compiled; take another runtime"
        )

    def close(self) -> None:  # noqa: B027 - most sessions hold nothing that needs closing
        """Free what the session holds."""


class Runtime(ABC):
    """Compiles workloads for one kind of engine.

    The base class checks, the runtime computes: a subclass implements :meth:`available`,
    :meth:`version` and :meth:`_compile`.

    Attributes:
        name: registered name.
        precisions: those it takes.
        device_kinds: kinds of device profile it runs on: ``cpu``, ``gpu`` or ``soc``.
        options: names of the runtime options it takes, with what each does.
        one_kernel_a_node: whether :meth:`Session.kernels` puts no source node into two kernels.
    """

    name: ClassVar[str]
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    device_kinds: ClassVar[tuple[str, ...]] = ("cpu",)
    options: ClassVar[Mapping[str, str]] = {}
    one_kernel_a_node: ClassVar[bool] = False

    @abstractmethod
    def available(self) -> str | None:
        """Return None if it works here, else what is missing and how to get it."""

    def available_on(self, device: str) -> str | None:
        """Return None if it works here on ``device``, else what is missing and how to get it.

        A runtime that needs other things on other kinds of device overrides it.
        """
        return self.available()

    @abstractmethod
    def version(self) -> str:
        """Return the exact version of the engine."""

    @abstractmethod
    def _compile(self, workload: Workload, target: Target) -> Session:
        """Compile ``workload``, whose target has been checked."""

    def target(
        self,
        device: str,
        precision: str = "fp32",
        batch: int = 1,
        threads: int = 1,
        options: Mapping[str, str] | None = None,
    ) -> Target:
        """Return the target of this runtime, as installed here, with these settings.

        Raises:
            UnavailableError: the runtime is not here.
            UsageError: a precision or an option that it does not have.
        """
        reason = self.available_on(device)
        if reason is not None:
            raise UnavailableError(f"the runtime {self.name} is not available: {reason}")
        target = Target(
            device=device,
            runtime=self.name,
            runtime_version=self.version(),
            precision=precision,
            batch=batch,
            threads=threads,
            options=tuple(sorted((options or {}).items())),
            mode=self.mode(options or {}),
        )
        self.check(target)
        return target

    def mode(self, options: Mapping[str, str]) -> str:
        """Return the timing mode of targets with ``options``, see :class:`Target`."""
        return "host"

    def check(self, target: Target) -> None:
        """Refuse a target that this runtime cannot serve.

        Raises:
            UsageError: another runtime, an unknown precision or option, no whole batch or threads.
            UnavailableError: a precision of this runtime that the device does not have.
        """
        if target.runtime != self.name:
            raise UsageError(f"the target is for {target.runtime}, this runtime is {self.name}")
        if target.precision not in self.precisions:
            raise UsageError(
                f"{self.name} has no precision {target.precision!r}; known: "
                f"{', '.join(self.precisions)}{nearest(target.precision, self.precisions)}"
            )
        for name, _ in target.options:
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise UsageError(
                    f"{self.name} has no option {name!r}; known: {known}"
                    f"{nearest(name, self.options)}"
                )
        if target.batch < 1 or target.threads < 1:
            raise UsageError(
                f"batch and threads must be at least 1, got {target.batch} and {target.threads}"
            )

    def compile(self, workload: Workload, target: Target) -> Session:
        """Return ``workload`` compiled for ``target``, its inputs in place.

        Raises:
            UsageError: the target is not one of this runtime.
            MeasurementError: the engine refused the workload; the text is its reason.
        """
        self.check(target)
        session = self._compile(workload, target)
        session.inputs = workload.inputs
        return session

    def reference(self, workload: Workload, target: Target) -> Session:
        """Return ``workload`` in fp32 with the weights that this runtime gives it.

        Here by ONNX Runtime without optimisation; a runtime with weights of its own overrides it.

        Raises:
            MeasurementError: there is none for this workload.
        """
        engine: Runtime = load(RUNTIMES, "onnxruntime")()
        return engine.compile(
            workload, engine.target(target.device, options={"optimisation": "disabled"})
        )


def is_processor(device: str) -> bool:
    """Return whether the profile ``device`` describes a processor.

    Raises:
        UsageError: there is no such profile.
    """
    if device == "cpu":  # known without loading what knows of profiles
        return True
    from latbench.devices import profile

    return profile(device).kind == "cpu"


def reason_of(failure: Exception) -> str:
    """Return the first line of what an engine says, or the name of its exception."""
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    return lines[0] if lines else type(failure).__name__
