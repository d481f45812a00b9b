"""Search: find an architecture within a latency target, export it, and time it again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latbench import registry
from latbench.errors import MeasurementError, UsageError
from latbench.predictor import Predictor
from latbench.profiling.subjects import Subject, block_subjects, network_subjects
from latbench.profiling.sweep import Instance, Sweep
from latbench.spaces import SearchSpace
from latbench.store import Store
from latbench.target import Target
from latbench.timing import Protocol
from latbench.units import format_ms
from latbench.workflows.architectures import draw
from latbench.workflows.predictors import cautions, space_of
from latbench.workflows.progress import Progress, silent
from latbench.workflows.search_settings import SearchSettings
from latbench.workflows.search_task import search_task

if TYPE_CHECKING:
    from latbench.searcher import SearchResult
    from latbench.training.callbacks import Callback

_SAMPLE = 2000
_COVERAGE = 0.95


@dataclass(frozen=True)
class Latency:
    """A measured latency with its published interval, in ms, and its status."""

    latency_ms: float
    low_ms: float
    high_ms: float
    status: str


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found, and what measuring it showed.

    Attributes:
        result: the searcher's own.
        space: the space.
        target: what the latencies belong to.
        predicted_low_ms, predicted_high_ms: the prediction's interval.
        predicted_coverage: percentage of networks whose interval holds their latency.
        accumulated_ms: sum of the measured blocks of the found network.
        true: the exported network, compiled and timed.
        target_ms: the limit.
        accuracy: validation accuracy with the supernet's weights, in [0, 1].
        data: what it was trained on, in words.
        notes: what a reader must know.
    """

    result: SearchResult
    space: SearchSpace
    target: Target
    predicted_low_ms: float
    predicted_high_ms: float
    predicted_coverage: float
    accumulated_ms: float
    true: Latency
    target_ms: float
    accuracy: float
    data: str
    notes: list[str]

    @property
    def met(self) -> bool:
        """Whether the measured latency is within the target."""
        return self.true.latency_ms <= self.target_ms

    def document(self) -> dict[str, Any]:
        """Return the result as the command line prints it in JSON."""
        return {
            "arch": self.space.to_json(self.result.x),
            "predicted_ms": self.result.predicted_ms,
            "predicted_low_ms": self.predicted_low_ms,
            "predicted_high_ms": self.predicted_high_ms,
            "accumulated_ms": self.accumulated_ms,
            "true_ms": self.true.latency_ms,
            "true_low_ms": self.true.low_ms,
            "true_high_ms": self.true.high_ms,
            "status": self.true.status,
            "target_ms": self.target_ms,
            "met": self.met,
            "accuracy": self.accuracy,
            "evaluations": self.result.evaluations,
            "data": self.data,
            "target": self.target.to_dict(),
            "notes": self.notes,
        }


def search(
    store: Store,
    predictor: Predictor,
    target: Target,
    instance: Instance,
    settings: SearchSettings,
    *,
    surrogate: Predictor | None = None,
    protocol: Protocol | None = None,
    progress: Progress = silent,
    callbacks: Callable[[], Sequence[Callback]] = tuple,
    checkpoints: Path | None = None,
) -> Found:
    """Search within the limit, export the winner and time it.

    A supernet is trained on the data first, for searchers that score single architectures, or by
    the searcher itself.

    Args:
        store: holds the blocks, takes the measurement of the winner.
        predictor: tells latencies while searching.
        target: what they belong to; the winner is timed on it.
        instance: where the winner is timed.
        settings: how to search.
        surrogate: tells accuracies instead of a supernet, if given.
        protocol: how the winner is timed.
        progress: shows how far measuring is.
        callbacks: gives listeners for training and for searching.
        checkpoints: folder for states to resume from.

    Raises:
        InfeasibleError: nothing meets the limit; names the fastest architecture found.
        UsageError: an unknown algorithm, data set or hyperparameter.
    """
    space = space_of(predictor)
    searcher = registry.load(registry.SEARCHERS, settings.algorithm)()
    searcher.set_params(**settings.params)
    notes = _binding(space, predictor, settings.target_ms)
    task, about = search_task(
        searcher,
        predictor,
        settings,
        surrogate=surrogate,
        callbacks=callbacks(),
        checkpoints=checkpoints,
    )
    checkpoint = None if checkpoints is None else checkpoints / "search"
    result = searcher.run(task, callbacks(), checkpoint)
    notes += _likeliest(result, settings.target_ms)
    return _timed(
        store, predictor, target, instance, result, settings, protocol, progress, about, notes
    )


