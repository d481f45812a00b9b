"""What every searcher that trains a supernet must do beside what all searchers must."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from latbench.errors import LatbenchError, UsageError
from latbench.hooks import ExpectedLatency
from latbench.hooks.penalties import PENALTIES, Additive, penalty
from latbench.one_shot_searcher import OneShotSearcher
from latbench.searcher import Searcher
from latbench.spaces.mixing import MixedNetwork, Options
from latbench.testing.searchers import SearcherSuite, Toy, course
from latbench.training.alpha import most_likely
from latbench.training.config import TrainConfig
from latbench.training.data import ImageData, Split
from latbench.training.task import SearchTask

__all__ = ["OneShotSearcherSuite", "Toy", "ToySupernet"]

_STEPS = 60
_LONG = 400


class _Interruption(Exception):
    """Stops a search from within its loss."""


class ToySupernet(MixedNetwork):
    """A supernet whose loss falls with the latency of what runs."""

    def __init__(self, toy: Toy) -> None:
        """Take the latencies of the toy's options, relative to those of its slowest network."""
        super().__init__()
        self.space = toy.space
        fastest = toy.space.one(toy.fastest)
        self._base = toy.fastest_ms
        self._options_ms = []
        for column, options in enumerate(toy.space.sizes):
            rows = np.tile(fastest, (options, 1))
            rows[:, column] = np.arange(options)
            self._options_ms.append(torch.from_numpy(toy.predictor.predict(rows)).float())
        self._slowest = sum(float(row.max()) for row in self._options_ms)
        self.gain = nn.Parameter(torch.zeros(()))
        self.options = nn.ParameterList(torch.zeros(size) for size in toy.space.sizes)

    def forward(self, images: Tensor, x: npt.ArrayLike) -> Tensor:
        """See :class:`~latbench.spaces.mixing.MixedNetwork`."""
        row = self.space.one(x)
        gates = [
            nn.functional.one_hot(torch.tensor(int(chosen)), size).float()
            for chosen, size in zip(row, self.space.sizes, strict=True)
        ]
        chosen = [{int(one)} for one in row]
        return self.mixed(images, gates, running=chosen)

    def mixed(
        self,
        images: Tensor,
        weights: Sequence[Tensor],
        running: Options | None = None,
        learning: Options | None = None,
    ) -> Tensor:
        """See :class:`~latbench.spaces.mixing.MixedNetwork`."""
        total: Tensor | float = 0.0
        for column, (given, row, own) in enumerate(
            zip(weights, self._options_ms, self.options, strict=True)
        ):
            for option in range(len(row)):
                if running is not None and option not in running[column]:
                    continue
                learns = learning is None or option in learning[column]
                # A weight of its own, so that it shows which options took part in a step.
                output = row[option] / self._slowest + 0.01 * torch.tanh(own[option])
                total = total + given[..., option] * (output if learns else output.detach())
        signal = images[:, 0, 0, 0] * total * (4 + torch.tanh(self.gain))
        return torch.stack([-signal, signal], dim=1)


def toy_data() -> ImageData:
    """Return images that are their labels, -1 or 1."""
    labels = torch.arange(32) % 2
    images = (2.0 * labels - 1).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
    split = Split(images, labels)
    return ImageData("toy", 2, split, split, split, {"name": "toy"})


def constant(logits: Tensor, labels: Tensor) -> Tensor:
    """Return a loss of 2 for each image, whatever the logits."""
    return 0 * logits.sum(1) + 2.0


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
        return super().make_task(toy, **{**settings, **changes})

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

    # The latency gradient

    @pytest.mark.parametrize("name", sorted(PENALTIES))
    def test_the_latency_alone_moves_the_architecture(self, toy: Toy, name: str) -> None:
        """With a constant task loss and a target that nothing meets, the fastest is learned."""
        if name != "hinge" and not self.make_searcher().follows_penalty:
            pytest.skip("it has a latency term of its own, which is tried once")
        settings = {
            key: value
            for key, value in {"reference_ms": 0.5 * toy.fastest_ms, "unit_ms": 0.01}.items()
            if key in PENALTIES[name].__init__.__code__.co_varnames
        }
        task = self.make_task(
            toy,
            steps=_LONG,
            loss=constant,
            target_ms=0.5 * toy.fastest_ms,
            penalty=penalty(name, **settings),
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
