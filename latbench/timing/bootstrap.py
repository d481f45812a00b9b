"""The hierarchical bootstrap: how far the latency could lie elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from latbench.timing.undisturbed import Digest, Pool

# Bounds the memory of one step; the draws do not depend on it.
_AT_ONCE = 250


def latency_interval(
    processes: Sequence[Sequence[Digest]],
    resamples: int,
    confidence: float,
    seed: int,
    quiet: float | None = None,
) -> tuple[float, float]:
    """Return the percentile interval of the undisturbed latency, by processes and rounds in them.

    Every resample replaces each process by one drawn at random and fills its rounds from that
    one's. The interval depends neither on the order of processes nor on that of their rounds.

    Args:
        processes: the rounds of each process; none may be empty.
        resamples: how many resamples to draw.
        confidence: share of them the interval covers.
        seed: seed of the draws.
        quiet: the share of quiet samples, where it is known better than from these rounds alone.
    """
    # Sorted, because the draws must not depend on the order in which rounds arrive.
    groups = sorted((sorted(group, key=_place) for group in processes), key=_places)
    pool = Pool([one for group in groups for one in group], quiet)
    latencies = np.concatenate(
        [pool.latencies_ms(times) for times in _mixtures(groups, resamples, seed)]
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile(latencies, (tail, 1 - tail))
    centre = pool.latency_ms
    # Many processes of very unequal length can put both percentiles on one side.
    return min(float(low), centre), max(float(high), centre)


def _place(one: Digest) -> tuple[tuple[float, ...], int, int]:
    return one.values_ms, one.samples, one.quiet


def _places(group: Sequence[Digest]) -> tuple[int, list[tuple[tuple[float, ...], int, int]]]:
    return len(group), [_place(one) for one in group]


def _mixtures(
    groups: Sequence[Sequence[Digest]], resamples: int, seed: int
) -> list[npt.NDArray[np.int64]]:
    """Return how often each round is drawn, (resamples, rounds), some resamples a time."""
    sizes = np.array([len(group) for group in groups])
    starts = np.cumsum(sizes) - sizes
    rounds = int(sizes.sum())
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(groups), size=(resamples, len(groups)))
    size, start = (np.repeat(of[drawn], sizes, axis=1) for of in (sizes, starts))
    chosen = start + (rng.random(size.shape) * size).astype(np.int64)
    # Each resample counts in a range of its own, so that one count serves many of them.
    return [
        np.bincount(
            (part + np.arange(len(part))[:, np.newaxis] * rounds).ravel(),
            minlength=len(part) * rounds,
        ).reshape(len(part), rounds)
        for part in np.split(chosen, range(_AT_ONCE, resamples, _AT_ONCE))
    ]


def half_width(
    processes: Sequence[Sequence[Digest]],
    resamples: int,
    confidence: float,
    seed: int,
    quiet: float | None = None,
) -> float:
    """Return h, half the interval's width relative to the latency.

    A single round says nothing about its spread: h is then 1, the whole value.
    """
    rounds = [one for group in processes for one in group]
    if len(rounds) < 2:
        return 1.0
    low, high = latency_interval(processes, resamples, confidence, seed, quiet)
    return (high - low) / (2 * Pool(rounds, quiet).latency_ms)