def _binding(space: SearchSpace, predictor: Predictor, target_ms: float) -> list[str]:
    """Return a warning where the limit excludes (next to) nothing."""
    sampled = predictor.predict(draw(space, _SAMPLE, seed=0))
    if target_ms < sampled.max():
        return []
    return [
        f"the target {format_ms(target_ms)} excludes nothing: the slowest of {len(sampled)} "
        f"sampled architectures is predicted at {format_ms(float(sampled.max()))}; a lower target "
        "would trade accuracy for speed"
    ]


def _likeliest(result: SearchResult, target_ms: float) -> list[str]:
    """Return a warning where what was learned is over the limit."""
    likeliest_ms = result.details.get("most_likely_ms", 0.0)
    if likeliest_ms <= target_ms:
        return []
    return [
        f"the most likely architecture is predicted at {format_ms(likeliest_ms)}, over the target; "
        "this is the likeliest found within it. A heavier penalty, or longer training, may bring "
        "the two together"
    ]


def _timed(
    store: Store,
    predictor: Predictor,
    target: Target,
    instance: Instance,
    result: SearchResult,
    settings: SearchSettings,
    protocol: Protocol | None,
    progress: Progress,
    about: str,
    notes: list[str],
) -> Found:
    space = space_of(predictor)
    X = result.x[np.newaxis]
    counts = space.path(X)
    used = [space.blocks[number] for number in counts.indices]
    subjects = [
        *network_subjects(space, X, target.batch),
        *block_subjects(space, target.batch, used),
    ]
    with progress("timing the found network") as tick:
        sweep = Sweep(store, target, instance, protocol or Protocol.standard(), on_progress=tick)
        swept = sweep.run(subjects)
    true, *blocks = [
        latency_of(store, job, one) for job, one in zip(swept.jobs, subjects, strict=True)
    ]
    coverage = min(_COVERAGE, predictor.max_coverage)
    low, high = predictor.predict_interval(X, coverage)
    return Found(
        result=result,
        space=space,
        target=target,
        predicted_low_ms=float(low[0]),
        predicted_high_ms=float(high[0]),
        predicted_coverage=100 * coverage,
        accumulated_ms=float(counts.data @ [block.latency_ms for block in blocks]),
        true=true,
        target_ms=settings.target_ms,
        accuracy=result.score,
        data=about,
        notes=[*notes, *cautions(predictor, X)],
    )


def latency_of(store: Store, job: str, subject: Subject) -> Latency:
    """Return what a sweep measured of ``subject``.

    Raises:
        MeasurementError: it has no latency; the text says why.
    """
    row = store.measurement(job)
    if row is None or row.latency_ms is None or row.low_ms is None or row.high_ms is None:
        reason = row.reason if row is not None else "its turn did not come"
        raise MeasurementError(f"the {subject.kind} {subject.key} has no latency: {reason}")
    return Latency(row.latency_ms, row.low_ms, row.high_ms, row.status)


def prepare(folder: Path) -> None:
    """Make ``folder``, before hours go into what is to be written there.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise UsageError(f"{folder} cannot be made: {failure.strerror}") from failure


def save(found: Found, folder: Path) -> None:
    """Write ``arch.json``, ``network.onnx`` and ``search.json`` into ``folder``.

    Raises:
        UsageError: the folder cannot be written.
    """
    import onnx

    prepare(folder)
    try:
        arch = json.dumps(found.space.to_json(found.result.x), indent=2)
        (folder / "arch.json").write_text(arch + "\n", encoding="utf-8")
        model = found.space.to_onnx(found.result.x, found.target.batch)
        onnx.save_model(model, folder / "network.onnx")
        document = json.dumps(found.document(), indent=2)
        (folder / "search.json").write_text(document + "\n", encoding="utf-8")
    except OSError as failure:
        raise UsageError(f"{folder} cannot be written: {failure.strerror}") from failure
