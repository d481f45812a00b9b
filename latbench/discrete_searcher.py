"""Searchers that ask for scores and are told them: all but the proposing is common."""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.errors import ArtefactError, InfeasibleError, LatbenchError, UsageError
from latbench.searcher import Searcher, SearchResult
from latbench.spaces.graph import IntArray
from latbench.training.callbacks import Callback
from latbench.training.candidates import Candidates, row_keys
from latbench.training.saving import Pace, check_identity, replace_file
from latbench.training.task import SearchTask

FORMAT = "latbench-search"
VERSION = 1
_PARTS = ("identity", "rng", "candidates", "told", "seconds")


@dataclass(frozen=True, eq=False)
class Trial:
    """One scored architecture ``x`` (choices,), with its place among all that were asked for."""

    x: IntArray
    score: float
    latency_ms: float
    place: int


class DiscreteSearcher(Searcher):
    """A searcher that asks for scores of single architectures and is told them.

    ``start(task)``, then ``tell(X, scores)`` for each ``X = ask(n)``; or :meth:`run`, which does
    that. No architecture is asked for twice, and all are within the limit. A subclass implements
    :meth:`_propose` on top of ``task``, ``rng``, ``candidates`` and ``trials``, which are all the
    state there is: any other state would be lost when a search resumes.

    Attributes:
        task: the task under way.
        rng: the generator of every draw.
        candidates: what was asked for.
        trials: what was told, in that order.
    """

    task: SearchTask
    rng: np.random.Generator
    candidates: Candidates
    trials: list[Trial]

    @abstractmethod
    def _propose(self, n: int) -> IntArray:
        """Return ``n`` canonical architectures (n, choices); refused ones are asked for again."""

    def wanted(self) -> int:
        """Return how many architectures :meth:`run` may ask for before it tells their scores."""
        return 1

    # Asking and telling

    def start(self, task: SearchTask) -> None:
        """Begin ``task``, forgetting any other.

        Raises:
            InfeasibleError: no architecture meets the limit; names the fastest one found.
            UsageError: a hyperparameter does not suit the task, or it has a penalty.
        """
        self._check(task)
        if task.penalty is not None:
            raise UsageError(
                f"{self.kind} follows no penalty: it keeps within the limit as it is; leave the "
                "penalty out of the task"
            )
        self.task = task
        self.rng = np.random.default_rng(task.seed)
        self.candidates = Candidates(task, self.rng)
        self.trials = []
        self._open: set[int] = set()
        self._began = time.monotonic()

    def ask(self, n: int = 1) -> IntArray:
        """Return up to ``n`` new architectures (n, choices) to score.

        If the searcher's own proposals are refused too often, neighbours of earlier ones are
        returned. Fewer rows, or none, mean that no more were found in a bounded number of tries.
        """
        self._require_start()
        candidates = self.candidates
        before = len(candidates.given)
        missing = candidates.draw(self._propose, n)
        if missing:
            candidates.draw(candidates.wander, missing)
        self._open.update(range(before, len(candidates.given)))
        return np.array(candidates.given[before:], dtype=np.int64).reshape(
            -1, len(self.task.space.choices)
        )

    def tell(self, X: npt.ArrayLike, scores: npt.ArrayLike) -> None:
        """Take the scores (n,) of architectures ``X`` (n, choices) that were asked for.

        Raises:
            UsageError: an architecture was not asked for or is told twice, or the number of
                scores differs; then none is taken.
            LatbenchError: a score is not finite; likewise.
        """
        self._require_start()
        rows = self.task.space.check(X)
        values = np.asarray(scores, dtype=np.float64)
        if values.shape != (len(rows),):
            raise UsageError(
                f"{len(rows)} architectures need {len(rows)} scores, got {values.shape}"
            )
        places: dict[int, float] = {}
        for x, key, score in zip(rows, row_keys(rows), values, strict=True):
            if not np.isfinite(score):
                raise LatbenchError(
                    f"the score of {self.task.space.decode(x)} is {score}; tell finite numbers"
                )
            place = self.candidates.index.get(key)
            if place not in self._open or place in places:
                raise UsageError(
                    f"{self.task.space.decode(x)} was not asked for, or was told before; tell each "
                    "architecture of ask() once"
                )
            places[place] = float(score)
        for place, score in places.items():
            self._take(place, score)

    def _require_start(self) -> None:
        if "candidates" not in self.__dict__:
            raise UsageError(f"{self.kind} has no task; call start(task) first")

    def _take(self, place: int, score: float) -> None:
        self._open.remove(place)
        candidates = self.candidates
        self.trials.append(
            Trial(candidates.given[place], score, candidates.latencies_ms[place], place)
        )

    # Stopping and going on

    def state(self) -> dict[str, Any]:
        """Return all that :meth:`restore` needs, as JSON values."""
        self._require_start()
        return {
            "format": FORMAT,
            "version": VERSION,
            "identity": self._identity(),
            "rng": self.rng.bit_generator.state,
            "candidates": self.candidates.state(),
            "told": [[trial.place, trial.score] for trial in self.trials],
            "seconds": time.monotonic() - self._began,
        }

    def restore(self, state: Mapping[str, Any], source: str = "the state") -> None:
        """Go on from ``state`` as if it had never been left; call :meth:`start` before.

        Args:
            state: from :meth:`state`, also by way of JSON.
            source: what holds it, for messages.

        Raises:
            ArtefactError: it is no such state, lacks a part of one, or is of another version or
                search.
        """
        self._require_start()
        if not isinstance(state, Mapping) or state.get("format") != FORMAT:
            raise ArtefactError(f"{source} is not the state of a search; use another file")
        if state.get("version") != VERSION:
            raise ArtefactError(
                f"{source} has version {state.get('version')}, this latbench reads version "
                f"{VERSION}; use the latbench that wrote it, or begin anew"
            )
        for part in _PARTS:
            if part not in state:
                raise ArtefactError(f"{source} is damaged: it has no {part}; begin anew")
        check_identity(source, state["identity"], self._identity())
        self.rng.bit_generator.state = state["rng"]
        self.candidates.restore(state["candidates"])
        self.trials = []
        self._open = set(range(len(self.candidates.given)))
        for place, score in state["told"]:
            self._take(place, score)
        self._began = time.monotonic() - state["seconds"]

    def _identity(self) -> dict[str, Any]:
        whole = {"kind": self.kind, "params": self.get_params(), "task": self.task.identity}
        # As a reader of the file will see it: tuples become lists.
        identity: dict[str, Any] = json.loads(json.dumps(whole))
        return identity

    def _load(self, path: Path) -> None:
        try:
            state = json.loads(path.read_bytes())
        except ValueError as failure:
            raise ArtefactError(
                f"{path} cannot be read as the state of a search ({failure}); delete it to begin "
                "anew"
            ) from failure
        self.restore(state, str(path))

    # The whole search

    def _search(self, task: SearchTask, events: Callback, checkpoint: Path | None) -> SearchResult:
        self.start(task)
        if checkpoint is not None and checkpoint.exists():
            self._load(checkpoint)
        pace = Pace()
        while len(self.trials) < task.evaluations:
            X = self.ask(min(self.wanted(), task.evaluations - len(self.trials)))
            if not len(X):
                break
            before = len(self.trials)
            self.tell(X, task.scores(X))
            for n, trial in enumerate(self.trials[before:], before + 1):
                events.on_evaluation(n, trial.x, trial.score, trial.latency_ms)
            if checkpoint is not None and (pace.due() or len(self.trials) == task.evaluations):
                began = time.monotonic()
                replace_file(checkpoint, json.dumps(self.state()).encode())
                pace.saved(began)
        return self.result()

    def result(self) -> SearchResult:
        """Return the best of what was told so far.

        Raises:
            InfeasibleError: nothing was.
        """
        if not self.trials:
            raise InfeasibleError(
                f"{self.kind} has scored nothing within {self.task.limit}; ask and tell first, or "
                "raise the target"
            )
        # Of equal scores the faster network; of equal latencies too, the earlier one.
        best = max(self.trials, key=lambda trial: (trial.score, -trial.latency_ms))
        return SearchResult(
            kind=self.kind,
            params=self.get_params(),
            seed=self.task.seed,
            x=best.x,
            score=best.score,
            predicted_ms=best.latency_ms,
            target_ms=self.task.target_ms,
            evaluations=len(self.trials),
            history=[
                {
                    "n": n,
                    "x": trial.x.tolist(),
                    "score": trial.score,
                    "predicted_ms": trial.latency_ms,
                }
                for n, trial in enumerate(self.trials, 1)
            ],
            proposals=asdict(self.candidates.counts),
            seconds=time.monotonic() - self._began,
        )
