"""ProxylessNAS: gates, pairs, rewards, and what a step leaves as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import latbench
from latbench.errors import UsageError
from latbench.hooks import ExpectedLatency
from latbench.hooks.penalties import Additive
from latbench.spaces.space import SearchSpace
from latbench.testing.one_shot_searchers import ToySupernet, constant, toy_data
from latbench.testing.searcher_fixtures import Toy
from latbench.training.alpha import draw
from latbench.training.config import TrainConfig
from latbench.training.data import load_data
from latbench.training.task import SearchTask
from latbench_search.proxylessnas import ProxylessNAS


def begun(searcher: ProxylessNAS, space: SearchSpace, **changes: Any) -> ProxylessNAS:
    """Return a searcher that has begun a task on the digits, with made-up latencies."""
    options_ms = {
        choice.name: [1.0 + option for option in range(len(choice.options))]
        for choice in space.choices
    }
    settings: dict[str, Any] = {
        "target_ms": 1.0,
        "score": lambda X: np.zeros(len(X)),
        "predict_ms": lambda X: 1.0 + X.sum(axis=1),
        "supernet": space.supernet(seed=1),
        "data": load_data("digits", image_size=8, channels=space.input_shape[0]),
        "train": TrainConfig(steps=10, batch=32),
        "expected": ExpectedLatency.from_table(options_ms),
        "penalty": Additive(0.5) if searcher.follows_penalty else None,
    }
    searcher.start(SearchTask(space, None, **{**settings, **changes}))
    return searcher


def followed(searcher: ProxylessNAS, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Return what one step of the architecture would follow of the task's loss."""
    seen: list[Tensor] = []

    def keep(task_loss: Tensor, gradients: Sequence[Tensor]) -> None:
        seen.extend(gradients)

    monkeypatch.setattr(searcher.state, "follow", keep)
    searcher._learn_architecture(*searcher.state.train.draw())
    return seen


