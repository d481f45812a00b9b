"""The expected latency equals exact enumeration, and its gradient is real."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import latbench
from latbench.errors import UnavailableError, UsageError
from latbench.hooks import ExpectedLatency
from latbench.predictor import Predictor
from latbench.spaces.space import SearchSpace

Probabilities = dict[str, torch.Tensor]


def drawn(sizes: dict[str, int], seed: int, leading: tuple[int, ...] = ()) -> Probabilities:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (3 * torch.randn(*leading, size, generator=generator, dtype=torch.float64))
        .softmax(-1)
        .requires_grad_()
        for name, size in sizes.items()
    }


def sizes_of(space: SearchSpace) -> dict[str, int]:
    return {choice.name: len(choice.options) for choice in space.choices}


def enumerated(predictor: Predictor, probabilities: Probabilities) -> torch.Tensor:
    """Sum chance times prediction over every architecture."""
    counts = [given.shape[-1] for given in probabilities.values()]
    X = np.array(list(itertools.product(*map(range, counts))))
    chance = torch.ones(len(X), dtype=torch.float64)
    for column, row in enumerate(probabilities.values()):
        chance = chance * row[X[:, column]]
    return chance @ torch.as_tensor(predictor.predict(X))


def gradients(value: torch.Tensor, probabilities: Probabilities) -> list[torch.Tensor]:
    return list(torch.autograd.grad(value, list(probabilities.values())))


def test_a_sum_equals_enumeration(lut: Predictor, space: SearchSpace) -> None:
    """Value and gradient along the simplex are those of the sum over all 500 architectures."""
    expected = ExpectedLatency(lut)
    assert expected.method == "sum"
    for seed in range(5):
        probabilities = drawn(sizes_of(space), seed)
        ours, exact = expected(probabilities), enumerated(lut, probabilities)
        assert ours.item() == pytest.approx(exact.item(), rel=1e-9)
        for mine, true in zip(
            gradients(ours, probabilities), gradients(exact, probabilities), strict=True
        ):
            # Off the simplex the two differ by a constant, which no softmax can see.
            torch.testing.assert_close(mine - mine[0], true - true[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("name", "kind"), [("nasbench201", "lut"), ("nasbench201", "flops")])
def test_a_cell_is_enumerated(name: str, kind: str) -> None:
    """Where pruning couples the choices, all architectures are averaged, with the gradient."""
    space = latbench.space(name, cells=1)
    rng = np.random.default_rng(0)
    block_ms = {block.key: float(rng.uniform(0.1, 2)) for block in space.blocks}
    X = space.sample(rng, 80)
    y = space.path(X) @ np.array(list(block_ms.values()))
    predictor = latbench.predictor(kind).for_table(space, block_ms).fit(X, y)
    expected = ExpectedLatency(predictor)
    assert expected.method == "enumeration"
    probabilities = drawn(sizes_of(space), 1)
    ours, exact = expected(probabilities), enumerated(predictor, probabilities)
    assert ours.item() == pytest.approx(exact.item(), rel=1e-9)
    for mine, true in zip(
        gradients(ours, probabilities), gradients(exact, probabilities), strict=True
    ):
        torch.testing.assert_close(mine, true)
    batch = drawn(sizes_of(space), 2, (2, 3))
    rows = expected(batch)
    assert rows.shape == (2, 3)
    one = {choice: given[1, 2] for choice, given in batch.items()}
    assert rows[1, 2].item() == pytest.approx(enumerated(predictor, one).item(), rel=1e-9)


def test_a_large_space_without_a_sum_is_refused() -> None:
    """What can be neither summed nor enumerated is said to be so."""
    space = latbench.space("digits-mobilenet")
    X = space.sample(np.random.default_rng(0), 30)
    flops = latbench.predictor("flops").for_table(space, None).fit(X, 1e-6 * space.macs(X))
    with pytest.raises(UnavailableError, match="too many to enumerate"):
        ExpectedLatency(flops)


@settings(max_examples=50)
@given(
    table=st.lists(st.lists(st.floats(0, 100), min_size=1, max_size=4), min_size=1, max_size=4),
    fixed_ms=st.floats(0, 10),
    seed=st.integers(0, 50),
)
def test_a_table_needs_no_space(table: list[list[float]], fixed_ms: float, seed: int) -> None:
    """A table's mean is that over every combination of its options."""
    options_ms = {f"layer{number}": row for number, row in enumerate(table)}
    expected = ExpectedLatency.from_table(options_ms, fixed_ms=fixed_ms)
    probabilities = drawn({name: len(row) for name, row in options_ms.items()}, seed)
    mean = 0.0
    for options in itertools.product(*(range(len(row)) for row in table)):
        chances = [
            given[o].item() for given, o in zip(probabilities.values(), options, strict=True)
        ]
        latency = fixed_ms + sum(row[o] for row, o in zip(table, options, strict=True))
        mean += float(np.prod(chances)) * latency
    assert expected(probabilities).item() == pytest.approx(mean, rel=1e-9, abs=1e-9)


