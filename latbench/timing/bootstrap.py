"""The hierarchical bootstrap: how far a median of rounds could lie elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def median_interval(
    processes: Sequence[Sequence[float]], resamples: int, confidence: float, seed: int
) -> tuple[float, float]:
    """Return the percentile interval of the pooled median, by processes and rounds in them.

    Every resample replaces each process by one drawn at random and fills its rounds from that
    one's. The interval depends neither on the order of processes nor on that of their rounds.

    Args:
        processes: the values (round medians) of each process; none may be empty.
        resamples: how many resamples to draw.
        confidence: share of them the interval covers.
        seed: seed of the draws.
    """
    # Sorted, because the draws must not depend on the order in which rounds arrive.
    groups = sorted((sorted(group) for group in processes), key=lambda group: (len(group), group))
    values = np.concatenate([np.asarray(group, dtype=np.float64) for group in groups])
    sizes = np.array([len(group) for group in groups], dtype=np.uint32)
    starts = (np.cumsum(sizes) - sizes).astype(np.uint32)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(groups), size=(resamples, len(groups)))
    size, start = (np.repeat(of[drawn], sizes, axis=1) for of in (sizes, starts))
    # Sixteen random bits are plenty to choose among rounds. Ranks stand in for the values and
    # rows are sorted whole: numpy vectorises that, and it beats partitions about tenfold.
    bits = rng.integers(1 << 16, size=size.shape, dtype=np.uint16)
    order = np.argsort(values)
    ranks = np.empty(len(values), dtype=np.int32)
    ranks[order] = np.arange(len(values), dtype=np.int32)
    resampled = np.sort(ranks.take(start + (bits * size >> 16)), axis=1)
    middle = resampled[:, [(len(values) - 1) // 2, len(values) // 2]]
    medians = values[order][middle].mean(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(medians, (tail, 1 - tail))
    centre = float(np.median(values))
    # Many processes of very unequal length can put both percentiles on one side.
    return min(float(low), centre), max(float(high), centre)


def half_width(
    processes: Sequence[Sequence[float]], resamples: int, confidence: float, seed: int
) -> float:
    """Return h, half the interval's width relative to the median.

    A single value says nothing about its spread: h is then 1, the whole value.
    """
    if sum(len(group) for group in processes) < 2:
        return 1.0
    low, high = median_interval(processes, resamples, confidence, seed)
    centre = float(np.median([value for group in processes for value in group]))
    return (high - low) / (2 * centre)
