"""How the architecture takes its steps, and what is said where one cannot be taken."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from latbench import registry
from latbench.errors import LatbenchError
from latbench.hooks import ExpectedLatency
from latbench.hooks.penalties import Additive
from latbench.one_shot_searcher import OneShotSearcher
from latbench.testing.one_shot_searchers import Toy, ToySupernet, toy_data
from latbench.training.config import TrainConfig
from latbench.training.task import SearchTask
from latbench_search.darts import DARTS
from latbench_search.fbnet import FBNet
from latbench_search.proxylessnas import ProxylessNAS
from latbench_search.snas import SNAS
from latbench_search.unas import UNAS

ALL = [DARTS, FBNet, ProxylessNAS, SNAS, UNAS]


@pytest.fixture(scope="module")
def toy() -> Toy:
    """Latencies of a small space."""
    return Toy(registry.load(registry.SPACES, "digits-mobilenet")())


def task(toy: Toy, **changes: Any) -> SearchTask:
    """Return the toy's task."""
    settings: dict[str, Any] = {
        "supernet": ToySupernet(toy),
        "data": toy_data(),
        "train": TrainConfig(steps=20, batch=16, lr=0.05, report_every=5),
        "expected": ExpectedLatency(toy.predictor),
        "penalty": Additive(0.5),
    }
    return SearchTask(
        toy.space, toy.predictor, toy.quantile_ms(0.5), toy.score, **{**settings, **changes}
    )


def begun(toy: Toy, kind: type[OneShotSearcher], **params: Any) -> OneShotSearcher:
    """Return a searcher that has begun."""
    searcher = kind().set_params(warmup=0.0, every=1, **params)
    searcher.start(task(toy) if searcher.follows_penalty else task(toy, penalty=None))
    return searcher


@pytest.mark.parametrize("kind", ALL)
def test_the_gradient_of_the_architecture_is_clipped(toy: Toy, kind: type[OneShotSearcher]) -> None:
    """To the norm that is asked for, of all choices together; by default it is as it is."""
    for clip_norm, left in ((0.0, 100.0), (0.5, 0.5), (1e6, 100.0)):
        searcher = begun(toy, kind, clip_norm=clip_norm, momentum=0.0, weight_decay=0.0)
        state = searcher.state
        whole = [torch.ones_like(one) for one in state.alpha.parameters()]
        norm = torch.cat(whole).norm()
        state.step_alpha([100.0 * one / norm for one in whole])
        # Without momentum, Adam's first moment is the gradient of the last step.
        seen = [state._alpha_optimizer.state[one]["exp_avg"] for one in state.alpha.parameters()]
        assert float(torch.cat(seen).norm()) == pytest.approx(left, rel=1e-4)


@pytest.mark.parametrize("kind", ALL)
def test_the_rate_falls_and_the_momentum_is_as_asked(toy: Toy, kind: type[OneShotSearcher]) -> None:
    """By their hyperparameters."""
    searcher = begun(toy, kind, rate=0.1, rate_left=0.5, momentum=0.25)
    (group,) = searcher.state._alpha_optimizer.param_groups
    rates = []
    while not searcher.done:
        searcher.step()
        rates.append(group["lr"])
    assert rates[0] == pytest.approx(0.1)
    assert 0.05 < rates[-1] < 0.051
    assert rates == sorted(rates, reverse=True)
    assert group["betas"][0] == 0.25


def test_unas_rate_falls_as_its_paper_has_it() -> None:
    """From 1e-3 to 3e-4."""
    assert UNAS().rate_left == 0.3


def test_what_breaks_names_the_last_good_state(toy: Toy, tmp_path: Path) -> None:
    """The file, and its step; or that there is none."""
    path = tmp_path / "state of the search"

    def broken(after: int) -> Any:
        calls = 0

        def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            nonlocal calls
            calls += 1
            return logits.sum(1) * (float("nan") if calls > after else 1e-3)

        return loss

    # The pace of saving may leave the second report out.
    named = rf"the last good state, of step (5|10), is in the checkpoint {re.escape(str(path))}\."
    for after in (12, 0):  # the second goes on from what the first left, and breaks at once
        with pytest.raises(LatbenchError, match=named):
            SNAS().run(task(toy, loss=broken(after)), checkpoint=path)
    with pytest.raises(LatbenchError, match="no state was saved before"):
        SNAS().run(task(toy, loss=broken(12)))
