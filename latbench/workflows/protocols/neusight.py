"""Kernels on NVIDIA GPUs, on the timings of NeuSight (Lee et al., ASPLOS 2025, 2407.13853).

Fitted on ``nv_train_*`` of five GPUs, scored on ``nv_test_*`` of those and of three others, whose
datasheets alone are known. Most of the test lies outside the shapes of the training: a kernel is
outside if one of its dimensions exceeds every one of its operator's in the training.

The P4's linear kernels of the test come from another library than those of its training, as their
names tell, and are about four times as fast at equal sizes: what was learned of that GPU, and most
of all by trees, misleads there. The errors by GPU show it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.prediction import metrics
from latbench.spaces import FloatArray
from latbench.workflows.protocols import public_tables
from latbench.workflows.protocols.gpu_kernels import Gpu, KernelModel, Kernels, Texts, roofline
from latbench.workflows.protocols.rows import Request, Row, Scores, ours

Mask = npt.NDArray[np.bool_]

FOLDER = "neusight"
CONFIGS = "device_configs"
SAMPLE = 20_000
"""Kernels of an operator that are drawn to fit, at most."""

PRODUCT, TENSOR = ("B", "M", "N", "K"), ("B", "H")
_ELEMENTWISE = (
    "add",
    "addu",
    "div",
    "divu",
    "gelu",
    "mul",
    "mulu",
    "pow",
    "powu",
    "relu",
    "tanh",
)
OPERATORS: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "bmm": ("bmm", ("bmm",), PRODUCT),
    "linear": ("linear", ("linear",), PRODUCT),
    "elementwise": ("elem", _ELEMENTWISE, TENSOR),
    "softmax": ("softmax", ("softmax",), TENSOR),
    "ln": ("ln", ("ln",), TENSOR),
}
"""Column -> test file, the operators that it holds, each with its own training file, and shapes."""

_GIGA_PER_MS = 1e6
_ONE_CONFIG = "NVIDIA_L4.json"

GROUPS = (
    "unseen GPUs",
    "unseen GPUs, inside",
    "unseen GPUs, outside",
    "seen GPUs",
    "seen GPUs, inside",
    "seen GPUs, outside",
)
SHOWN = ("mape", "mape_by_gpu")

ROOFLINE = "roofline"
OURS = {"sum of times": False, "sum of times, trees": True}
"""Row -> whether trees correct it on GPUs that were seen."""

_SOURCE = (
    "Lee et al., ASPLOS 2025: operators within whole models, of GPUs or models not seen; those are "
    "other kernels than ours"
)
_PUBLISHED = {
    "NeuSight, whole models": (13.8, 13.9, 19.3, 13.9, 56.7),
    "roofline, whole models": (44.2, 27.8, 26.1, 32.4, 58.1),
}


@dataclass(frozen=True, eq=False)
class Timed:
    """Kernels of one operator and their latencies (n,) in ms."""

    kernels: Kernels
    latency_ms: FloatArray


@dataclass(frozen=True, eq=False)
class Test:
    """The kernels of a test file.

    Attributes:
        parts: by operator.
        latency_ms: of all of them, (n,).
        gpus: theirs, (n,).
        seen: whether that GPU was measured in the training, (n,).
        inside: whether they lie inside the shapes of the training, (n,).
    """

    parts: Sequence[Timed]
    latency_ms: FloatArray
    gpus: Texts
    seen: Mask
    inside: Mask

    def error(self, predicted: FloatArray, chosen: Mask) -> float | None:
        """Return the error of those ``chosen`` (n,) in percent; None where they are none."""
        if not chosen.any():
            return None
        return metrics.mape(self.latency_ms[chosen], predicted[chosen])

    def scores(self, predicted: FloatArray, chosen: Mask) -> Scores:
        """Return every score of those ``chosen`` (n,) by name; all None where they are none."""
        if not chosen.any():
            return dict.fromkeys(metrics.summary([1.0], [1.0]))
        return metrics.summary(self.latency_ms[chosen], predicted[chosen])

    def group(self, name: str) -> Mask:
        """Return which kernels belong to one of :data:`GROUPS`, (n,)."""
        gpus, _, shapes = name.partition(", ")
        chosen = self.seen if gpus == "seen GPUs" else ~self.seen
        return chosen & {"inside": self.inside, "outside": ~self.inside}.get(shapes, chosen)


Run = tuple[str, int | None]
"""A row, and how many kernels of an operator it was fitted to."""


def rows(request: Request) -> list[Row]:
    """Return the published rows, the roofline and ours: by groups of kernels, then by GPU.

    Every draw takes other kernels of the training, at most :data:`SAMPLE` of an operator or as many
    as ``labels`` says, and another seed of the trees.

    Raises:
        UsageError: the data is not there or not what it should be.
    """
    gpus = load_gpus(request.data)
    tests: dict[str, Test] = {}
    predicted: dict[Run, list[dict[str, FloatArray]]] = {}
    for done, column in enumerate(OPERATORS, start=1):
        train, tests[column] = load(request.data, column, gpus)
        for run, told in _predictions(train, tests[column], request).items():
            for draw, one in zip(predicted.setdefault(run, [{} for _ in told]), told, strict=True):
                draw[column] = one
        request.report(done, len(OPERATORS))
    found = _published()
    for group in GROUPS:
        for (name, count), draws in predicted.items():
            scored = [
                {
                    column: test.scores(draw[column], test.group(group))
                    for column, test in tests.items()
                }
                for draw in draws
            ]
            found += ours(f"{name}: {group}", count, None, scored)
    for column, test in tests.items():
        for (name, count), draws in predicted.items():
            by_gpu = [
                {
                    gpu: {"mape_by_gpu": test.error(draw[column], test.gpus == gpu)}
                    for gpu in sorted({*test.gpus} | {*tests["bmm"].gpus})
                }
                for draw in draws
            ]
            found += ours(f"{name}: {column}", count, None, by_gpu)
    return found


def _published() -> list[Row]:
    return [
        Row(
            method=method,
            labels=None,
            trimmed=None,
            scores=dict(zip(OPERATORS, told, strict=True)),
            mean=sum(told) / len(told),
            source=_SOURCE,
            score="mape",
        )
        for method, told in _PUBLISHED.items()
    ]


def _predictions(
    train: Sequence[Timed], test: Test, request: Request
) -> dict[Run, list[FloatArray]]:
    """Return what is predicted of the test, by row and draw."""
    found: dict[Run, list[FloatArray]] = {
        (ROOFLINE, None): [np.concatenate([roofline(part.kernels) for part in test.parts])]
    }
    for name, trees in OURS.items():
        for count in request.labels or (SAMPLE,):
            found[name, count] = [
                np.concatenate(
                    [
                        _fitted(learned, count, trees, seed).predict(asked.kernels)
                        for learned, asked in zip(train, test.parts, strict=True)
                    ]
                )
                for seed in request.draws
            ]
    return found


def _fitted(train: Timed, count: int, trees: bool, seed: int) -> KernelModel:
    drawn = np.random.default_rng(seed).permutation(len(train.latency_ms))[:count]
    model = KernelModel(trees=trees, seed=seed)
    return model.fit(train.kernels.rows(drawn), train.latency_ms[drawn])


def load(data: Path, column: str, gpus: Mapping[str, Gpu]) -> tuple[list[Timed], Test]:
    """Return training and test of one of :data:`OPERATORS`.

    Raises:
        UsageError: they are not there or not what they should be.
    """
    file, operators, shapes = OPERATORS[column]
    train = [_read(data, f"nv_train_{name}", (name,), shapes, gpus)[0] for name in operators]
    parts = _read(data, f"nv_test_{file}", operators, shapes, gpus)
    seen = {*np.concatenate([one.kernels.names for one in train])}
    names = np.concatenate([one.kernels.names for one in parts])
    inside = [
        (asked.kernels.shapes <= learned.kernels.shapes.max(axis=0)).all(axis=1)
        for learned, asked in zip(train, parts, strict=True)
    ]
    return train, Test(
        parts,
        np.concatenate([one.latency_ms for one in parts]),
        names,
        np.isin(names, sorted(seen)),
        np.concatenate(inside),
    )


def _read(
    data: Path,
    name: str,
    operators: Sequence[str],
    shapes: Sequence[str],
    gpus: Mapping[str, Gpu],
) -> list[Timed]:
    """Return the kernels of a file by operator."""
    path = _find(f"kernels/{name}.csv.gz", data)
    frame = public_tables.read(path)
    named = public_tables.column(frame, "OPName", path)
    devices = public_tables.column(frame, "Device", path)
    latency_ms = public_tables.positive(frame, "Latency", path)
    sizes = np.column_stack([public_tables.positive(frame, one, path) for one in shapes])
    if odd := sorted({*devices} - {*gpus}, key=str):
        raise UsageError(
            f"{path} has kernels on {odd[0]!r}, and {CONFIGS} describes no such GPU; it knows "
            f"{', '.join(sorted(gpus))}"
        )
    found = []
    for operator in operators:
        of = np.flatnonzero(named == operator)
        if not len(of):
            raise UsageError(f"{path} has no kernels of {operator!r}; fetch it again")
        names = devices.to_numpy(dtype=np.str_)[of]
        found.append(Timed(Kernels(operator, sizes[of], names, gpus), latency_ms[of]))
    return found


def load_gpus(data: Path) -> dict[str, Gpu]:
    """Return the GPUs that the configurations describe, by name.

    Only those are read that are named after their GPU: one file describes another card under the
    name of the H100. AMD's have no single peak, and are left out.

    Raises:
        UsageError: there are none, or one lacks a number.
    """
    folder = _find(f"{CONFIGS}/{_ONE_CONFIG}", data).parent
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            name = str(told["Device"])
            if name.replace(" ", "_") != path.stem or "SingleFLOPsMM" in told:
                continue
            found[name] = Gpu(
                flops=_GIGA_PER_MS * float(told["SingleFLOPs"]),
                bandwidth=_GIGA_PER_MS * float(told["Mem_Bw"]),
                multiprocessors=int(told["Num_Sm"]),
            )
        except (KeyError, TypeError, ValueError) as failure:
            raise UsageError(
                f"{path} describes no GPU ({type(failure).__name__}: {failure}); fetch it again"
            ) from failure
    return found


def _find(name: str, data: Path) -> Path:
    for place in (data / name, data / FOLDER / name):
        if place.is_file():
            return place
    raise UsageError(
        f"no file {name} in {data}; it reads many: give --data the folder {FOLDER} that holds them"
    )
