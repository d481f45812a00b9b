"""DARTS: its gradients in both orders, and what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from latbench.errors import UsageError
from latbench.spaces.mixing import MixedNetwork, Options
from latbench.spaces.space import SearchSpace
from latbench.training.config import TrainConfig
from latbench.training.data import ImageData, Split, load_data
from latbench.training.task import SearchTask
from latbench_search.darts import DARTS

LR = 0.1


class Quadratic(MixedNetwork):
    """Its output is bent in the weights, and its options scale them."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self.space = space
        self.w = nn.Parameter(torch.tensor([0.7, -0.4, 1.1], dtype=torch.float64))

    def forward(self, images: Tensor, x: npt.ArrayLike) -> Tensor:
        raise AssertionError("no path is asked for")

    def mixed(
        self,
        images: Tensor,
        weights: Sequence[Tensor],
        running: Options | None = None,
        learning: Options | None = None,
    ) -> Tensor:
        scales = torch.stack(
            [w.double() @ (0.5 + torch.arange(len(w), dtype=torch.float64)) for w in weights]
        )
        flat = images.double().flatten(1)[:, :3]
        return (flat * self.w * scales[:3]).sum(1, keepdim=True)


def squared(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the squared error of each image."""
    return (logits[:, 0] - labels) ** 2


def data() -> ImageData:
    """Return images of noise: one batch of each split, so that every draw is the same."""
    generator = torch.Generator().manual_seed(2)
    train, validation, test = (
        Split(torch.randn(8, 1, 2, 2, generator=generator), torch.arange(8) % 2) for _ in range(3)
    )
    return ImageData("noise", 2, train, validation, test, {"name": "noise"})


def begun(space: SearchSpace, order: int) -> DARTS:
    """Return a searcher on the quadratic, whose weights feel neither momentum nor decay."""
    config = TrainConfig(steps=10, batch=8, lr=LR, momentum=1e-9, weight_decay=0.0, clip_norm=1e9)
    searcher = DARTS(order=order, warmup=0.0)
    task = SearchTask(
        space,
        None,
        target_ms=1.0,
        score=lambda X: np.zeros(len(X)),
        predict_ms=lambda X: np.ones(len(X)),
        supernet=Quadratic(space),
        data=data(),
        train=config,
        loss=squared,
    )
    searcher.start(task)
    return searcher


def followed(searcher: DARTS) -> list[Tensor]:
    """Return the gradient of the task that a step of the architecture follows."""
    seen: list[Tensor] = []

    def keep(task_loss: Tensor, gradients: Sequence[Tensor]) -> None:
        seen.extend(gradients)

    searcher.state.follow = keep  # type: ignore[method-assign]
    searcher._learn_architecture(*searcher.state.train.draw())
    return seen


def looked_ahead(searcher: DARTS, shift: Tensor) -> float:
    """Return the validation loss after one step of the weights, with alpha moved by ``shift``."""
    state = searcher.state
    with torch.no_grad():
        state.alpha.logits[0] += shift
    net, mixing = state.supernet, state.alpha.mixing()
    assert isinstance(net, Quadratic)
    loss = squared(net.mixed(state.train.split.images, mixing), state.train.split.labels).mean()
    (slope,) = torch.autograd.grad(loss, net.w)
    w = net.w.detach().clone()
    with torch.no_grad():
        net.w.sub_(LR * slope)
        seen = squared(
            net.mixed(state.validation.split.images, state.alpha.mixing()),
            state.validation.split.labels,
        ).mean()
        net.w.copy_(w)
        state.alpha.logits[0] -= shift
    return float(seen)


def test_second_order_is_the_slope_of_looking_ahead(small: SearchSpace) -> None:
    """It equals finite differences of the loss after the weights' next step."""
    searcher = begun(small, order=2)
    found = followed(searcher)[0]
    for option in range(len(found)):
        shift = torch.zeros(len(found))
        shift[option] = 1e-2
        slope = (looked_ahead(searcher, shift) - looked_ahead(searcher, -shift)) / 2e-2
        assert float(found[option]) == pytest.approx(slope, rel=0.02, abs=2e-4)


def test_first_order_is_not_that_slope(small: SearchSpace) -> None:
    """The two orders differ where the weights' step matters: the test above can fail."""
    first, second = (followed(begun(small, order=order))[0] for order in (1, 2))
    assert float((first - second).norm() / second.norm()) > 0.05


def test_looking_ahead_leaves_the_weights(small: SearchSpace) -> None:
    """After a second-order step of the architecture they are the same bit for bit."""
    searcher = begun(small, order=2)
    before = searcher.state.weights[0].detach().clone()
    searcher._learn_architecture(*searcher.state.train.draw())
    assert torch.equal(searcher.state.weights[0], before)


@pytest.mark.parametrize("order", [1, 2])
def test_a_real_supernet_is_searched(small: SearchSpace, order: int) -> None:
    """On the digits, with its batch norms' scales held and their statistics alive."""
    digits = load_data("digits", image_size=8, channels=1)
    task: dict[str, Any] = {
        "target_ms": 50.0,
        "score": lambda X: X.sum(axis=1) / 100.0,
        "predict_ms": lambda X: 1.0 + X.sum(axis=1),
        "supernet": small.supernet(seed=1),
        "data": digits,
        "train": TrainConfig(steps=4, batch=16),
    }
    result = DARTS(order=order, finalists=1).run(SearchTask(small, None, **task))
    assert result.evaluations == 1
    norms = [one for one in task["supernet"].modules() if isinstance(one, _BatchNorm)]
    assert all(bool((one.weight == 1).all()) and bool((one.bias == 0).all()) for one in norms)


def test_the_supernet_comes_back_as_it_was(small: SearchSpace) -> None:
    """What was held while searching learns again in another's hands, and has no gradient left."""
    supernet = small.supernet(seed=1)
    task = SearchTask(
        small,
        None,
        target_ms=50.0,
        score=lambda X: X.sum(axis=1) / 100.0,
        predict_ms=lambda X: 1.0 + X.sum(axis=1),
        supernet=supernet,
        data=load_data("digits", image_size=8, channels=1),
        train=TrainConfig(steps=2, batch=16),
    )
    searcher = DARTS(finalists=1)
    searcher.run(task)
    assert all(parameter.requires_grad for parameter in supernet.parameters())
    learning = {id(parameter) for parameter in searcher.state.weights}
    held = [one for one in supernet.parameters() if id(one) not in learning]
    assert held
    assert all(parameter.grad is None for parameter in held)


def test_another_order_is_refused(small: SearchSpace) -> None:
    """There are two."""
    with pytest.raises(UsageError, match="order is 3"):
        begun(small, order=3)
