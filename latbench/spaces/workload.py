"""A workload: a graph with input shapes, known by what it computes and not by its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape (with the batch) and ONNX element type of an input, such as ``float32``."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Workload:
    """Something to compile and time.

    Attributes:
        id: ``g1:<sha256>``, see :func:`latbench.spaces.identity.graph_id`.
        name: what people call it.
        inputs: the real inputs of the graph.
        model: a serialised ONNX model; weights may be left out, see
            :mod:`latbench.spaces.weights`.
        recipe: how a runtime that does not read ONNX builds it: ``{"kind": "block" | "network",
            "space": spec, …}``, where ``"weights"`` of a network may name a file of safetensors
            that holds them, or ``{"kind": "file"}`` for a model that exists as ONNX alone.
        nodes: operators in the graph.
        macs: multiply-accumulates of the whole batch, where known.
        params: trainable parameters, where known.
    """

    id: str
    name: str
    inputs: tuple[TensorSpec, ...]
    model: bytes
    recipe: Mapping[str, Any]
    nodes: int
    macs: float | None = None
    params: float | None = None