def test_the_gradient_of_gates_is_that_of_chances(
    small: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It equals a straight-through gate, with every candidate in the graph."""
    task: dict[str, Any] = {"supernet": small.supernet(seed=1).eval()}
    searcher = begun(ProxylessNAS(), small, **task)
    searcher.state.supernet.eval()
    found = followed(searcher, monkeypatch)
    other = begun(ProxylessNAS(), small, **task)
    state = other.state
    state.supernet.eval()
    state.train.draw()
    images, labels = state.validation.draw()
    chances = state.alpha.probabilities()
    gates = []
    (x,) = other_draw(other)
    for given, chosen in zip(chances, x, strict=True):
        one = F.one_hot(torch.tensor(int(chosen)), len(given)).float()
        gates.append(one + given - given.detach())
    # Candidates with a weight of zero pass nothing on, as those that run without gradients.
    loss = F.cross_entropy(state.supernet.mixed(images, gates), labels)
    wanted = torch.autograd.grad(loss, list(state.alpha.parameters()))
    for one, two in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-6)


def other_draw(searcher: ProxylessNAS) -> Any:
    """Return the architecture that the next draw gives."""
    return draw(searcher.task.space, searcher.chances, searcher.state.rng, 1)


def test_the_latency_gradient_survives_zero() -> None:
    """Where ``none`` is drawn everywhere, alpha moves by p_i (t_i - E), and nothing else."""
    space = latbench.space("nasbench201", image_size=8, width=4, cells=1)
    searcher = begun(ProxylessNAS(), space, loss=constant)
    with torch.no_grad():
        for logits in searcher.state.alpha.logits:
            logits.zero_()
            logits[0] = 6.0  # next to certain, and the others still have a chance
    before = [given.copy() for given in searcher.chances]
    steps: list[Tensor] = []

    def keep(gradients: Sequence[Tensor]) -> None:
        steps.extend(gradients)

    searcher.state.step_alpha = keep  # type: ignore[method-assign]
    searcher._learn_architecture(*searcher.state.train.draw())
    options_ms = 1.0 + np.arange(5)
    for step, given in zip(steps, before, strict=True):
        wanted = 0.5 * given * (options_ms - given @ options_ms)
        np.testing.assert_allclose(step.numpy(), wanted, rtol=1e-3, atol=1e-7)
        assert abs(step.numpy()).max() > 1e-4


def test_a_step_leaves_what_was_not_drawn(small: SearchSpace) -> None:
    """Weights and batch-norm statistics off the path are the same bit for bit."""
    searcher = begun(ProxylessNAS(warmup=0.99), small)
    state = searcher.state
    for _ in range(3):  # so that there is momentum that could move them
        searcher.step()
    before = {name: value.clone() for name, value in state.supernet.state_dict().items()}
    saved = state.rng.bit_generator.state
    state.train.draw()
    (x,) = other_draw(searcher)
    path = set(small.supernet(seed=1).state_of(x))
    state.rng.bit_generator.state = saved
    state.train.position -= state.train.batch
    searcher.step()
    names: dict[int, list[str]] = {}
    for name, parameter in state.supernet.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    changed = {
        name
        for name, value in state.supernet.state_dict().items()
        if not torch.equal(value, before[name])
    }
    # A weight that candidates share has a name for each of them, and changes under all.
    shared = {name for same in names.values() if set(same) & path for name in same}
    assert changed <= path | shared
    assert changed
    assert any(not set(same) & path for same in names.values())


def test_two_paths_leave_all_other_chances(small: SearchSpace) -> None:
    """Of each choice, two options change and the rest stay, and the sum with them."""
    searcher = begun(ProxylessNAS(mode="two", rate=0.3), small)
    before = searcher.chances
    searcher._learn_architecture(*searcher.state.train.draw())
    for was, now in zip(before, searcher.chances, strict=True):
        changed = np.flatnonzero(abs(now - was) > 1e-6)
        assert len(changed) == 2
        assert now.sum() == pytest.approx(1, abs=1e-6)
        assert now[changed].sum() == pytest.approx(was[changed].sum(), abs=1e-6)


def test_two_paths_follow_the_latency_between_them() -> None:
    """Of a pair: the exact slope of the mean latency in the shares; of the others nothing."""
    space = latbench.space("digits-mobilenet", settings=[[8, 2, 1]], image_size=8)
    searcher = begun(ProxylessNAS(mode="two"), space, loss=constant, penalty=Additive(1.0))
    with torch.no_grad():
        for logits in searcher.state.alpha.logits:
            logits.copy_(torch.linspace(-0.5, 0.5, len(logits)))
    steps: list[Tensor] = []
    searcher.state.step_alpha = steps.extend  # type: ignore[assignment,method-assign]
    searcher._learn_architecture(*searcher.state.train.draw())
    for step, chances in zip(steps, searcher.chances, strict=True):
        pair = np.flatnonzero(step.numpy())
        assert len(pair) == 2
        options_ms, both = 1.0 + pair, chances[pair].sum()
        shares = chances[pair] / both
        wanted = both * shares * (options_ms - shares @ options_ms)
        np.testing.assert_allclose(step.numpy()[pair], wanted, rtol=1e-4)


def test_rewards_tell_the_latency_too(small: SearchSpace) -> None:
    """The mean of what was drawn, as a penalty's expected latency is told."""
    searcher = begun(ProxylessNAS(mode="reinforce", networks=40), small)
    searcher._learn_architecture(*searcher.state.train.draw())
    told = searcher.state._notes.means()
    exact_ms = 1.0 + sum(np.arange(size).mean() for size in small.sizes)
    assert told["expected_ms"] == pytest.approx(exact_ms, rel=0.3)
    assert told["reward"] >= 0


@pytest.mark.parametrize("mode", ["two", "reinforce"])
def test_the_latency_alone_moves_it_in_every_mode(mode: str) -> None:
    """With a constant task loss, what is learned is faster than nine in ten networks."""
    toy = Toy(latbench.space("digits-mobilenet"))
    task = SearchTask(
        toy.space,
        toy.predictor,
        target_ms=toy.fastest_ms * (1 + 1e-9),
        score=toy.score,
        supernet=ToySupernet(toy),
        data=toy_data(),
        train=TrainConfig(steps=600, batch=16, report_every=100),
        expected=ExpectedLatency(toy.predictor),
        penalty=Additive(1.0) if mode == "two" else None,
        loss=constant,
    )
    searcher = ProxylessNAS(mode=mode, rate=0.05, every=1, warmup=0.0, latency_exponent=1.0)
    searcher.start(task)
    while not searcher.done:
        searcher.step()
    drawn = draw(toy.space, searcher.chances, np.random.default_rng(0), 2000)
    assert toy.predictor.predict(drawn).mean() < toy.quantile_ms(0.05)


def test_an_unknown_mode_is_refused(small: SearchSpace) -> None:
    """By name, with those that there are."""
    with pytest.raises(UsageError, match="full, two, reinforce"):
        begun(ProxylessNAS(mode="three"), small)
