"""The contract of a searcher: the base class checks, the plug-in searches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from latbench.errors import InfeasibleError
from latbench.parameters import Parameters
from latbench.spaces.graph import IntArray
from latbench.training.callbacks import Callback, Callbacks, Work
from latbench.training.task import SearchTask


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search found.

    Attributes:
        kind: registered name of the searcher.
        params: its hyperparameters.
        seed: of the task.
        x: the best architecture (choices,), canonical and within the limit.
        score: its score.
        predicted_ms: its predicted latency.
        target_ms: the limit.
        evaluations: how many architectures were scored.
        history: one row for each, in order, with ``n``, ``x``, ``score`` and ``predicted_ms``.
        proposals: how many candidates were ``proposed``, and how many of them were ``duplicates``
            or ``filtered`` by the limit.
        seconds: how long it took, earlier parts of a resumed search included.
        details: further numbers of this kind of searcher, such as ``relaxed_ms``, by name.
    """

    kind: str
    params: Mapping[str, Any]
    seed: int
    x: IntArray
    score: float
    predicted_ms: float
    target_ms: float
    evaluations: int
    history: list[dict[str, Any]]
    proposals: Mapping[str, int]
    seconds: float
    details: Mapping[str, float] = field(default_factory=dict)


class Searcher(Parameters, ABC):
    """Finds an architecture for a :class:`~latbench.training.task.SearchTask`.

    A constructor only stores its hyperparameters, JSON values, under their own names. A subclass
    implements :meth:`_search`; the checks around it are made here.

    Attributes:
        kind: registered name.
    """

    kind: ClassVar[str]

    def __repr__(self) -> str:
        """Return the call that builds this searcher."""
        params = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({params})"

    def run(
        self,
        task: SearchTask,
        callbacks: Iterable[Callback] = (),
        checkpoint: Path | None = None,
    ) -> SearchResult:
        """Search, and return the best architecture within the limit.

        Args:
            task: what to search for.
            callbacks: listeners.
            checkpoint: file to keep the state in. If it exists, the search goes on from it and
                ends as if it had never stopped.

        Raises:
            InfeasibleError: no architecture meets the limit; names the fastest one found.
            ArtefactError: the checkpoint is damaged or belongs to another search.
            UsageError: a hyperparameter does not suit the task.
        """
        self._check(task)
        with Callbacks(callbacks).during(self._work(task)) as events:
            result = self._search(task, events, checkpoint)
            predicted_ms = np.array([result.predicted_ms])
            if not task.within_limit(result.x[np.newaxis], predicted_ms)[0]:
                raise InfeasibleError(
                    f"{self.kind} ended with {task.space.decode(result.x)}, predicted at "
                    f"{result.predicted_ms:.4g} ms, which is not within {task.limit}; raise the "
                    "target, or use the algorithm evolution, which keeps within it"
                )
            events.on_end(result)
        return result

    def _check(self, task: SearchTask) -> None:
        """Refuse hyperparameters that are out of range or do not suit ``task``.

        Raises:
            UsageError: says which, and what would do.
        """
        return

    def _work(self, task: SearchTask) -> Work:
        """Return what callbacks are told to begin: ``task`` counts evaluations."""
        return task

    @abstractmethod
    def _search(self, task: SearchTask, events: Callback, checkpoint: Path | None) -> SearchResult:
        """Do what :meth:`run` promises, with checked arguments."""
