"""The time of an engine by our events, beside the GPU compute time of NVIDIA's ``trtexec``.

Both put events around each run of the same engine, which is loaded and not built anew, leave the
caches warm, copy nothing, and take turns. trtexec does not hold the GPU until the host has launched
a run: where launching takes longer than the work, it times the launching, which its row then says.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.gpu_events import beside
from benchmarks.gpu_part import Check, Row, refused
from benchmarks.gpu_runtimes import network
from latbench import devices
from latbench.errors import LatbenchError, MeasurementError, UnavailableError
from latbench.profiling.device_lock import device_lock
from latbench.profiling.subjects import network_subjects
from latbench.registry import RUNTIMES, load
from latbench.runtimes import Runtime, Session
from latbench.runtimes.engine_cache import default_cache
from latbench.runtimes.gpu_clock import GpuClock

_CASES = ((1, "graph"), (32, "graph"), (32, "stream"))
"""Images a run, and how it is launched."""
_TURNS, _RUNS = 5, 100
_WARM_UP_MS, _DURATION_S = 500, 1
_LIMIT_S = 120.0
_DEBIAN = Path("/usr/src/tensorrt/bin/trtexec")
"""Where TensorRT's Debian packages put it, which is not in PATH."""
_LENGTH = 300


def rows(check: Check, before: Sequence[Row]) -> Iterator[Row]:
    """Yield a row for each batch and way to launch the network of the part ``runtimes``.

    Raises:
        UnavailableError: TensorRT cannot use the device, or there is no trtexec.
    """
    runtime: Runtime = load(RUNTIMES, "tensorrt")()
    if devices.profile(check.device).kind not in runtime.device_kinds:
        yield refused("trtexec", f"trtexec times work on a GPU, and a {check.device} is none")
        return
    instance = devices.require(check.device).instance
    runtime.target(check.device)
    trtexec = _trtexec(runtime.version())
    space = check.build_space()
    for batch, launch in _CASES:
        (subject,) = network_subjects(space, network(space)[np.newaxis], batch)
        options = {"clock": "gpu", "launch": launch}
        target = runtime.target(check.device, batch=batch, options=options)
        case = {"network": subject.key, "batch": batch, "launch": launch}
        try:
            with device_lock(instance, warnings.warn):
                session = runtime.compile(subject.workload, target)
                try:
                    found = _compared(session, trtexec, launch)
                finally:
                    session.close()
            yield {**case, **found}
        except LatbenchError as failure:
            yield refused("trtexec", failure, **case)


def _trtexec(version: str) -> str:
    """Return the path of the program."""
    found = shutil.which("trtexec") or shutil.which(_DEBIAN)
    if found is None:
        raise UnavailableError(
            f"trtexec is neither in PATH nor {_DEBIAN}; it comes with TensorRT's archive, Debian "
            f"packages and containers, not with pip: put that of TensorRT {version} into PATH"
        )
    return found


def _compared(session: Session, trtexec: str, launch: str) -> Row:
    """Return what both say of the engine of ``session``, in turns."""
    clock = session.clock
    assert isinstance(clock, GpuClock)
    ours, theirs, hidden = [], [], True
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "engine.plan"
        plan.write_bytes(_kept_engine(session.build["engine_sha256"]))
        for _ in range(_TURNS):
            _warm(session, clock)
            taken = []
            for _ in range(_RUNS):
                taken.append(clock.time(session.begin, 1) / 1e6)
                hidden = hidden and clock.hidden
            ours.append(median(taken))
            theirs.append(median(_times_ms(trtexec, plan, launch)))
    told = session.run_times()
    return {
        **beside("trtexec", ours, theirs),
        "hidden": hidden,
        # Of warm runs, each launched as in a user's program.
        "enqueue_bound": None if told is None else told.enqueue_bound,
    }


def _warm(session: Session, clock: GpuClock) -> None:
    """Run for as long as trtexec does before it times: it began anew, and clocks fell meanwhile."""
    end = time.monotonic() + _WARM_UP_MS / 1e3
    while time.monotonic() < end:
        clock.time(session.begin, 1)


def _kept_engine(sha256: str) -> bytes:
    """Return the serialised engine with this hash, which was kept when it was compiled."""
    content = default_cache().with_hash(sha256)
    if content is None:
        raise MeasurementError("the engine is not kept any more, so trtexec cannot load it")
    return content


def _times_ms(trtexec: str, plan: Path, launch: str) -> list[float]:
    """Return the GPU compute time of each run that trtexec timed.

    Raises:
        MeasurementError: it failed, or wrote what is not understood.
    """
    file = plan.with_name("times.json")
    file.unlink(missing_ok=True)
    command = [
        trtexec,
        f"--loadEngine={plan}",
        f"--exportTimes={file}",
        f"--warmUp={_WARM_UP_MS}",
        f"--duration={_DURATION_S}",
        "--noDataTransfers",
        "--useSpinWait",
        *(["--useCudaGraph"] if launch == "graph" else []),
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_LIMIT_S,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired as failure:
        raise MeasurementError(f"trtexec did not end within {_LIMIT_S:g} s") from failure
    except OSError as failure:
        raise MeasurementError(f"{trtexec} does not start: {failure.strerror}") from failure
    if done.returncode or not file.exists():
        raise MeasurementError(
            f"trtexec ended with exit status {done.returncode} and said {_reason(done.stdout)}; "
            "its TensorRT must be the one that is installed for Python"
        )
    return compute_times_ms(file.read_text(encoding="utf-8"), _WARM_UP_MS)


def _reason(said: str) -> str:
    """Return the first error in what trtexec said, else its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "[E]" in line]
    return repr((errors or lines[-1:] or ["nothing"])[0][:_LENGTH])


def compute_times_ms(text: str, warm_up_ms: float) -> list[float]:
    """Return the GPU compute times in what ``trtexec --exportTimes`` wrote.

    It is a list with an object for each run, times in milliseconds; some releases write the runs
    of the warm-up too, which began before ``warm_up_ms`` were over.

    Raises:
        MeasurementError: it is something else; the text says what.
    """
    try:
        runs = json.loads(text)
    except ValueError as failure:
        raise MeasurementError(f"what trtexec exported is no JSON: {failure}") from failure
    if not isinstance(runs, list):
        raise MeasurementError(
            f"trtexec exported {text[:_LENGTH]!r}, which is no list with an object for each run"
        )
    told = [(_number(run, "startComputeMs"), _number(run, "computeMs")) for run in runs]
    times_ms = [time_ms for start_ms, time_ms in told if start_ms >= warm_up_ms]
    if not times_ms or min(times_ms) <= 0:
        raise MeasurementError(
            f"trtexec exported {len(runs)} runs, of which {len(times_ms)} began after its warm-up "
            f"of {warm_up_ms:g} ms; the shortest of them must take longer than 0 ms, and takes "
            f"{min(times_ms, default=math.nan):g}"
        )
    return times_ms


def _number(run: Any, name: str) -> float:
    value = run.get(name) if isinstance(run, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise MeasurementError(
            f"trtexec exported a run {json.dumps(run)[:_LENGTH]}, in which {name} is no number"
        )
    return float(value)
