"""Every penalty pushes towards faster networks, and refuses to push the other way."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.hooks import PENALTIES, ExpectedLatency, Penalty, latency_reward, penalty

OPTIONS_MS = {"a": [1.0, 2.0, 4.0], "b": [0.5, 3.0], "c": [2.0, 1.5, 1.0, 6.0]}
FIXED_MS = 1.0
FASTEST = {"a": 0, "b": 0, "c": 2}
FASTEST_MS = 3.5
SETTINGS: dict[str, dict[str, float]] = {
    "additive": {},
    "add#linear": {"reference_ms": 2.0},
    "hinge": {"reference_ms": 2.0},
    "mul#log": {"reference_ms": 2.0, "unit_ms": 0.1},
    "log^beta": {"unit_ms": 0.1},
    "mul-log2": {"unit_ms": 0.1},
}
WRITTEN: dict[str, Callable[[float, float], float]] = {
    "additive": lambda ce, e: ce + 0.1 * e,
    "add#linear": lambda ce, e: ce + 0.1 * (e - 2) / 2,
    "hinge": lambda ce, e: ce + max(0.0, e - 2) / 2,
    "mul#log": lambda ce, e: 0.2 * ce * (math.log(e / 0.1) / math.log(2 / 0.1)) ** 0.3,
    "log^beta": lambda ce, e: 0.2 * ce * math.log(e / 0.1) ** 0.6,
    "mul-log2": lambda ce, e: ce * math.log(e / 0.1) ** 2,
}


def made(name: str) -> Penalty:
    return penalty(name, **SETTINGS[name])


def test_all_are_tested() -> None:
    """A penalty that is added is added here."""
    assert set(PENALTIES) == set(SETTINGS) == set(WRITTEN)


@pytest.mark.parametrize("name", PENALTIES)
@given(task_loss=st.floats(0.01, 10), expected_ms=st.floats(0.3, 100))
def test_the_value_is_as_published(name: str, task_loss: float, expected_ms: float) -> None:
    """With the published defaults, computed once more by hand."""
    found = made(name)(
        torch.tensor(task_loss, dtype=torch.float64), torch.tensor(expected_ms, dtype=torch.float64)
    )
    assert float(found) == pytest.approx(WRITTEN[name](task_loss, expected_ms))


@pytest.mark.parametrize("name", PENALTIES)
def test_latency_alone_leads_to_the_fastest(name: str) -> None:
    """With a constant task loss and a target that nothing meets, alpha ends at the fastest."""
    expected = ExpectedLatency.from_table(OPTIONS_MS, FIXED_MS)
    alpha = {
        choice: torch.zeros(len(options), requires_grad=True)
        for choice, options in OPTIONS_MS.items()
    }
    loss, optimiser = made(name), torch.optim.Adam(alpha.values(), lr=0.1)
    loss.check(FASTEST_MS)
    for _ in range(300):
        optimiser.zero_grad()
        probabilities = {choice: one.softmax(-1) for choice, one in alpha.items()}
        torch.autograd.backward(loss(torch.tensor(1.5), expected(probabilities)))
        optimiser.step()
    assert {choice: int(one.argmax()) for choice, one in alpha.items()} == FASTEST
    assert all(float(one.detach().softmax(-1).max()) > 0.9 for one in alpha.values())


@pytest.mark.parametrize("name", PENALTIES)
def test_the_task_loss_keeps_its_gradient(name: str) -> None:
    """The direction of the task loss is never lost or turned."""
    task_loss = torch.tensor(1.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(made(name)(task_loss, torch.tensor(5.0)), task_loss)
    assert float(gradient) > 0


def test_below_its_limit_the_hinge_does_nothing() -> None:
    """There is no gradient left for the latency."""
    expected_ms = torch.tensor(1.5, requires_grad=True)
    loss = made("hinge")(torch.tensor(1.0), expected_ms)
    (gradient,) = torch.autograd.grad(loss, expected_ms)
    assert (float(loss.detach()), float(gradient)) == (1.0, 0.0)


@pytest.mark.parametrize("name", ["mul#log", "log^beta", "mul-log2"])
def test_a_unit_that_would_push_the_wrong_way_is_refused(name: str) -> None:
    """In ms, the logarithm of a latency of half a millisecond is negative; microseconds do."""
    settings = {**SETTINGS[name], "unit_ms": 1.0}
    in_ms = penalty(name, **settings)
    in_ms.check(2.8)
    with pytest.raises(UsageError, match=r"fastest network takes 2.7 ms.*unit_ms=0.1"):
        in_ms.check(2.7)
    with pytest.raises(UsageError, match=r"fastest network takes 0.5 ms.*unit_ms=0.1"):
        in_ms(torch.tensor(1.0), torch.tensor([5.0, 0.5]))
    penalty(name, **{**settings, "unit_ms": 0.1}).check(0.5)


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("add_linear", {}, "did you mean add#linear"),
        ("soft", {}, "there are additive"),
        ("add#linear", {}, "a value for reference_ms"),
        ("hinge", {"reference_ms": 1.0, "lambda": 2.0}, "takes no lambda; its settings"),
        ("hinge", {"reference_ms": 0.0}, "reference_ms is 0.0"),
        ("additive", {"weight": math.nan}, "weight is nan"),
        ("mul#log", {"reference_ms": 1.0, "unit_ms": 1.0}, "smaller unit_ms"),
    ],
)
def test_what_cannot_be_is_refused(name: str, settings: dict[str, float], told: str) -> None:
    """The message names the value, or the nearest name."""
    with pytest.raises(UsageError, match=told):
        penalty(name, **settings)


def test_the_reward_is_one_at_the_target() -> None:
    """Slower networks get less; faster ones more, unless it is capped."""
    assert latency_reward(5.0, 5.0, 0.1) == 1.0
    assert latency_reward(10.0, 5.0, 0.1) == pytest.approx(0.5**0.1)
    assert latency_reward(2.5, 5.0, 0.1) == pytest.approx(2**0.1)
    assert latency_reward(2.5, 5.0, 0.1, capped=True) == 1.0
    with pytest.raises(UsageError, match="latency_ms is 0"):
        latency_reward(0, 5.0, 0.1)
