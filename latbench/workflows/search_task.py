"""What a searcher is given: from settings and a predictor to a task with data and a supernet."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from latbench.errors import UsageError
from latbench.hooks import LatencyFilter
from latbench.predictor import Predictor
from latbench.spaces import FloatArray, IntArray, SearchSpace
from latbench.training.task import SearchTask, check_space
from latbench.workflows.architectures import draw
from latbench.workflows.predictors import space_of
from latbench.workflows.search_latency import check_reward, expectation, penalty_of
from latbench.workflows.search_settings import SearchSettings

if TYPE_CHECKING:
    from latbench.one_shot_searcher import OneShotSearcher
    from latbench.searcher import Searcher
    from latbench.spaces.network import Supernet
    from latbench.training.callbacks import Callback
    from latbench.training.data import ImageData
    from latbench.training.scoring import SupernetScorer
    from latbench.training.task import PerArchitecture

_ASKED = 64


def search_task(
    searcher: Searcher,
    predictor: Predictor,
    settings: SearchSettings,
    *,
    surrogate: Predictor | None = None,
    control: Predictor | None = None,
    measure: PerArchitecture | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoints: Path | None = None,
) -> tuple[SearchTask, str]:
    """Return the task for ``searcher``, and in words what its scores come from.

    For searchers that score single architectures a supernet is trained here, unless ``surrogate``
    tells accuracies; one-shot searchers get an untrained one.

    Args:
        searcher: what searches.
        predictor: tells latencies.
        settings: how to search.
        surrogate: tells accuracies instead of a supernet, if given.
        control: a differentiable predictor of latencies, as a control variate.
        measure: measures architectures, for the reward ``measured``.
        callbacks: listeners of the supernet's training.
        checkpoints: folder for its state.

    Raises:
        InfeasibleError: nothing meets the limit; names the fastest architecture found.
        UsageError: an unknown data set or penalty, a hyperparameter that cannot be, a predictor of
            another space, or a control or a reward that the algorithm has no use for.
    """
    from latbench.discrete_searcher import DiscreteSearcher
    from latbench.one_shot_searcher import OneShotSearcher

    space = space_of(predictor)
    check_space(space, surrogate, control)
    check_reward(searcher, settings)
    task = SearchTask(
        space=space,
        predictor=predictor,
        target_ms=settings.target_ms,
        score=_untrained if surrogate is None else surrogate.predict,
        feasible=LatencyFilter(predictor, settings.target_ms, settings.confidence),
        confidence=settings.confidence,
        evaluations=settings.evaluations,
        seed=settings.seed,
        train=settings.train,
        device=settings.train_on,
        depends_on={
            "latencies": _answers(predictor, space),
            "scores": None if surrogate is None else _answers(surrogate, space),
            "control": None if control is None else _answers(control, space),
            "reward": settings.reward,
        },
    )
    if isinstance(searcher, OneShotSearcher):
        task = dataclasses.replace(
            task, surrogate=control, measure=None if settings.reward == "predictor" else measure
        )
        return _one_shot(task, searcher, predictor, settings)
    _refuse_penalty(settings)
    if control is not None:
        raise UsageError(f"{settings.algorithm} follows no gradient; leave the control out")
    if isinstance(searcher, DiscreteSearcher):
        searcher.start(task)  # refuses what cannot be, before hours go into training
    if surrogate is not None:
        return task, "accuracies told by a surrogate"
    return _trained(task, settings, callbacks, checkpoints)


def _answers(predictor: Predictor, space: SearchSpace) -> str:
    """Return what tells one predictor from another: its answers for some architectures."""
    answers = predictor.predict(draw(space, _ASKED, seed=0))
    text = " ".join(f"{answer:.6g}" for answer in answers)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _untrained(X: IntArray) -> FloatArray:
    """Stand in for the score until there is one."""
    raise AssertionError("nothing is scored before the supernet is trained")


def _refuse_penalty(settings: SearchSettings) -> None:
    if settings.penalty is not None:
        raise UsageError(
            f"{settings.algorithm} takes no penalty: it keeps within the target otherwise; leave "
            "the penalty out"
        )


def _one_shot(
    task: SearchTask, searcher: OneShotSearcher, predictor: Predictor, settings: SearchSettings
) -> tuple[SearchTask, str]:
    """Return the task with what a one-shot search needs, and its data in words."""
    if not searcher.follows_penalty:
        _refuse_penalty(settings)
    penalised = penalty_of(task, settings) if searcher.follows_penalty else None
    supernet, data, score = _untrained_supernet(task.space, settings)
    return dataclasses.replace(
        task,
        score=task.score if task.score is not _untrained else score,
        supernet=supernet,
        data=data,
        expected=expectation(searcher, predictor, task.surrogate, settings),
        penalty=penalised,
    ), _about(task.space, data)


def _untrained_supernet(
    space: SearchSpace, settings: SearchSettings
) -> tuple[Supernet, ImageData, SupernetScorer]:
    from latbench.training.data import load_data
    from latbench.training.scoring import SupernetScorer

    data = load_data(
        settings.data, settings.data_size, channels=space.input_shape[0], seed=settings.seed
    )
    supernet = space.supernet(classes=data.classes, seed=settings.seed)
    score = SupernetScorer(supernet, data, seed=settings.seed, device=settings.train_on)
    return supernet, data, score


def _trained(
    task: SearchTask,
    settings: SearchSettings,
    callbacks: Sequence[Callback],
    checkpoints: Path | None,
) -> tuple[SearchTask, str]:
    """Return the task with a trained supernet's accuracies, and its data in words."""
    from latbench.training.config import TrainConfig
    from latbench.training.supernet import train_supernet

    supernet, data, score = _untrained_supernet(task.space, settings)
    train_supernet(
        supernet,
        data,
        settings.train or TrainConfig(seed=settings.seed),
        callbacks=callbacks,
        checkpoint=None if checkpoints is None else checkpoints / "supernet.safetensors",
        device=settings.train_on,
    )
    task = dataclasses.replace(task, score=score, supernet=supernet, data=data)
    return task, _about(task.space, data)


def _about(space: SearchSpace, data: ImageData) -> str:
    height, width = data.image_shape[1:]
    return (
        f"{data.name} at {height}×{width}, {data.classes} classes; the latency is for "
        f"{space.input_shape[1]}×{space.input_shape[2]} and {space.classes} classes"
    )
