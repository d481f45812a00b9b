"""Search: find an architecture within a latency target, export it, and time it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from latbench.errors import ArtefactError, MeasurementError, UsageError
from latbench.hooks import SampledLatency
from latbench.predictor import Predictor
from latbench.profiling.subjects import block_subjects, network_subjects
from latbench.profiling.sweep import Instance, Sweep
from latbench.spaces import FloatArray, IntArray, SearchSpace
from latbench.store import Store
from latbench.target import Target
from latbench.timing import Protocol
from latbench.training.neighbours import find_fastest
from latbench.units import format_ms
from latbench.workflows.found import Found, Nearest, Timed
from latbench.workflows.measured_latency import MeasuredLatency, latency_of
from latbench.workflows.nearest import find_nearest
from latbench.workflows.predictors import cautions, space_of, target_of
from latbench.workflows.progress import Progress, silent
from latbench.workflows.search_settings import SearchSettings
from latbench.workflows.search_task import search_task
from latbench.workflows.searchers import build
from latbench.workflows.table_target import serves

if TYPE_CHECKING:
    from latbench.searcher import SearchResult
    from latbench.training.callbacks import Callback
    from latbench.training.task import SearchTask

_COVERAGE = 0.95
_CONTROL = "; --control DIR, a predictor that has a gradient, may make them less so"


def search(
    store: Store,
    predictor: Predictor,
    target: Target,
    instance: Instance,
    settings: SearchSettings,
    *,
    surrogate: Predictor | None = None,
    control: Predictor | None = None,
    protocol: Protocol | None = None,
    progress: Progress = silent,
    callbacks: Callable[[], Sequence[Callback]] = tuple,
    checkpoints: Path | None = None,
) -> Found:
    """Search within the limit, export the winner and time it; offer another where it misses.

    A supernet is trained on the data first, for searchers that score single architectures, or by
    the searcher itself.

    Args:
        store: holds the blocks, takes the measurement of the winner.
        predictor: tells latencies while searching.
        target: what they belong to; the winner is timed on it.
        instance: where the winner is timed.
        settings: how to search.
        surrogate: tells accuracies instead of a supernet, if given.
        control: a differentiable predictor of latencies, as a control variate.
        protocol: how the winner is timed.
        progress: shows how far measuring is.
        callbacks: gives listeners for training and for searching.
        checkpoints: folder for states to resume from.

    Raises:
        InfeasibleError: nothing meets the limit; names the fastest architecture found.
        UsageError: an unknown algorithm, data set or hyperparameter, a predictor of another space,
            or a control or a reward that the algorithm has no use for.
        ArtefactError: the predictor is one for another target.
    """
    from latbench.one_shot_searcher import OneShotSearcher

    if predictor.target is not None and not serves(predictor.target, target):
        raise ArtefactError(
            f"the {predictor.kind} predicts for {target_of(predictor).label}, not for "
            f"{target.label}; fit one for that target"
        )
    if checkpoints is not None:
        prepare(checkpoints)
    space = space_of(predictor)
    searcher = build(settings.algorithm, settings.params)
    notes = _binding(space, predictor, settings.target_ms, settings.seed)
    task, about = search_task(
        searcher,
        predictor,
        settings,
        surrogate=surrogate,
        control=control,
        measure=MeasuredLatency(store, space, target, instance),
        callbacks=callbacks(),
        checkpoints=checkpoints,
    )
    checkpoint = None if checkpoints is None else checkpoints / "search"
    notes += _estimated(task, predictor)
    result = searcher.run(task, callbacks(), checkpoint)
    notes += _likeliest(result, settings.target_ms)

    def time(x: IntArray, title: str = "timing a nearer network") -> Timed:
        return _timed(store, predictor, target, instance, x, protocol, progress, title)

    timed = time(result.x, "timing the found network")
    learned = searcher if isinstance(searcher, OneShotSearcher) else None
    nearest = None
    if timed.true.latency_ms > settings.target_ms:
        chances = None if learned is None else learned.chances
        try:
            nearest = find_nearest(task, result, timed, chances, time)
        except MeasurementError as failure:
            notes.append(f"a nearer network could not be measured: {failure}")
        else:
            notes += _missed(nearest, settings.target_ms)
    X = np.array([timed.x if nearest is None else nearest.timed.x, timed.x])
    return Found(
        result=result,
        space=space,
        target=target,
        timed=timed,
        predicted_coverage=100 * _coverage(predictor),
        target_ms=settings.target_ms,
        accuracy=result.score,
        data=about,
        notes=[*notes, *cautions(predictor, np.unique(X, axis=0))],
        nearest=nearest,
        course=() if learned is None else learned.state.history,
        expected_method=getattr(task.expected, "method", None),
    )


def _binding(
    space: SearchSpace, predictor: Predictor, target_ms: float, seed: int = 0
) -> list[str]:
    """Return a warning where the limit excludes nothing."""

    def faster(X: IntArray) -> FloatArray:
        return -predictor.predict(X)

    slowest = find_fastest(space, faster, np.random.default_rng(seed))
    if target_ms < -slowest.latency_ms:
        return []
    return [
        f"the target {format_ms(target_ms)} excludes nothing: the slowest architecture that was "
        f"found, among {slowest.tried} tried, is predicted at {format_ms(-slowest.latency_ms)}; a "
        "lower target would trade accuracy for speed"
    ]


def _estimated(task: SearchTask, predictor: Predictor) -> list[str]:
    """Return what to say where the expected latency is not exact."""
    if not isinstance(task.expected, SampledLatency):
        return []
    return [
        "the expected latency is an estimate from architectures that are drawn anew each time: "
        f"{predictor.expected_ms_refusal()}, and the space is too large to enumerate. Value and "
        f"gradient have the right mean, and are noisy{_CONTROL if task.surrogate is None else ''}"
    ]


def _likeliest(result: SearchResult, target_ms: float) -> list[str]:
    """Return a warning where what was learned is over the limit."""
    likeliest_ms = result.details.get("most_likely_ms", 0.0)
    if likeliest_ms <= target_ms:
        return []
    return [
        f"the most likely architecture is predicted at {format_ms(likeliest_ms)}, over the target; "
        "the finalists are others within it. A heavier penalty, or longer training, may bring them "
        "together"
    ]


def _missed(nearest: Nearest | None, target_ms: float) -> list[str]:
    """Return what to say where nothing that was tried meets the target."""
    if nearest is None:
        return [
            f"no network is predicted to be faster than the one found, which misses "
            f"{format_ms(target_ms)}; raise the target, or search another space"
        ]
    if nearest.met:
        return []
    tried = "the one that was" if nearest.tries == 1 else f"the fastest of {nearest.tries}"
    return [
        f"no faster network that was measured meets the target: {tried} takes "
        f"{format_ms(nearest.timed.true.latency_ms)}; lower --latency-target by as much and search "
        "again, or measure more networks and fit the predictor again"
    ]


def _coverage(predictor: Predictor) -> float:
    return min(_COVERAGE, predictor.max_coverage)


def _timed(
    store: Store,
    predictor: Predictor,
    target: Target,
    instance: Instance,
    x: IntArray,
    protocol: Protocol | None,
    progress: Progress,
    title: str,
) -> Timed:
    """Export, compile and time ``x`` (choices,) and its blocks."""
    space = space_of(predictor)
    X = x[np.newaxis]
    counts = space.path(X)
    used = [space.blocks[number] for number in counts.indices]
    subjects = [
        *network_subjects(space, X, target.batch),
        *block_subjects(space, target.batch, used),
    ]
    with progress(title) as tick:
        sweep = Sweep(store, target, instance, protocol or Protocol.standard(), on_progress=tick)
        swept = sweep.run(subjects)
    true, *blocks = [
        latency_of(store, job, one) for job, one in zip(swept.jobs, subjects, strict=True)
    ]
    low, high = predictor.predict_interval(X, _coverage(predictor))
    return Timed(
        x=x,
        predicted_ms=float(predictor.predict(X)[0]),
        predicted_low_ms=float(low[0]),
        predicted_high_ms=float(high[0]),
        accumulated_ms=float(counts.data @ [block.latency_ms for block in blocks]),
        true=true,
    )


def prepare(folder: Path) -> None:
    """Make ``folder``, before hours go into what is to be written there.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise UsageError(f"{folder} cannot be made: {failure.strerror}") from failure
