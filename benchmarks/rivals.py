"""How others time a model: each in a process of its own, as its users run it.

Run as ``python -m benchmarks.rivals NAME MODEL.onnx``; prints milliseconds as JSON: ``median``, and
``min`` where the tool tells it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

LOOP_RUNS = 100
BENCHMARK_APP_S = 2

Told = dict[str, float]
"""Milliseconds by statistic."""


def _session(path: str) -> Callable[[], object]:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    (spec,) = session.get_inputs()
    feed = {spec.name: np.random.default_rng(7).standard_normal(spec.shape).astype(np.float32)}
    return lambda: session.run(None, feed)


def loop(path: str) -> Told:
    """Return the median of 100 runs after ten, one after the other."""
    run_once = _session(path)
    for _ in range(10):
        run_once()
    times = []
    for _ in range(LOOP_RUNS):
        start = time.perf_counter()
        run_once()
        times.append(time.perf_counter() - start)
    return {"median": 1e3 * float(np.median(times))}


def blocked_autorange(path: str) -> Told:
    """Return the median of ``torch.utils.benchmark``'s ``blocked_autorange``."""
    from torch.utils.benchmark import Timer

    timer = Timer("run_once()", globals={"run_once": _session(path)})
    return {"median": 1e3 * float(timer.blocked_autorange().median)}


def adaptive_autorange(path: str) -> Told:
    """Return the median of ``torch.utils.benchmark``'s ``adaptive_autorange``."""
    from torch.utils.benchmark import Timer

    timer = Timer("run_once()", globals={"run_once": _session(path)})
    return {"median": 1e3 * float(timer.adaptive_autorange().median)}


def benchmark_app(path: str) -> Told:
    """Return median and least of OpenVINO's ``benchmark_app`` with the latency hint, in fp32."""
    program = Path(sysconfig.get_path("scripts")) / "benchmark_app"
    command = [str(program), "-m", path, "-hint", "latency", "-infer_precision", "f32"]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as config:
        # With a hint the program takes no -nthreads, but the same setting from a file.
        json.dump({"CPU": {"INFERENCE_NUM_THREADS": 1}}, config)
        config.flush()
        command += ["-load_config", config.name, "-t", str(BENCHMARK_APP_S)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.findall(r"(Median|Min):\s*([\d.]+) (us|ms)", done.stdout)
    assert len(found) == 2, done.stdout
    scale = {"us": 1e-3, "ms": 1.0}
    return {name.lower(): float(value) * scale[unit] for name, value, unit in found}


def openvino_call(path: str) -> Told:
    """Return what a call from Python takes beyond what OpenVINO's own clock tells of it."""
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    tensor = request.get_input_tensor()
    tensor.data[:] = np.random.default_rng(7).standard_normal(tensor.data.shape)
    beyond = []
    for _ in range(LOOP_RUNS):
        start = time.perf_counter()
        request.infer(share_outputs=True)
        beyond.append(1e3 * (time.perf_counter() - start) - request.latency)
    return {"median": float(np.median(beyond))}


RIVALS = {one.__name__: one for one in (loop, blocked_autorange, adaptive_autorange, benchmark_app)}
_TOLD = {**RIVALS, openvino_call.__name__: openvino_call}


def timed(name: str, path: Path) -> tuple[Told, float]:
    """Return what ``name`` tells of ``path`` in a fresh process, in ms, and the seconds it took."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.rivals", name, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout), time.perf_counter() - start


if __name__ == "__main__":
    print(json.dumps(_TOLD[sys.argv[1]](sys.argv[2])))
