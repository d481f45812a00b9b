"""Searchers that train a supernet and architecture parameters: all but the learning is common."""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, fields
from itertools import cycle, islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from latbench.errors import UsageError
from latbench.searcher import Searcher, SearchResult
from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.spaces.mixing import MixedNetwork
from latbench.spaces.options import whole
from latbench.training.alpha import Alpha, draw, most_likely
from latbench.training.callbacks import Callback, Training, Work
from latbench.training.candidates import Candidates
from latbench.training.config import AlphaConfig, TrainConfig
from latbench.training.descent import likely_within
from latbench.training.one_shot import OneShotState
from latbench.training.task import SearchTask


class OneShotSearcher(Searcher):
    """A searcher that learns chances of options while it trains the weights of a supernet.

    ``start(task)``, then ``step()`` until :attr:`done`; or :meth:`run`, which does that, and then
    scores *finalists*: the most likely architecture within the limit, and others drawn from the
    learned chances, all distinct and within the limit. The best of them is the result.

    A subclass stores its hyperparameters, among them those of
    :class:`~latbench.training.config.AlphaConfig` and ``finalists``, and implements
    :meth:`_learn_weights` and :meth:`_learn_architecture`.

    Attributes:
        task: the task under way.
        state: everything that changes while it is.
        candidates: what was found to be within the limit.
    """

    task: SearchTask
    state: OneShotState
    candidates: Candidates

    measures: ClassVar[bool] = False
    """Whether latencies of drawn architectures may be measured ones: ``measure`` of the task."""

    finalists: int
    rate: float
    weight_decay: float
    every: int
    warmup: float
    momentum: float = 0.0
    clip_norm: float = 0.0
    rate_left: float = 1.0

    # What a subclass implements

    @property
    def follows_penalty(self) -> bool:
        """Whether the task's penalty has a part in it; else latencies join by other ways."""
        return True

    @property
    def unbiased(self) -> bool:
        """Whether the architecture follows the gradient of a mean over drawn networks, on average.

        The mean is that of what a drawn network is to have least of, such as its loss. Where a
        mixture stands for what is drawn, it is not; the contract suite tells how far off it is.
        """
        return False

    def _alpha(self, task: SearchTask) -> Alpha:
        """Return the architecture parameters to begin with."""
        return Alpha(task.space)

    def _weights(self, supernet: MixedNetwork) -> Iterable[nn.Parameter]:
        """Return the parameters of the supernet that learn; the others are held."""
        return supernet.parameters()

    @abstractmethod
    def _learn_weights(self, images: Tensor, labels: Tensor) -> None:
        """Take a step of the weights on training images (n, channels, height, width).

        Or a part of one, where ``accumulate`` batches make a step: what the weights' step returns
        is None until the last of them.
        """

    @abstractmethod
    def _learn_architecture(self, images: Tensor, labels: Tensor) -> None:
        """Take a step of the architecture, before the step of the weights on these images."""

    # Learning

    def _work(self, task: SearchTask) -> Work:
        if task.data is None:
            return task
        training = task.train or TrainConfig(seed=task.seed)
        return Training(task.title, training.total_steps(len(task.data.train)))

    def start(self, task: SearchTask) -> None:
        """Begin ``task``, forgetting any other.

        Raises:
            InfeasibleError: no architecture meets the limit; names the fastest one found.
            UsageError: the task lacks what a one-shot search needs or has a penalty that is not
                followed, or a hyperparameter or a setting of the penalty cannot be.
        """
        self._check(task)
        # Before hours go into training: an error if nothing meets the limit.
        self.candidates = Candidates(task, np.random.default_rng([task.seed, 1]))
        if task.penalty is not None:
            task.penalty.check(float(task.latency_ms(self.candidates.anchor[np.newaxis])[0]))
        weights = None if task.supernet is None else [*self._weights(task.supernet)]
        self.state = OneShotState(task, self._alpha(task), self._config(), weights)
        self.task = self.state.task

    def _check(self, task: SearchTask) -> None:
        whole("finalists", self.finalists, 1, 10**6)
        if self.finalists > task.evaluations:
            raise UsageError(
                f"{self.finalists} finalists are more than the {task.evaluations} evaluations; "
                "allow more evaluations, or set fewer finalists"
            )
        if task.penalty is not None and not self.follows_penalty:
            raise UsageError(
                f"{self!r} follows no penalty: latencies join its gradient otherwise; leave the "
                "penalty out of the task"
            )
        self._config()

    def _config(self) -> AlphaConfig:
        names = [one.name for one in fields(AlphaConfig)]
        return AlphaConfig(**{name: getattr(self, name) for name in names})

    @property
    def done(self) -> bool:
        """Whether all steps are taken."""
        return self.state.step >= self.state.total

    @property
    def chances(self) -> list[FloatArray]:
        """The learned chances of the options of each choice, (options,)."""
        return self.state.alpha.chances()

    def step(self) -> None:
        """Take one step: of the architecture if it is due, and of the weights."""
        state = self.state
        batches = [state.train.draw() for _ in range(state.training.accumulate)]
        if state.architecture_is_due:
            self._step_architecture(batches)
        for images, labels in batches:
            self._learn_weights(images, labels)
        state.step += 1

    def _step_architecture(self, batches: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Have the architecture learn from training ``batches``, in turn, beside its own."""
        parts = self.state.training.alpha_accumulate
        # One part is no mean: it may come later, with the step of the weights.
        with nullcontext() if parts == 1 else self.state.averaged():
            for images, labels in islice(cycle(batches), parts):
                self._learn_architecture(images, labels)

    # The whole search

    def _search(self, task: SearchTask, events: Callback, checkpoint: Path | None) -> SearchResult:
        began = time.monotonic()
        cuda = range(torch.cuda.device_count())
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(task.seed)
            self.start(task)
            more: dict[str, Any] = {}
            identity = self._identity()
            if checkpoint is not None and checkpoint.exists():
                more = self.state.resume(checkpoint, identity)
            began -= more.get("seconds", 0.0)
            self._train(events, checkpoint, identity)
            self.state.supernet.eval()
            trials = self._score(self.candidates, more.get("scores", []))
            for n, (x, score, latency_ms) in enumerate(trials, 1):
                events.on_evaluation(n, x, score, latency_ms)
            seconds = time.monotonic() - began
            if checkpoint is not None:
                scores = [score for _, score, _ in trials]
                self.state.save(checkpoint, identity, {"scores": scores, "seconds": seconds})
        return self._result(self.candidates, trials, seconds)

    def _identity(self) -> dict[str, Any]:
        whole_search = {"kind": self.kind, "params": self.get_params(), "task": self.task.identity}
        identity: dict[str, Any] = json.loads(json.dumps(whole_search))
        return identity

    def _train(self, events: Callback, checkpoint: Path | None, identity: dict[str, Any]) -> None:
        state = self.state
        while not self.done:
            self.step()
            if state.step % state.training.report_every == 0 or self.done:
                state.report(events)
                state.save_if_due(checkpoint, identity)
            if state.pass_ended:
                state.report_pass(events)

    def _score(
        self, candidates: Candidates, known: Sequence[float]
    ) -> list[tuple[IntArray, float, float]]:
        """Return the finalists with their scores, of which the first are ``known``."""
        task, chances = self.task, self.chances
        first = likely_within(task, chances, candidates.anchor, candidates.rng)
        candidates.draw(lambda n: np.tile(first, (n, 1)), 1)
        candidates.draw(lambda n: draw(task.space, chances, candidates.rng, n), self.finalists - 1)
        X = np.array(candidates.given)
        scores = [*known]
        if len(scores) < len(X):
            scores.extend(map(float, task.scores(X[len(scores) :])))
        return list(zip(X, scores, candidates.latencies_ms, strict=True))

    def _result(
        self,
        candidates: Candidates,
        trials: Sequence[tuple[IntArray, float, float]],
        seconds: float,
    ) -> SearchResult:
        task, space = self.task, self.task.space
        # Of equal scores the faster network; of equal latencies too, the earlier one.
        x, score, latency_ms = max(trials, key=lambda trial: (trial[1], -trial[2]))
        likeliest = most_likely(space, self.chances)
        details = {
            "steps": float(self.state.step),
            "most_likely_ms": float(task.latency_ms(likeliest[np.newaxis])[0]),
        }
        if task.expected is not None:
            probabilities = [given.detach() for given in self.state.alpha.probabilities()]
            details["expected_ms"] = float(task.expected(space.by_choice(probabilities)))
        return SearchResult(
            kind=self.kind,
            params=self.get_params(),
            seed=task.seed,
            x=x,
            score=score,
            predicted_ms=latency_ms,
            target_ms=task.target_ms,
            evaluations=len(trials),
            history=[
                {"n": n, "x": x.tolist(), "score": score, "predicted_ms": latency_ms}
                for n, (x, score, latency_ms) in enumerate(trials, 1)
            ],
            proposals=asdict(candidates.counts),
            seconds=seconds,
            details=details,
        )
