"""Turning proposals into distinct architectures that meet the limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from latbench.errors import InfeasibleError
from latbench.spaces.graph import IntArray
from latbench.training.neighbours import find_fastest, mutate
from latbench.training.task import SearchTask

Source = Callable[[int], IntArray]

# Proposals that may be spent: a floor, and so many more for each architecture wanted.
FLOOR = 1000
TRIES_EACH = 50
CHUNK = 4096


@dataclass
class Counts:
    """How many proposals were looked at, and why some were refused."""

    proposed: int = 0
    duplicates: int = 0
    filtered: int = 0


class Candidates:
    """The architectures given out so far: all distinct, all within the limit.

    Attributes:
        given: rows in the order they were given out.
        latencies_ms: their predicted latencies.
        index: their place in ``given`` by :func:`row_keys`.
        counts: what became of the proposals.
        anchor: the fastest architecture found, from which others are reached if few are feasible.
    """

    def __init__(self, task: SearchTask, rng: np.random.Generator) -> None:
        """Look for an architecture within the limit.

        Raises:
            InfeasibleError: none is found; names the fastest one that was.
        """
        self.task = task
        self.rng = rng
        self.given: list[IntArray] = []
        self.latencies_ms: list[float] = []
        self.index: dict[bytes, int] = {}
        self.counts = Counts()
        self.anchor = self._find_anchor()

    def _find_anchor(self) -> IntArray:
        task = self.task
        fastest = find_fastest(task.space, task.latency_ms, self.rng)
        if task.within_limit(fastest.x[np.newaxis], np.array([fastest.latency_ms]))[0]:
            return fastest.x
        # The filter may judge by more than the predicted latency.
        X = task.space.sample(self.rng, FLOOR)
        accepted = X[task.within_limit(X)]
        if len(accepted):
            anchor: IntArray = accepted[task.latency_ms(accepted).argmin()]
            return anchor
        raise InfeasibleError(
            f"no architecture of {task.space.name} was found that runs within {task.limit}: the "
            f"fastest of {fastest.tried + len(X)} tried is {task.space.decode(fastest.x)}, "
            f"predicted at {fastest.latency_ms:.4g} ms; raise the target or use another space"
        )

    def draw(self, source: Source, n: int) -> int:
        """Give out up to ``n`` more architectures that ``source`` proposes.

        Proposals are made in batches as large as the share accepted so far suggests, and counted
        up to the last one that is taken.

        Args:
            source: returns as many canonical architectures as it is asked for.
            n: how many are wanted.

        Returns:
            How many are still missing after a bounded number of proposals.
        """
        tries = FLOOR + TRIES_EACH * n
        while n and tries > 0:
            share = (len(self.given) + 1) / (self.counts.proposed + 2)
            proposals = source(min(math.ceil(n / share), CHUNK, tries))
            tries -= len(proposals)
            n -= self._take(proposals, n)
        return n

    def wander(self, n: int) -> IntArray:
        """Propose ``n`` neighbours of the anchor and of what was given out, and the anchor."""
        pool = [self.anchor, *self.given]
        drawn = self.rng.integers(len(pool), size=n)
        children = mutate(self.task.space, np.array([pool[i] for i in drawn]), self.rng)
        children[0] = self.anchor
        return children

    def _take(self, proposals: IntArray, n: int) -> int:
        """Give out the first ``n`` new feasible rows of ``proposals``; return how many are."""
        keys = row_keys(proposals)
        fresh = np.zeros(len(keys), dtype=np.bool_)
        within: set[bytes] = set()
        for row, key in enumerate(keys):
            if key not in self.index and key not in within:
                within.add(key)
                fresh[row] = True
        accepted = np.zeros(len(keys), dtype=np.bool_)
        latencies_ms = np.full(len(keys), np.nan)
        if fresh.any():
            latencies_ms[fresh] = self.task.latency_ms(proposals[fresh])
            accepted[fresh] = self.task.within_limit(proposals[fresh], latencies_ms[fresh])
        taken = np.flatnonzero(accepted)[:n]
        looked_at = int(taken[-1]) + 1 if len(taken) == n else len(keys)
        self.counts.proposed += looked_at
        self.counts.duplicates += int((~fresh[:looked_at]).sum())
        self.counts.filtered += int((fresh & ~accepted)[:looked_at].sum())
        for row in taken:
            self._give(proposals[row], keys[row], float(latencies_ms[row]))
        return len(taken)

    def _give(self, x: IntArray, key: bytes, latency_ms: float) -> None:
        self.index[key] = len(self.given)
        self.given.append(x)
        self.latencies_ms.append(latency_ms)

    def state(self) -> dict[str, Any]:
        """Return what was given out and the counts, as JSON values."""
        return {
            "given": [x.tolist() for x in self.given],
            "latencies_ms": self.latencies_ms.copy(),
            "counts": asdict(self.counts),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state` returned."""
        rows = np.array(state["given"], dtype=np.int64).reshape(-1, len(self.task.space.choices))
        self.given, self.latencies_ms, self.index = [], [], {}
        for x, key, latency_ms in zip(rows, row_keys(rows), state["latencies_ms"], strict=True):
            self._give(x, key, latency_ms)
        self.counts = Counts(**state["counts"])


def row_keys(X: IntArray) -> list[bytes]:
    """Return one key for each canonical row of ``X`` (n, choices): equal rows, equal keys."""
    content = X.astype(np.int16).tobytes()
    width = 2 * X.shape[1]
    return [content[start : start + width] for start in range(0, len(content), width)]
