"""What may listen to a training or a search: progress, plots, logs. Algorithms draw nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from latbench.spaces.architectures import FloatArray
    from latbench.spaces.graph import IntArray


class Work(Protocol):
    """What begins: a :class:`~latbench.training.task.SearchTask`, or a training."""

    @property
    def title(self) -> str:
        """What is done, in a word or two."""

    @property
    def total(self) -> int:
        """How many units of it there are at most."""

    @property
    def unit(self) -> str:
        """What is counted, such as ``steps`` or ``evaluations``."""


@dataclass(frozen=True)
class Training:
    """The :class:`Work` of a training."""

    title: str
    total: int
    unit: str = "steps"


class Callback:
    """A listener; every event does nothing unless a subclass says otherwise."""

    def on_start(self, task: Work) -> None:
        """``task`` begins, or goes on from a checkpoint."""

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """``step`` steps of training are done; ``metrics`` are means since the last report."""

    def on_chances(self, step: int, chances: Mapping[str, FloatArray]) -> None:
        """After ``step`` steps the options of each choice have these ``chances`` (options,)."""

    def on_pass(self, step: int, chances: Mapping[str, FloatArray]) -> None:
        """As :meth:`on_chances`, where a pass over the training images, or the training, ends."""

    def on_evaluation(self, n: int, x: IntArray, score: float, latency_ms: float) -> None:
        """The ``n``-th architecture ``x`` (choices,), from 1, got ``score`` and this latency."""

    def on_end(self, result: object) -> None:
        """The work is done and gave ``result``."""

    def close(self) -> None:
        """Let go of screens and files; called last, after a failure too."""


class Callbacks(Callback):
    """Several callbacks as one, called in their order."""

    def __init__(self, members: Iterable[Callback]) -> None:
        """Keep the members."""
        self.members = tuple(members)

    def on_start(self, task: Work) -> None:
        """Tell every member."""
        for member in self.members:
            member.on_start(task)

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Tell every member."""
        for member in self.members:
            member.on_step(step, metrics)

    def on_chances(self, step: int, chances: Mapping[str, FloatArray]) -> None:
        """Tell every member."""
        for member in self.members:
            member.on_chances(step, chances)

    def on_pass(self, step: int, chances: Mapping[str, FloatArray]) -> None:
        """Tell every member."""
        for member in self.members:
            member.on_pass(step, chances)

    def on_evaluation(self, n: int, x: IntArray, score: float, latency_ms: float) -> None:
        """Tell every member."""
        for member in self.members:
            member.on_evaluation(n, x, score, latency_ms)

    def on_end(self, result: object) -> None:
        """Tell every member."""
        for member in self.members:
            member.on_end(result)

    def close(self) -> None:
        """Close every member, also when one of them fails to."""
        with ExitStack() as stack:
            for member in self.members:
                stack.callback(member.close)

    @contextmanager
    def during(self, task: Work) -> Iterator[Callback]:
        """Start with ``task``, and close at the end of the block, however it ends."""
        try:
            self.on_start(task)
            yield self
        finally:
            self.close()
