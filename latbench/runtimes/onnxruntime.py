"""ONNX Runtime on the processor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from latbench.errors import MeasurementError, UsageError
from latbench.runtimes.inputs import Array, random_inputs
from latbench.runtimes.kernel import CompiledGraph
from latbench.runtimes.packages import obstacle, require_part, version_of
from latbench.runtimes.runtime import PROFILED_RUNS, Runtime, Session, reason_of
from latbench.spaces.workload import Workload
from latbench.target import Target

_LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
_PROCESSOR = "CPUExecutionProvider"


class OnnxRuntime(Runtime):
    """ONNX Runtime on the processor, by its own execution provider or another for processors.

    Attributes:
        distribution: what pip calls the build that has it.
    """

    distribution: ClassVar[str] = "onnxruntime"
    name: ClassVar[str] = "onnxruntime"
    one_kernel_a_node: ClassVar[bool] = True
    options: ClassVar[Mapping[str, str]] = {
        "optimisation": "graph optimisation level: disabled, basic, extended or all (default)",
        "provider": "execution provider of the installed build, which comes before its own for "
        "processors, such as DnnlExecutionProvider",
    }

    def available(self) -> str | None:
        """See :class:`Runtime`."""
        load = partial(require_part, "onnxruntime", "InferenceSession")
        return obstacle("onnxruntime", load, self.distribution)

    def version(self) -> str:
        """See :class:`Runtime`."""
        return version_of("onnxruntime")

    def check(self, target: Target) -> None:
        """See :class:`Runtime`."""
        super().check(target)
        level = dict(target.options).get("optimisation", "all")
        if level not in _LEVELS:
            raise UsageError(f"optimisation={level!r} is unknown; use one of {', '.join(_LEVELS)}")
        provider = dict(target.options).get("provider")
        if provider is not None:
            import onnxruntime

            built = onnxruntime.get_available_providers()
            if provider not in built:
                raise UsageError(
                    f"provider={provider!r} is not in the onnxruntime that is installed here; it "
                    f"has {', '.join(built)}"
                )

    def _compile(self, workload: Workload, target: Target) -> Session:
        provider = dict(target.options).get("provider", _PROCESSOR)
        return OnnxRuntimeSession(workload, partial(session_options, target), provider)


def session_options(target: Target) -> Any:
    """Return ONNX Runtime's options of a session for ``target``."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel,
        _LEVELS[dict(target.options).get("optimisation", "all")],
    )
    settings.intra_op_num_threads = target.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 4  # refusals come as exceptions; nothing else is of use
    # Within a run threads spin for the next operator, as they do by default: waking them takes
    # longer than many an operator. Between runs, where by default they go on for some 40 ms, those
    # of idle subjects must not burn the core that another one is timed on.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    return settings


class OnnxRuntimeSession(Session):
    """A compiled graph, its inputs and outputs bound to memory once."""

    def __init__(
        self, workload: Workload, make_settings: Callable[[], Any], provider: str = _PROCESSOR
    ) -> None:
        """Compile ``workload`` with the session options that ``make_settings`` returns.

        What ``provider`` does not take runs on ONNX Runtime's own provider for processors.

        Raises:
            MeasurementError: ONNX Runtime refused it, or goes on without ``provider``.
        """
        import onnxruntime
        from onnx import load_model_from_string

        from latbench.spaces.weights import seeded

        self._workload, self._make_settings, self._provider = workload, make_settings, provider
        settings = make_settings()
        try:
            weights = seeded(load_model_from_string(workload.model))
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
            inputs = random_inputs(workload.inputs)
            # The session reads these in place, so they must outlive it.
            self._kept = (weights, values, inputs)
            if weights:
                settings.add_external_initializers(list(weights), values)
            self._session = onnxruntime.InferenceSession(
                workload.model, settings, providers=list(dict.fromkeys([provider, _PROCESSOR]))
            )
            self._output_names = [output.name for output in self._session.get_outputs()]
            self._binding = self._session.io_binding()
            for name, array in inputs.items():
                self._binding.bind_cpu_input(name, array)
            for name in self._output_names:
                self._binding.bind_output(name)
        # ONNX Runtime raises a class of its own for each status, without a common base.
        except Exception as failure:
            raise MeasurementError(f"onnxruntime refused it: {reason_of(failure)}") from failure
        # ONNX Runtime goes on without a provider that does not start.
        if provider not in self._session.get_providers():
            raise MeasurementError(f"{provider} does not start here; are its libraries installed?")

    def run_once(self) -> None:
        """See :class:`Session`."""
        self._session.run_with_iobinding(self._binding)

    def _outputs(self, inputs: Mapping[str, Array]) -> list[Array]:
        try:
            return list(self._session.run(self._output_names, dict(inputs)))
        except Exception as failure:
            raise MeasurementError(f"onnxruntime cannot run it: {reason_of(failure)}") from failure

    def kernels(self, runs: int = PROFILED_RUNS) -> CompiledGraph:
        """See :class:`Session`."""
        if self._provider != _PROCESSOR:
            return super().kernels(runs)
        from latbench.runtimes.onnxruntime_profile import profiled

        return profiled(self._workload, self._make_settings, runs)

    def end_profiling(self) -> Path:
        """Write the profile, which the session options asked for, and return its place."""
        return Path(self._session.end_profiling())
