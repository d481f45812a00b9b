"""The latencies that a search follows: what is refused, the expected latency, and its penalty."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import numpy as np

from latbench.errors import UnavailableError, UsageError
from latbench.hooks import (
    PENALTIES,
    ExpectedLatency,
    Penalty,
    SampledLatency,
    penalty,
    relaxed_latency,
    unit_below,
)
from latbench.predictor import Predictor
from latbench.registry import unknown
from latbench.training.task import SearchTask
from latbench.workflows.search_settings import DEFAULT_PENALTY, REWARDS, SearchSettings

if TYPE_CHECKING:
    from latbench.one_shot_searcher import OneShotSearcher
    from latbench.searcher import Searcher
    from latbench.training.task import Expected


def check_reward(searcher: Searcher, settings: SearchSettings) -> None:
    """Refuse a reward that there is not, or that ``searcher`` does not follow.

    Raises:
        UsageError: says which.
    """
    if settings.reward not in REWARDS:
        raise UsageError(unknown("reward", settings.reward, REWARDS))
    if settings.reward == "measured" and not getattr(searcher, "measures", False):
        raise UsageError(
            f"{settings.algorithm} follows predictions, and measures only what it has found; leave "
            "the reward measured out, or take unas"
        )


def expectation(
    searcher: OneShotSearcher,
    predictor: Predictor,
    control: Predictor | None,
    settings: SearchSettings,
) -> Expected:
    """Return the expected latency of ``predictor``: exact where it can be, and else sampled.

    Raises:
        UsageError: a control that tells nothing of relaxed choices, or that nothing has a use for.
    """
    relaxed_ms = None if control is None else relaxed_latency(control)
    if control is not None and relaxed_ms is None:
        raise UsageError(
            f"the control, a {control.kind}, tells nothing of choices between options of "
            f"{control.space.spec['name']}; give one that does, such as an mlp"
        )
    try:
        exact = ExpectedLatency(predictor)
    except UnavailableError:
        if control is not None and not (searcher.follows_penalty or searcher.measures):
            raise UsageError(
                f"{settings.algorithm} follows no gradient of latencies here; leave the control out"
            ) from None
        return SampledLatency(predictor, seed=settings.seed, control=relaxed_ms)
    if control is not None and not searcher.measures:
        raise UsageError(
            f"{settings.algorithm} follows the expected latency, and that of the {predictor.kind} "
            "is exact; leave the control out"
        )
    return exact


def penalty_of(task: SearchTask, settings: SearchSettings) -> Penalty:
    """Return the penalty that is asked for, with the target and a unit where it needs them.

    Raises:
        UsageError: there is no such penalty or setting.
    """
    from latbench.training.neighbours import find_fastest

    given = dict(settings.penalty or DEFAULT_PENALTY)
    name = given.pop("name")
    takes = inspect.signature(PENALTIES[name]).parameters if name in PENALTIES else {}
    if "reference_ms" in takes:
        given.setdefault("reference_ms", settings.target_ms)
    if "unit_ms" in takes and takes["unit_ms"].default is inspect.Parameter.empty:
        rng = np.random.default_rng(settings.seed)
        fastest_ms = find_fastest(task.space, task.latency_ms, rng).latency_ms
        given.setdefault("unit_ms", unit_below(fastest_ms))
    return penalty(name, **given)
