"""How well latencies of networks are predicted, on the bundled data sets: no machine is timed.

A few networks and all blocks are what a user measures in some minutes. Every seed draws others to
fit on; all the rest of a data set is scored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

import latbench
from benchmarks.table import Row
from latbench import resources
from latbench.prediction import metrics
from latbench.prediction.inputs import FloatArray
from latbench.spaces import SearchSpace
from latbench.store import ReadableStore
from latbench.workflows.fit import BASELINES
from latbench.workflows.measured import Measured, measured

_SEEDS, _NETWORKS, _FEWEST_LEFT = 5, 100, 100
_MANY = 1_500
_KINDS = ("lut", "gbdt", "mlp", "transfer")
_NOISE_RATIO, _NOISE_PERCENT = 1.5, 1.0
_WITHIN_5, _WITHIN_10 = 99.0, 100.0


def rows() -> Iterator[Row]:
    """Yield the errors on every target of every data set."""
    for name in resources.datasets():
        table = latbench.dataset(name)
        space = _space(table)
        for target in table.targets():
            found = measured(table, space, target)
            if len(found.y) >= _NETWORKS + _FEWEST_LEFT and found.block_ms:
                yield _few(name, found)
            if len(found.y) >= _MANY + _FEWEST_LEFT:
                yield _many(name, found)


def _space(table: ReadableStore) -> SearchSpace:
    (text,) = table.table(campaign=None)["space"].dropna().unique()
    spec = json.loads(text)
    return latbench.space(spec["name"], **spec["options"])


def _few(name: str, found: Measured) -> Row:
    """Return the errors after a fit on a hundred networks and all blocks."""
    scores = {kind: scored(found, kind, {}, _NETWORKS) for kind in _KINDS}
    plain = {
        called: scored(found, kind, params, _NETWORKS)
        for called, (kind, params) in BASELINES.items()
    }
    best = min(scores, key=lambda kind: scores[kind].mape.mean())
    chosen = scores[best]
    noise = found.noise_mape
    # What is asked of the error beside the noise is asked of chains, whose latency is nearly a sum.
    ratio = None if noise is None else float(chosen.mape.mean()) / noise
    met = chosen.within_5.mean() >= _WITHIN_5 and chosen.within_10.mean() >= _WITHIN_10
    goal = f"±5 % for {_WITHIN_5:g} %, ±10 % for all"
    if found.space.additive:
        goal += f"; {_NOISE_RATIO:g} × the noise, noise {_NOISE_PERCENT:g} %"
        met = met and ratio is not None and ratio <= _NOISE_RATIO
        met = met and noise is not None and noise <= _NOISE_PERCENT
    beside = ", ".join(
        f"{kind} {one.mape.mean():.2f}" for kind, one in {**scores, **plain}.items() if kind != best
    )
    told = "noise not known" if noise is None else f"noise {noise:.2f} %, {ratio:.2f} ×"
    return Row(
        f"`{name}`, {found.target.label}: {_NETWORKS} networks and blocks, error of {best}",
        goal,
        f"{chosen.told()}; {told}",
        f"{len(found.y) - _NETWORKS} networks not seen, {_SEEDS} seeds; errors of others, %: "
        f"{beside}",
        bool(met),
    )


def _many(name: str, found: Measured) -> Row:
    """Return what more networks are worth."""
    scores = {kind: [scored(found, kind, {}, n) for n in (_NETWORKS, _MANY)] for kind in _KINDS}
    told = "; ".join(
        f"{kind} {few.mape.mean():.2f} → {many.mape.mean():.2f} %"
        for kind, (few, many) in scores.items()
    )
    best = min(scores, key=lambda kind: scores[kind][1].mape.mean())
    noise = "not known" if found.noise_mape is None else f"{found.noise_mape:.2f} %"
    return Row(
        f"`{name}`, {found.target.label}: {_NETWORKS} → {_MANY:,} networks",
        "none",
        told,
        f"best {best}: {scores[best][1].told()}; noise {noise}",
        True,
    )


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores in percent for each seed, (seeds,)."""

    mape: FloatArray
    within_5: FloatArray
    within_10: FloatArray

    def told(self) -> str:
        """Return them in a few words."""
        return (
            f"{self.mape.mean():.2f} ± {self.mape.std(ddof=1):.2f} %, ±5 % for "
            f"{self.within_5.mean():.1f} %, ±10 % for {self.within_10.mean():.1f} %"
        )


def scored(found: Measured, kind: str, params: Mapping[str, object], n: int) -> Scores:
    """Return the scores of a kind that was fitted on ``n`` networks."""
    table = []
    for seed in range(_SEEDS):
        order = np.random.default_rng(seed).permutation(len(found.y))
        seen, new = order[:n], order[n:]
        predictor = latbench.predictor(kind).for_table(found.space, found.block_ms, **params)
        predictor.fit(found.X[seen], found.y[seen], calibrate=False)
        y, p = found.y[new], predictor.predict(found.X[new])
        table.append([metrics.mape(y, p), metrics.within(y, p, 5), metrics.within(y, p, 10)])
    return Scores(*np.array(table).T)
