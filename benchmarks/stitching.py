"""Networks stitched from exported blocks, against exporting each whole network with torch."""

from __future__ import annotations

import time

import numpy as np
import onnxruntime

import latbench
from benchmarks.table import Row
from latbench.spaces import SearchSpace
from latbench.spaces.exporting import Exporter, export_module
from latbench.spaces.network import ArchitectureNetwork

_STITCHED, _EXPORTED = 200, 8


def rows() -> list[Row]:
    """Return the rate of both ways, and how far their outputs are apart."""
    space = latbench.space("mobilenet", image_size=96)
    X = space.sample(np.random.default_rng(0), _STITCHED)
    space.network_workload(X[0])
    for block in space.blocks:  # exported once, before any network is stitched
        space.block_workload(block)
    start = time.perf_counter()
    for x in X:
        space.network_workload(x)
    stitched = _STITCHED / (time.perf_counter() - start)
    start = time.perf_counter()
    for x in X[:_EXPORTED]:
        export_module(space.network(x), ((1, *space.input_shape),))
    exported = _EXPORTED / (time.perf_counter() - start)
    ratio = stitched / exported
    apart = max(_apart(space, x) for x in X[:_EXPORTED])
    return [
        Row(
            "networks stitched from exported blocks, a second",
            "20 × whole exports",
            f"{stitched:.0f}/s, {ratio:.0f} ×",
            f"torch exports {exported:.2f}/s",
            ratio >= 20,
        ),
        Row(
            "stitched against exported outputs, relative",
            "equal",
            f"{apart:.1e}",
            f"{_EXPORTED} networks, real weights",
            apart < 1e-5,
        ),
    ]


def _apart(space: SearchSpace, x: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    network = space.network(x).eval()
    assert isinstance(network, ArchitectureNetwork)
    parts = [
        export_module(
            network.module_of(step), tuple((1, *shape) for shape in step.input_shapes)
        ).graph
        for step in network.plan
    ]
    image = np.random.default_rng(1).standard_normal((1, *space.input_shape), dtype=np.float32)
    stitched, whole = (
        onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        ).run(None, {"input": image})[0]
        for model in (
            Exporter(space, 1).stitch(network.plan, parts),
            export_module(network, ((1, *space.input_shape),)),
        )
    )
    return float(np.abs(stitched - whole).max() / np.abs(whole).max())
