"""How well latencies of networks are predicted, on the bundled data sets: no machine is timed.

A few networks and all blocks are what a user measures in some minutes. Every seed draws others to
fit on; all the rest of a data set is scored. Which kind of predictor to take, a user has to know
from these few networks, too: it is chosen by their cross-validation, and its score on the rest
counts, whatever another kind would have reached there.

Four settings of ``gbdt`` were chosen on this project's NAS-Bench-201 as it was measured before, the
same cells on another processor: how much the counts of blocks weigh in its linear part (``COUNTS``
in ``latbench_predictors.whole_network``), below which latency errors are no longer relative to it
(``_FLOOR`` in ``latbench_predictors.gbdt``), that kernels are described by the columns of
``latbench.spaces.fusion`` and the longest path alone, and how much their products weigh
(``PRODUCT`` in ``latbench_predictors.products``). What two of those columns count, additions in
place and in a row, was put right on the tables that are scored here, after a look at what OpenVINO
makes of a cell that was predicted badly. The figures are to be read with that in mind.

Networks without a path from input to output compute nothing: what is left of them is their head.
They are fitted where they are drawn, as a user would, and not scored.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

import latbench
from benchmarks.table import Row
from latbench import resources
from latbench.prediction import conformal, metrics
from latbench.prediction.inputs import FloatArray, IntArray
from latbench.spaces import SearchSpace
from latbench.store import ReadableStore
from latbench.workflows.fit import BASELINES
from latbench.workflows.measured import Measured, measured
from latbench.workflows.protocols.nb201_900 import connected

_SEEDS, _NETWORKS, _FEWEST_LEFT, _FOLDS = 5, 100, 100, 5
_MANY = 1_500
_KINDS = ("lut", "gbdt", "mlp", "transfer")
_NOISE_RATIO, _NOISE_PERCENT = 1.5, 1.0
_WITHIN_5, _WITHIN_10 = 99.0, 100.0
_MAPE, _5, _10 = range(3)
"""The columns of scores."""


def rows() -> Iterator[Row]:
    """Yield the errors on every target of every data set."""
    for name in resources.datasets():
        table = latbench.dataset(name)
        space = _space(table)
        for target in table.targets():
            found = measured(table, space, target)
            if len(found.y) >= _NETWORKS + _FEWEST_LEFT and found.block_ms:
                yield few(name, found)
            if len(found.y) >= _MANY + _FEWEST_LEFT:
                yield many(name, found)


def _space(table: ReadableStore) -> SearchSpace:
    (text,) = table.table(campaign=None)["space"].dropna().unique()
    spec = json.loads(text)
    return latbench.space(spec["name"], **spec["options"])


def few(name: str, found: Measured) -> Row:
    """Return the errors after a fit on a hundred networks and all blocks."""
    scores = {kind: scored(found, kind, {}, _NETWORKS) for kind in _KINDS}
    plain = {
        called: scored(found, kind, params, _NETWORKS)
        for called, (kind, params) in BASELINES.items()
    }
    kinds = [_chosen(found, seed) for seed in range(_SEEDS)]
    chosen = np.array([scores[kind][seed] for seed, kind in enumerate(kinds)])
    error, within_5, within_10 = chosen.mean(axis=0)
    noise = found.noise_mape
    # What is asked of the error beside the noise is asked of chains, whose latency is nearly a sum.
    ratio = None if noise is None else error / noise
    met = within_5 >= _WITHIN_5 and within_10 >= _WITHIN_10
    goal = f"±5 % for {_WITHIN_5:g} %, ±10 % for all"
    if found.space.additive:
        goal += f"; {_NOISE_RATIO:g} × the noise, noise {_NOISE_PERCENT:g} %"
        met = met and ratio is not None and ratio <= _NOISE_RATIO
        met = met and noise is not None and noise <= _NOISE_PERCENT
    beside = ", ".join(
        f"{kind} {one[:, _MAPE].mean():.2f}" for kind, one in {**scores, **plain}.items()
    )
    told = "noise not known" if noise is None else f"noise {noise:.2f} %, {ratio:.2f} ×"
    taken = ", ".join(f"{kind} {times} ×" for kind, times in Counter(kinds).most_common())
    return Row(
        f"`{name}`, {found.target.label}: {_NETWORKS} networks and blocks, error of the kind that "
        "their cross-validation chooses",
        goal,
        f"{_in_words(chosen)}; {told}; chosen: {taken}",
        f"{len(found.y) - _NETWORKS} networks not seen, {_SEEDS} seeds{_left_out(found)}"
        f"{_ceiling(found)}; errors of every kind, %: {beside}",
        bool(met),
    )


def many(name: str, found: Measured) -> Row:
    """Return what more networks are worth."""
    scores = {kind: [scored(found, kind, {}, n) for n in (_NETWORKS, _MANY)] for kind in _KINDS}
    told = "; ".join(
        f"{kind} {fewer[:, _MAPE].mean():.2f} → {more[:, _MAPE].mean():.2f} %"
        for kind, (fewer, more) in scores.items()
    )
    shares = "; ".join(
        f"{kind} ±5 % for {more[:, _5].mean():.1f} %, ±10 % for {more[:, _10].mean():.1f} %"
        for kind, (_, more) in scores.items()
    )
    noise = "not known" if found.noise_mape is None else f"{found.noise_mape:.2f} %"
    return Row(
        f"`{name}`, {found.target.label}: {_NETWORKS} → {_MANY:,} networks",
        "none",
        told,
        f"with {_MANY:,}: {shares}; noise {noise}{_left_out(found)}",
        True,
    )


def _drawn(found: Measured, n: int, seed: int) -> tuple[IntArray, IntArray]:
    """Return the ``n`` networks to fit on, and those of the others that are scored."""
    seen, new = np.split(np.random.default_rng(seed).permutation(len(found.y)), [n])
    return seen, np.intersect1d(new, connected(found.space, found.X))


def scored(found: Measured, kind: str, params: Mapping[str, object], n: int) -> FloatArray:
    """Return the error and the shares within 5 and 10 %, in percent, by seed, (seeds, 3)."""
    table = []
    for seed in range(_SEEDS):
        seen, new = _drawn(found, n, seed)
        y, p = found.y[new], _predicted(found, kind, params, seen, new)
        table.append([metrics.mape(y, p), metrics.within(y, p, 5), metrics.within(y, p, 10)])
    return np.array(table)


def _chosen(found: Measured, seed: int) -> str:
    """Return the kind with the least error in cross-validation of the networks of one seed."""
    seen, _ = _drawn(found, _NETWORKS, seed)
    fold = conformal.folds(conformal.different(found.X[seen])[1], _FOLDS, seed)
    scored = np.isin(seen, connected(found.space, found.X))

    def error(kind: str) -> float:
        predicted = np.empty(len(seen))
        for number in range(_FOLDS):
            out = fold == number
            predicted[out] = _predicted(found, kind, {}, seen[~out], seen[out])
        return metrics.mape(found.y[seen][scored], predicted[scored])

    return min(_KINDS, key=error)


def _predicted(
    found: Measured, kind: str, params: Mapping[str, object], seen: IntArray, asked: IntArray
) -> FloatArray:
    """Return what a kind says of ``asked`` after a fit on ``seen``, rows of ``found``."""
    predictor = latbench.predictor(kind).for_table(found.space, found.block_ms, **params)
    predictor.fit(found.X[seen], found.y[seen], calibrate=False)
    return predictor.predict(found.X[asked])


def _in_words(scores: FloatArray) -> str:
    """Return scores (seeds, 3) in a few words."""
    mape = scores[:, _MAPE]
    return (
        f"{mape.mean():.2f} ± {mape.std(ddof=1):.2f} %, ±5 % for {scores[:, _5].mean():.1f} %, "
        f"±10 % for {scores[:, _10].mean():.1f} %"
    )


def _ceiling(found: Measured) -> str:
    """Return how many a predictor would have within 5 and 10 % that knew the sweep but its noise.

    Second measurements differ by the noise of both, as in :func:`latbench.timing.noise`: their
    shift is left out, and the rest divided by the root of 2.
    """
    both = found.twice
    if both.empty:
        return ""
    logs = np.log(both["latency_ms_again"] / both["latency_ms"])
    known = np.exp((logs - np.median(logs)) / 2**0.5)
    within = [metrics.within(np.ones(len(known)), known, percent) for percent in (5, 10)]
    return f"; all but the noise known: ±5 % for {within[0]:.0f} %, ±10 % for {within[1]:.0f} %"


def _left_out(found: Measured) -> str:
    """Return what is not scored, and why; empty for nothing."""
    pathless = len(found.y) - len(connected(found.space, found.X))
    parts = [f"; {pathless} without a path from input to output not scored"] if pathless else []
    if found.set_aside:
        parts.append(f"; {sum(found.set_aside.values())} rows of another protocol set aside")
    return "".join(parts)
