"""A workload compiled by ONNX Runtime for a GPU, and where its nodes run."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latbench.devices import Fingerprint
from latbench.errors import LatbenchError, MeasurementError
from latbench.runtimes.engine_cache import default_cache
from latbench.runtimes.inputs import Array, random_inputs
from latbench.runtimes.onnxruntime import session_options
from latbench.runtimes.onnxruntime_engines import KeptEngines, empty, engines_in, options_for
from latbench.runtimes.onnxruntime_placement import Placement, placement
from latbench.runtimes.packages import version_of
from latbench.runtimes.runtime import Session, reason_of
from latbench.runtimes.tensorrt_engine import at_shapes
from latbench.spaces.weights import with_weights
from latbench.spaces.workload import Workload
from latbench.target import Target

Provider = tuple[str, Mapping[str, str]]
"""Name of an execution provider with its options."""

_PROCESSOR = "CPUExecutionProvider"


class GpuSession(Session):
    """A compiled graph whose inputs and outputs stay on the device."""

    def __init__(self, workload: Workload, target: Target, providers: list[Provider]) -> None:
        """Compile ``workload`` for the first of ``providers``.

        Raises:
            MeasurementError: ONNX Runtime refused it, or would run a part of it elsewhere.
        """
        self.precision_run = target.precision
        self._target, self._providers = target, providers
        self._wanted = providers[0][0]
        try:
            # What computes shapes is a constant then; it would run on the processor otherwise.
            model = at_shapes(with_weights(workload.model), workload.inputs)
            self._values = random_inputs(workload.inputs)
            self._take(model.SerializeToString(deterministic=True))
        except LatbenchError:
            raise
        # ONNX Runtime raises a class of its own for each status, without a common base.
        except Exception as failure:
            raise _failed("refused", failure) from failure

    def _take(self, model: bytes) -> None:
        """Compile ``model``, and refuse it where a part of it runs elsewhere."""
        self._check(self._begun(model, {}))

    def _begun(self, model: bytes, more: Mapping[str, str]) -> Placement:
        """Compile ``model`` with ``more`` options of the preferred provider, and run it once."""
        import onnxruntime

        (wanted, options), *others = self._providers
        with tempfile.TemporaryDirectory(prefix="latbench-") as folder:
            settings = session_options(self._target)
            settings.enable_profiling = True
            settings.profile_file_prefix = str(Path(folder) / "profile")
            self._session = onnxruntime.InferenceSession(
                model,
                settings,
                providers=[
                    (wanted, {**options, **more}),
                    *((name, dict(given)) for name, given in others),
                ],
                enable_fallback=0,  # what fails would be tried again without the provider
            )
            self._output_names = [output.name for output in self._session.get_outputs()]
            self._binding = self._bound(self._values)
            self.run_once()
            # What is timed later is not profiled.
            return placement(Path(self._session.end_profiling()))

    def _check(self, placed: Placement) -> None:
        if _PROCESSOR in placed.operators:
            raise MeasurementError(
                f"a part of it ({placed.named(_PROCESSOR)}) would run on the processor, because "
                f"{self._wanted} does not take it; take another runtime, or change the model"
            )
        if placed.operators and self._wanted not in placed.operators:
            raise MeasurementError(
                f"{self._wanted} takes nothing of it, and {', '.join(placed.operators)} would run "
                "it all; take --runtime onnxruntime-cuda"
            )
        self.build = {"nodes": placed.counts}

    def _bound(self, inputs: Mapping[str, Array]) -> Any:
        import onnxruntime

        binding = self._session.io_binding()
        known = {value.name for value in self._session.get_inputs()}
        for name in known.intersection(inputs):
            values = onnxruntime.OrtValue.ortvalue_from_numpy(inputs[name], "cuda", 0)
            binding.bind_ortvalue_input(name, values)
        for name in self._output_names:
            binding.bind_output(name, "cuda", 0)
        return binding

    def run_once(self) -> None:
        """See :class:`Session`."""
        try:
            self._session.run_with_iobinding(self._binding)
            self._binding.synchronize_outputs()
        except Exception as failure:
            raise _failed("cannot run", failure) from failure

    def _outputs(self, inputs: Mapping[str, Array]) -> list[Array]:
        try:
            binding = self._bound(inputs)
            self._session.run_with_iobinding(binding)
            return list(binding.copy_outputs_to_cpu())
        except Exception as failure:
            raise _failed("cannot run", failure) from failure


class EngineSession(GpuSession):
    """A graph of which TensorRT takes what it can; its engines are kept for the next process."""

    def __init__(
        self, workload: Workload, target: Target, providers: list[Provider], here: Fingerprint
    ) -> None:
        """Compile ``workload`` on the card ``here``, or take the engines that were kept of it.

        Raises:
            MeasurementError: see :class:`GpuSession`.
        """
        self._here = here
        super().__init__(workload, target, providers)

    def _take(self, model: bytes) -> None:
        kept = self._kept(model)
        with tempfile.TemporaryDirectory(prefix="latbench-") as name:
            folder = Path(name)
            found = kept.put_into(folder)
            before = engines_in(folder)
            start = time.perf_counter()
            try:
                placed = self._begun(model, options_for(folder))
            except Exception:
                if not found:
                    raise
                # A TensorRT that was exchanged since takes neither engines nor timings of the
                # former one. What fails for another reason fails without them, too.
                empty(folder)
                before = {}
                placed = self._begun(model, options_for(folder))
            spent_ms = (time.perf_counter() - start) * 1e3
            self._check(placed)
            engines = engines_in(folder)
            if engines != before:
                kept.keep(folder)
        self.build = {
            **self.build,
            "engines_sha256": sorted(engines.values()),
            "built_ms": None if engines == before else spent_ms,
        }
        self._tell_precision(placed)

    def _kept(self, model: bytes) -> KeptEngines:
        card = self._here.card
        place = {
            "onnxruntime": version_of("onnxruntime"),
            "driver": None if card is None else card.driver,
            "instance": self._here.instance,
            "precision": self._target.precision,
            "options": dict(self._target.options),
        }
        return KeptEngines(default_cache(), hashlib.sha256(model).hexdigest(), place)

    def _tell_precision(self, placed: Placement) -> None:
        if self._target.precision == "fp32":
            return
        if len(placed.operators) > 1:
            self.precision_run = "amp"  # what TensorRT does not take computes as the model says
        untold = "the TensorRT provider does not tell which layers it keeps in fp32"
        self.build = {**self.build, "precision_untold": untold}


def _failed(what: str, failure: Exception) -> MeasurementError:
    """Return what ONNX Runtime says on one line, with what to do about memory."""
    said = str(failure).lower()
    short = "out of memory" in said or "failed to allocate memory" in said
    room = "; take a smaller batch, or end what else uses the GPU (nvidia-smi lists it)"
    return MeasurementError(f"onnxruntime {what} it: {reason_of(failure)}{room if short else ''}")
