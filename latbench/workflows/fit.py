"""Fit: a predictor from measurements, scored on networks it has not seen, saved with its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench import registry
from latbench.errors import MissingMeasurementsError
from latbench.prediction import conformal, metrics
from latbench.predictor import Predictor
from latbench.spaces import IntArray, SearchSpace
from latbench.target import Target
from latbench.workflows.draws import Scores, deviation, mean, split

TEST_SHARE = 0.3
NOMINAL_COVERAGE = 0.9
FEWEST_NETWORKS = 6
_ROUNDING = 1e-6  # percent
BASELINES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain lut": ("lut", {"calibration": "none"}),
    "ridge": ("ridge", {}),
    "flops": ("flops", {}),
    "params": ("params", {}),
}
"""What every score stands beside: name, kind and hyperparameters."""
_OF_NETWORKS = ("lut", "flops", "params")


@dataclass(frozen=True, eq=False)
class Examples:
    """Architectures with their latencies on one target, and what else a predictor may use.

    Attributes:
        space: the space.
        target: what the latencies belong to.
        X: architectures (n, choices).
        y: true latencies (n,) in ms.
        block_ms: latency by block key, if blocks were measured.
        noise_mape: what a perfect predictor would score, in percent, where it is known.
        origin: where they come from, in a few words.
        tables: architectures and latencies in ms of other targets, by their names.
        notes: what was left out of them and what is odd about them, in sentences.
    """

    space: SearchSpace
    target: Target
    X: IntArray
    y: npt.NDArray[np.float64]
    block_ms: Mapping[str, float] | None
    noise_mape: float | None
    origin: str
    tables: Mapping[str, tuple[IntArray, npt.NDArray[np.float64]]] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Fitted:
    """A predictor with its scores.

    Attributes:
        predictor: fitted on all examples.
        n_train, n_test: networks it was fitted and scored on, before that.
        scores: by name, on the networks held out; their mean if they were drawn several times.
        baselines: the same scores of simpler predictors, by name.
        spread: predictor -> the standard deviation of each score from draw to draw; empty if the
            networks were drawn once.
        interval_coverage: percentage of the held-out networks within their interval; None if
            the training networks are too few for intervals of that coverage.
        noise_mape: as in :class:`Examples`.
        folder: where the predictor was saved, if it was.
        notes: what a reader must know, beside the notes of the examples.
    """

    predictor: Predictor
    n_train: int
    n_test: int
    scores: dict[str, float | None]
    baselines: dict[str, dict[str, float | None]]
    spread: dict[str, dict[str, float | None]]
    interval_coverage: float | None
    noise_mape: float | None
    folder: Path | None
    notes: list[str]


def fit_predictor(
    examples: Examples,
    kind: str = "lut",
    *,
    params: Mapping[str, Any] | None = None,
    seed: int = 0,
    seeds: int = 1,
    out: Path | None = None,
    made: str = "latbench.workflows.fit.fit_predictor",
) -> Fitted:
    """Score a predictor and its baselines on held-out networks, then fit it on all and save it.

    Args:
        examples: what to learn from.
        kind: registered name of the predictor.
        params: its hyperparameters.
        seed: draws the networks that are held out.
        seeds: how often they are drawn, from this seed and those that follow it.
        out: folder to save it in.
        made: the command for the card.

    Raises:
        PluginError: no predictor of that kind.
        MissingMeasurementsError: too few networks, or no blocks where the kind needs them.
    """
    X, y = examples.X, examples.y
    first, groups = conformal.different(X)
    n = len(first)
    if n < FEWEST_NETWORKS:
        raise MissingMeasurementsError(_too_few(examples, n))
    splits = [split(groups, TEST_SHARE, seed + number) for number in range(seeds)]
    own = _scores(examples, kind, params or {}, splits)
    found, notes = _beside(examples, kind, params or {}, splits)
    scores, spread = mean(own), {kind: deviation(own)} if seeds > 1 else {}
    coverage = scores.pop("interval_coverage")
    baselines = {name: mean(rounds) for name, rounds in found.items()}
    for row in baselines.values():
        del row["interval_coverage"]
    if seeds > 1:
        spread.update({name: deviation(rounds) for name, rounds in found.items()})
    train, test = splits[0]
    predictor = _unfitted(examples, kind, params or {}).fit(X, y)
    beaten = _beaten(kind, scores, baselines)
    if out is not None:
        card = {
            "data": f"{n} networks {examples.origin}",
            **predictor.provenance(),
            "scores": {**scores, "interval_coverage": coverage},
            "baselines": baselines,
            "made": made,
            "held out": f"scored on {len(test)} rows after a fit on {len(train)}, then fitted on "
            f"all {len(y)}" + ("" if seeds == 1 else f"; means of {seeds} draws"),
            "noise": "not known"
            if examples.noise_mape is None
            else f"{examples.noise_mape:.3g} % (what a perfect predictor would score as mape)",
        }
        if examples.notes:
            card["about the data"] = "; ".join(examples.notes)
        if seeds > 1:
            card["from draw to draw"] = ", ".join(
                f"{name} ± {value:.3g}" for name, value in spread[kind].items() if value is not None
            )
        if beaten:
            card["beaten by"] = "; ".join(beaten)
        if notes:
            card["missing"] = "; ".join(notes)
        predictor.save(out, examples.target, card)
    return Fitted(
        predictor,
        len(train),
        len(test),
        scores,
        baselines,
        spread,
        coverage,
        examples.noise_mape,
        out,
        [*beaten, *notes],
    )


def _beside(
    examples: Examples,
    kind: str,
    params: Mapping[str, Any],
    splits: Sequence[tuple[IntArray, IntArray]],
) -> tuple[dict[str, list[Scores]], list[str]]:
    """Return the scores of every other baseline that there can be, and why one is missing."""
    found, missing = {}, []
    graphless = []
    for name, (other, other_params) in BASELINES.items():
        if other == kind and other_params == dict(params):
            continue
        if other in _OF_NETWORKS and not examples.space.has_networks:
            graphless.append(name)
            continue
        try:
            found[name] = _scores(examples, other, other_params, splits)
        except MissingMeasurementsError as failure:
            missing.append(f"there is no {name} beside it: {failure}")
    if graphless:
        missing.append(
            f"there is no {', '.join(graphless)} beside it: nothing is known of the networks "
            f"behind the columns of a {examples.space.name}"
        )
    return found, missing


def _scores(
    examples: Examples,
    kind: str,
    params: Mapping[str, Any],
    splits: Sequence[tuple[IntArray, IntArray]],
) -> list[Scores]:
    """Return the scores of a predictor on each split, with what its intervals hold."""
    X, y = examples.X, examples.y
    found = []
    for train, test in splits:
        predictor = _unfitted(examples, kind, params).fit(X[train], y[train])
        scores = metrics.summary(y[test], predictor.predict(X[test]))
        scores["interval_coverage"] = None
        if predictor.max_coverage >= NOMINAL_COVERAGE:
            within = predictor.predict_interval(X[test], NOMINAL_COVERAGE)
            scores["interval_coverage"] = metrics.interval_coverage(y[test], *within)
        found.append(scores)
    return found


def _unfitted(examples: Examples, kind: str, params: Mapping[str, Any]) -> Predictor:
    cls: type[Predictor] = registry.load(registry.PREDICTORS, kind)
    tables = {"tables": examples.tables} if cls.uses_tables and examples.tables else {}
    return cls.for_table(examples.space, examples.block_ms, **tables, **params)


def _too_few(examples: Examples, n: int) -> str:
    space = examples.space
    more = (
        f"measure some: `latbench profile --space {space.name} --networks 50`"
        if space.has_networks
        else "give a table with more rows"
    )
    return (
        f"a predictor needs at least {FEWEST_NETWORKS} measured networks of {space.name} on "
        f"{examples.target.label}, there are {n}; {more}"
    )


def _beaten(
    kind: str,
    scores: Mapping[str, float | None],
    baselines: Mapping[str, Mapping[str, float | None]],
) -> list[str]:
    own = scores["mape"]
    assert own is not None
    return [
        f"{name} has a smaller error than {kind}: {other:.3g} % against {own:.3g} %"
        for name, row in baselines.items()
        if (other := row["mape"]) is not None and other < own - _ROUNDING
    ]


def fit_held_out(
    space: SearchSpace,
    X: IntArray,
    y: npt.NDArray[np.float64],
    block_ms: Mapping[str, float],
    folds: int = 5,
) -> npt.NDArray[np.float64] | None:
    """Return what a calibrated LUT predicts for each network from the others, (n,) in ms.

    None where the networks are too few to leave any out.
    """
    if len(y) < FEWEST_NETWORKS:
        return None
    cls = registry.load(registry.PREDICTORS, "lut")
    fold = np.arange(len(y)) % folds
    predicted = np.empty(len(y))
    for number in range(folds):
        held_out = fold == number
        if held_out.any():
            lut = cls.for_table(space, block_ms).fit(X[~held_out], y[~held_out])
            predicted[held_out] = lut.predict(X[held_out])
    return predicted
