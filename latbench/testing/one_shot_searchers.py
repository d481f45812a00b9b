"""What every searcher that trains a supernet must do beside what all searchers must."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from latbench import registry
from latbench.errors import InfeasibleError, LatbenchError, UsageError
from latbench.hooks import ExpectedLatency
from latbench.hooks.penalties import PENALTIES, Additive, MulLog2, penalty
from latbench.one_shot_searcher import OneShotSearcher
from latbench.searcher import Searcher
from latbench.spaces.space import SearchSpace
from latbench.testing.architecture_gradients import (
    Comparison,
    enumerated_gradient,
    every_architecture,
    followed_gradients,
    losses_of_every,
    reinforce_variance,
    unsettle,
)
from latbench.testing.searchers import SearcherSuite, Toy, course
from latbench.testing.toy_supernet import ToySupernet, constant, toy_data
from latbench.testing.unmet import unmet
from latbench.training.alpha import most_likely
from latbench.training.config import TrainConfig
from latbench.training.task import SearchTask

__all__ = ["OneShotSearcherSuite", "Toy", "ToySupernet", "constant", "toy_data"]

_STEPS = 60
_LONG = 400
_DRAWN = 500


class _Interruption(Exception):
    """Stops a search from within its loss."""


class OneShotSearcherSuite(SearcherSuite):
    """One check a rule of :class:`latbench.one_shot_searcher.OneShotSearcher`."""

    @abstractmethod
    def make_searcher(self, **params: Any) -> OneShotSearcher:
        """Return the searcher under test, with these hyperparameters beside its defaults."""

    def make_task(self, toy: Toy, steps: int = _STEPS, **changes: Any) -> SearchTask:
        """See :class:`~latbench.testing.searcher_fixtures.SearcherFixtures`."""
        settings: dict[str, Any] = {
            "supernet": ToySupernet(toy),
            "data": toy_data(),
            # Smoothed labels would speak against large margins, which slow networks have here.
            "train": TrainConfig(
                steps=steps, batch=16, lr=0.05, report_every=10, label_smoothing=0.0
            ),
            "expected": ExpectedLatency(toy.predictor),
            "penalty": Additive(0.1),
        }
        settings.update(changes)
        if not self.make_searcher().follows_penalty:
            settings["penalty"] = None
        return super().make_task(toy, **settings)

    def make_small_space(self) -> SearchSpace:
        """Return a chain of some hundred architectures; override it as :meth:`make_space`."""
        kind = registry.load(registry.SPACES, "digits-mobilenet")
        space: SearchSpace = kind(settings=[[16, 3, 1]])
        return space

    def begun(self, task: SearchTask, **params: Any) -> OneShotSearcher:
        """Return a searcher that has begun ``task``."""
        searcher = self.make_searcher(**params)
        searcher.start(task)
        return searcher

    def learned(self, task: SearchTask, **params: Any) -> OneShotSearcher:
        """Return a searcher that has taken all its steps."""
        searcher = self.begun(task, **params)
        while not searcher.done:
            searcher.step()
        return searcher

    # The gradient

    def test_the_gradient_beside_enumeration(
        self, record_property: Callable[[str, object], None]
    ) -> None:
        """The task's is the exact one where it is unbiased; else its bias is reported.

        Whatever its bias, its mean leads downhill. A target that all meet leaves latencies out.
        """
        toy = Toy(self.make_small_space())
        task = self.make_task(toy, target_ms=1e3 * toy.fastest_ms, penalty=None)
        searcher = self.begun(task, rate=0.1, warmup=0.0, weight_decay=0.0, every=1)
        unsettle(searcher)
        losses = losses_of_every(searcher)
        found = Comparison(
            followed_gradients(searcher, _DRAWN), enumerated_gradient(searcher, losses)
        )
        record_property("bias of the architecture's gradient in percent", found.bias_percent)
        record_property("its standard error in percent", found.error_percent)
        record_property("variance of a step", found.variance)
        record_property("plain REINFORCE's", reinforce_variance(searcher, losses))
        assert found.error_percent < 25, "too few draws to tell a bias"
        assert found.cosine > 0
        if searcher.unbiased:
            assert found.deviation < 4

    def test_the_latency_adds_its_exact_gradient(self) -> None:
        """In every step, whatever was drawn, to what is followed without it."""
        if not self.make_searcher().follows_penalty:
            pytest.skip("it has a latency term of its own")
        toy = Toy(self.make_small_space())
        followed = []
        for added in (None, Additive(0.1)):
            task = self.make_task(toy, penalty=added)
            searcher = self.begun(task, rate=0.1, warmup=0.0, weight_decay=0.0, every=1)
            unsettle(searcher)
            followed.append(followed_gradients(searcher, 5))
        latencies_ms = torch.from_numpy(toy.predictor.predict(every_architecture(toy.space)))
        exact = enumerated_gradient(searcher, 0.1 * latencies_ms)
        alone, both = followed
        torch.testing.assert_close(both - alone, exact.expand_as(both), rtol=1e-3, atol=1e-6)

    # The latency gradient

    @pytest.mark.parametrize("name", sorted(PENALTIES))
    def test_the_latency_alone_moves_the_architecture(self, toy: Toy, name: str) -> None:
        """With a constant task loss and the fastest network's target, that one is learned."""
        if name != "hinge" and not self.make_searcher().follows_penalty:
            pytest.skip("it has a latency term of its own, which is tried once")
        task = self.make_task(
            toy,
            steps=_LONG,
            loss=constant,
            target_ms=toy.fastest_ms * (1 + 1e-9),
            penalty=unmet(name, toy.fastest_ms),
        )
        searcher = self.learned(task, rate=0.1, warmup=0.0, weight_decay=0.0, every=1)
        np.testing.assert_array_equal(most_likely(toy.space, searcher.chances), toy.fastest)

    def test_without_a_penalty_the_task_alone_moves_it(self, toy: Toy) -> None:
        """Where slower networks lose less, and nothing speaks for fast ones, slow ones win."""
        if not self.make_searcher().follows_penalty:
            pytest.skip("it has a latency term of its own")
        task = self.make_task(toy, steps=_LONG, penalty=None)
        searcher = self.learned(task, rate=0.1, warmup=0.0, weight_decay=0.0, every=1)
        found = most_likely(toy.space, searcher.chances)
        assert toy.predictor.predict(found)[0] > toy.quantile_ms(0.9)

    def test_weights_feel_the_task_alone(self, toy: Toy) -> None:
        """A step of the weights is the same whatever the latency costs."""
        weights = []
        for cost in (1e-3, 1e3):
            task = self.make_task(toy, penalty=Additive(cost))
            # At this rate the architecture is the same in every bit, too.
            self.begun(task, warmup=0.0, rate=1e-12).step()
            assert task.supernet is not None
            weights.append([p.detach().clone() for p in task.supernet.parameters()])
        assert all(map(torch.equal, *weights))

    def test_the_architecture_leaves_the_weights_alone(self, toy: Toy) -> None:
        """Its step moves no weight and leaves no gradient on one."""
        task = self.make_task(toy)
        searcher = self.begun(task, warmup=0.0)
        assert task.supernet is not None
        before = [p.detach().clone() for p in task.supernet.parameters()]
        searcher._learn_architecture(*searcher.state.train.draw())
        assert all(map(torch.equal, task.supernet.parameters(), before))
        assert all(p.grad is None for p in task.supernet.parameters())

    def test_a_tighter_target_gives_a_faster_network(self, searcher: Searcher, toy: Toy) -> None:
        """Where slower networks lose less, the limit decides how fast the found one is."""
        found = []
        for share in (0.9, 0.4, 0.05):
            target_ms = toy.quantile_ms(share)
            hinge = penalty("hinge", reference_ms=target_ms, weight=20.0)
            task = self.make_task(toy, steps=_LONG, target_ms=target_ms, penalty=hinge)
            eager = self.make_searcher(rate=0.1, warmup=0.0, every=1)
            found.append(eager.run(task).predicted_ms)
        assert found[0] > found[1] > found[2]

    def test_nothing_is_learned_while_warming_up(self, toy: Toy) -> None:
        """Before its first step the architecture is as it began; after it it is not."""
        searcher = self.begun(self.make_task(toy), warmup=0.5, every=1)
        first = searcher.chances
        for _ in range(_STEPS // 2):
            searcher.step()
        assert all(map(np.array_equal, searcher.chances, first))
        searcher.step()
        assert not all(map(np.array_equal, searcher.chances, first))

    def test_chances_are_distributions(self, toy: Toy) -> None:
        """One a choice, and each sums to one."""
        searcher = self.learned(self.make_task(toy))
        assert [len(given) for given in searcher.chances] == list(toy.space.sizes)
        for given in searcher.chances:
            assert given.min() >= 0
            assert given.sum() == pytest.approx(1, abs=1e-6)

    # The end

    def test_the_first_finalist_is_the_likeliest(self, toy: Toy) -> None:
        """Where the limit allows the most likely architecture, that is scored first."""
        task = self.make_task(toy, target_ms=10 * toy.quantile_ms(1.0))
        searcher = self.make_searcher(finalists=5)
        result = searcher.run(task)
        assert tuple(result.history[0]["x"]) == tuple(most_likely(toy.space, searcher.chances))
        assert 1 <= len(result.history) <= 5
        assert result.details["most_likely_ms"] == pytest.approx(result.history[0]["predicted_ms"])

    def test_more_finalists_than_evaluations_are_refused(self, toy: Toy) -> None:
        """Nothing is trained for what may not be scored."""
        with pytest.raises(UsageError, match="finalists"):
            self.make_searcher(finalists=10).run(self.make_task(toy, evaluations=9))

    # What is missing or broken

    def test_a_target_that_nothing_meets_is_refused_at_the_start(self, toy: Toy) -> None:
        """Before anything is trained, also where steps are taken by hand."""
        with pytest.raises(InfeasibleError, match="fastest"):
            self.begun(self.make_task(toy, target_ms=0.5 * toy.fastest_ms))

    def test_a_penalty_that_cannot_be_is_refused_at_the_start(self, toy: Toy) -> None:
        """One that would not push towards fast networks; any, where none is followed."""
        searcher = self.make_searcher()
        task = dataclasses.replace(self.make_task(toy), penalty=MulLog2(10 * toy.fastest_ms))
        words = "takes logarithms" if searcher.follows_penalty else "follows no penalty"
        with pytest.raises(UsageError, match=words):
            searcher.start(task)

    @pytest.mark.parametrize("name", ["supernet", "data"])
    def test_a_task_without_what_is_trained_is_refused(self, toy: Toy, name: str) -> None:
        """A one-shot search says what it needs."""
        missing: dict[str, Any] = {name: None}
        with pytest.raises(UsageError, match=name):
            self.make_searcher().run(self.make_task(toy, **missing))

    @pytest.mark.parametrize(
        ("name", "value"), [("rate", 0.0), ("every", 0), ("warmup", 1.0), ("finalists", 0)]
    )
    def test_hyperparameters_out_of_range_are_refused(
        self, toy: Toy, name: str, value: float
    ) -> None:
        """By name and value."""
        with pytest.raises(UsageError, match=name):
            self.make_searcher(**{name: value}).run(self.make_task(toy))

    def test_a_loss_that_is_no_number_stops_it(self, toy: Toy, tmp_path: Path) -> None:
        """With the step; and what was saved before is whole and goes on."""
        broken = self._failing(after=40, with_=lambda: float("nan"))
        path = tmp_path / "search"
        with pytest.raises(LatbenchError, match=r"at step \d+: .* is nan; .*checkpoint"):
            self.make_searcher().run(self.make_task(toy, loss=broken), checkpoint=path)
        assert self.make_searcher().run(self.make_task(toy), checkpoint=path).evaluations >= 1

    # Going on

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
    def test_resumed_equals_uninterrupted(self, toy: Toy, tmp_path: Path, share: float) -> None:
        """A search that was stopped in its training ends as if it had not been."""

        def stop() -> float:
            raise _Interruption

        counted = self._failing(after=10**9, with_=stop)
        whole = self.make_searcher().run(self.make_task(toy, loss=counted))
        calls = counted.calls  # type: ignore[attr-defined]
        path = tmp_path / "search"
        stopping = self._failing(after=int(share * calls), with_=stop)
        with pytest.raises(_Interruption):
            self.make_searcher().run(self.make_task(toy, loss=stopping), checkpoint=path)
        again = self._failing(after=10**9, with_=stop)
        saved = path.exists()
        resumed = self.make_searcher().run(self.make_task(toy, loss=again), checkpoint=path)
        assert course(resumed) == course(whole)
        assert again.calls < calls or not saved  # type: ignore[attr-defined]

    def test_the_generators_of_torch_are_left_alone(self, toy: Toy) -> None:
        """Every draw comes from the task's seed."""
        torch.manual_seed(9)
        before = torch.get_rng_state()
        self.make_searcher().run(self.make_task(toy))
        assert torch.equal(torch.get_rng_state(), before)

    @staticmethod
    def _failing(after: int, with_: Callable[[], float]) -> Callable[[Tensor, Tensor], Tensor]:
        """Return a cross-entropy that is multiplied by what ``with_`` gives after some calls."""

        def loss(logits: Tensor, labels: Tensor) -> Tensor:
            counted = cast(Any, loss)
            counted.calls += 1
            losses = nn.functional.cross_entropy(logits, labels, reduction="none")
            return losses * with_() if counted.calls > after else losses

        cast(Any, loss).calls = 0
        return loss