def test_alpha_moves_towards_faster_options() -> None:
    """Under the latency alone, gradient descent on alpha ends at the fastest options."""
    expected = ExpectedLatency.from_table({"a": [3.0, 1.0, 2.0], "b": [5.0, 9.0]}, fixed_ms=1.0)
    alpha = {"a": torch.zeros(3, requires_grad=True), "b": torch.zeros(2, requires_grad=True)}
    optimiser = torch.optim.SGD(alpha.values(), lr=1.0)
    for _ in range(200):
        optimiser.zero_grad()
        mean = expected({name: row.softmax(-1) for name, row in alpha.items()})
        torch.autograd.backward(mean)
        optimiser.step()
    assert [int(row.argmax()) for row in alpha.values()] == [1, 0]
    end = expected({name: row.softmax(-1) for name, row in alpha.items()})
    assert end.item() == pytest.approx(7.0, abs=0.1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_softmaxes_are_accepted(dtype: torch.dtype) -> None:
    """A softmax counts as a distribution in the precision it was computed in."""
    expected = ExpectedLatency.from_table({"a": list(range(9))})
    for seed in range(20):
        alpha = torch.randn(16, 9, generator=torch.Generator().manual_seed(seed))
        mean = expected({"a": alpha.to(dtype).softmax(-1)})
        assert mean.dtype == dtype
        assert mean.shape == (16,)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({}, "no probabilities for the choice 'a'"),
        ({"a": torch.tensor([0.5, 0.5])}, "no probabilities for the choice 'b'"),
        ({"a": torch.tensor([0.5, 0.5]), "bb": torch.ones(1)}, "no probabilities .* 'b'"),
        ({"a": torch.tensor([1.0]), "b": torch.ones(1)}, r"of a have the shape \(1,\)"),
        ({"a": torch.eye(2), "b": torch.ones(1)}, r"of b have the shape \(1,\)"),
        ({"a": torch.tensor([0.5, 0.6]), "b": torch.ones(1)}, r"sums to 1\.1"),
        ({"a": torch.tensor([-0.5, 1.5]), "b": torch.ones(1)}, r"least entry -0\.5"),
        ({"a": torch.tensor([0.5, float("nan")]), "b": torch.ones(1)}, "sums to nan"),
        ({"a": torch.tensor([0, 1]), "b": torch.ones(1)}, "give floats"),
    ],
)
def test_what_is_no_distribution_is_refused(given_: Probabilities, message: str) -> None:
    """Each way of giving something else is named."""
    expected = ExpectedLatency.from_table({"a": [1.0, 2.0], "b": [3.0]})
    with pytest.raises(UsageError, match=message):
        expected(given_)


@pytest.mark.parametrize(
    ("table", "fixed_ms"),
    [
        ({}, 0.0),
        ({"a": []}, 0.0),
        ({"a": [[1.0]]}, 0.0),
        ({"a": ["1ms"]}, 0.0),
        ({"a": [-1.0]}, 0.0),
        ({"a": [float("nan")]}, 0.0),
        ({"a": [1.0]}, float("inf")),
    ],
)
def test_bad_tables_are_refused(table: dict[str, list[float]], fixed_ms: float) -> None:
    """A table holds finite ms of at least zero."""
    with pytest.raises(UsageError):
        ExpectedLatency.from_table(table, fixed_ms)
