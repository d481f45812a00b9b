"""ONNX Runtime's kernels and their times, from a session that is profiled beside the timed one."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from onnx import load, load_model_from_string

from latbench.runtimes.kernel import CompiledGraph, Kernel
from latbench.runtimes.naming import named
from latbench.runtimes.onnxruntime import OnnxRuntimeSession
from latbench.runtimes.onnxruntime_graph import OptimisedNode, mapped
from latbench.spaces.workload import Workload

_LEAD_IN = 5
"""Runs that come first and are not counted: they allocate memory and warm the caches."""
_KERNEL = "_kernel_time"
_PRECISIONS = {
    "float": "fp32",
    "float16": "fp16",
    "bfloat16": "bf16",
    "int8": "int8",
    "uint8": "int8",
}

Event = Mapping[str, Any]


def profiled(workload: Workload, make_settings: Callable[[], Any], runs: int) -> CompiledGraph:
    """Return the kernels of ``workload``, compiled and run again with profiling on.

    Args:
        workload: what to compile.
        make_settings: returns the session options of the timed session.
        runs: how many runs the times are medians of.

    Raises:
        MeasurementError: ONNX Runtime refused it, or a node of the model was lost.
    """
    source, shown = named(load_model_from_string(workload.model))
    renamed = dataclasses.replace(workload, model=source.SerializeToString())
    with tempfile.TemporaryDirectory(prefix="latbench-") as folder:
        saved = Path(folder) / "optimised.onnx"

        def observed() -> Any:
            settings = make_settings()
            settings.optimized_model_filepath = str(saved)
            # The weights are not looked at, and one file would hold no more than 2 GiB of them.
            settings.add_session_config_entry(
                "session.optimized_model_external_initializers_file_name", "weights.bin"
            )
            settings.enable_profiling = True
            settings.profile_file_prefix = str(Path(folder) / "profile")
            return settings

        session = OnnxRuntimeSession(renamed, observed)
        for _ in range(_LEAD_IN + runs):
            session.run_once()
        events = json.loads(session.end_profiling().read_text(encoding="utf-8"))
        optimised, folded = mapped(source, load(saved, load_external_data=False))
    per_run = _runs(events)[_LEAD_IN:]
    names = _event_names(optimised, per_run[0])
    graph = CompiledGraph(
        tuple(_kernel(one, names, per_run, shown) for one in _executed(optimised, names, per_run)),
        tuple(shown[name] for name in folded),
        median(run[-1]["dur"] for run in per_run) / 1e3,
    )
    return graph.check(shown.values(), exactly_once=True)


def _runs(events: list[Event]) -> list[list[Event]]:
    """Return the events of each run: its kernels as they ended, and last the run itself."""
    runs: list[list[Event]] = []
    kernels: list[Event] = []
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(_KERNEL):
            kernels.append(event)
        elif event["name"] == "model_run":
            runs.append([*kernels, event])
            kernels = []
    return runs


def _event_names(nodes: list[OptimisedNode], run: list[Event]) -> dict[int, list[str]]:
    """Return the names of the events of each node's parts, by the node's id; none if not known.

    A part without a name is called by its operator and its number, which the optimised model does
    not keep: the parts of one operator are in the same order there and, unless they are executed
    in another one, in the run.
    """
    seen = Counter(event["name"] for event in run)
    numbers: dict[str, list[int]] = {}
    for event in run[:-1]:
        operator, number = event["args"]["op_name"], int(event["args"]["node_index"])
        if event["name"] == f"{operator}_{number}{_KERNEL}":
            numbers.setdefault(operator, []).append(number)
    unnamed = {
        operator: iter(found) for operator, found in numbers.items() if found == sorted(found)
    }
    names: dict[int, list[str]] = {}
    for node in nodes:
        told = [f"{part.name or _numbered(part.op_type, unnamed)}{_KERNEL}" for part in node.parts]
        # Two events of one name in a run are two kernels that cannot be told apart.
        names[id(node)] = told if all(seen[name] == 1 for name in told) else []
    return names


def _numbered(operator: str, unnamed: Mapping[str, Iterator[int]]) -> str:
    return f"{operator}_{next(unnamed.get(operator, iter(())), '?')}"


def _executed(
    nodes: list[OptimisedNode], names: Mapping[int, list[str]], runs: list[list[Event]]
) -> list[OptimisedNode]:
    """Return ``nodes`` in the order of execution, those that tell no time where they stood."""
    places = {event["name"]: place for place, event in enumerate(runs[0])}
    keys: list[int] = []
    for node in nodes:
        own = [places[name] for name in names[id(node)]]
        keys.append(max(own, default=keys[-1] if keys else -1))
    return [node for _, node in sorted(zip(keys, nodes, strict=True), key=lambda pair: pair[0])]


def _kernel(
    one: OptimisedNode,
    names: Mapping[int, list[str]],
    runs: list[list[Event]],
    shown: Mapping[str, str],
) -> Kernel:
    wanted = set(names[id(one)])
    events = [[event for event in run if event["name"] in wanted] for run in runs]
    told = bool(wanted) and all(len(found) == len(wanted) for found in events)
    return Kernel(
        name=_shown_name(one.proto.name, shown) or one.proto.op_type,
        kind=one.proto.op_type,
        nodes=tuple(shown[source] for source in one.sources),
        time_ms=median(sum(event["dur"] for event in found) for found in events) / 1e3
        if told
        else None,
        precision=_precision(events[0][-1]) if told else None,
    )


def _shown_name(name: str, shown: Mapping[str, str]) -> str:
    """Return the runtime's name of a kernel, with the model's name of a node in it."""
    return " ".join(
        "/".join(shown.get(part, part) for part in word.split("/")) for word in name.split(" ")
    )


def _precision(event: Event) -> str | None:
    kinds = Counter(kind for shape in event["args"].get("output_type_shape", []) for kind in shape)
    return _PRECISIONS.get(kinds.most_common(1)[0][0]) if kinds else None
