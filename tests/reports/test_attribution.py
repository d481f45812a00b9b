"""The gap by stage: what the fit finds, what it adds up to, and when it is silent."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latbench.reports.attribution import FEWEST_PER_STAGE, Attribution, attribute

FloatArray = npt.NDArray[np.float64]


def stage_sums(seed: int, n: int, stages: int) -> dict[str, FloatArray]:
    rng = np.random.default_rng(seed)
    return {f"stage{number}": rng.uniform(0.5, 1.5, n) for number in range(stages)}


def fitted(residual: FloatArray, stages: dict[str, FloatArray], seed: int = 0) -> Attribution:
    found = attribute(list(residual), {name: list(t) for name, t in stages.items()}, seed)
    assert isinstance(found, Attribution)
    return found


def test_a_planted_stage_is_found() -> None:
    """Where one stage is a quarter slower in the network, that stage gets that quarter."""
    stages = stage_sums(0, 60, 4)
    noise = np.random.default_rng(1).normal(0, 0.005, 60)
    found = fitted(0.1 + 0.25 * stages["stage2"] + noise, stages)
    planted = 0.25 * stages["stage2"].mean()
    assert found.part_ms[2] == pytest.approx(planted, rel=0.05)
    assert found.low_ms[2] < planted < found.high_ms[2]
    assert np.abs(found.part_ms[[0, 1, 3]]).max() < 0.05 * planted
    assert found.constant_ms == pytest.approx(0.1, rel=0.1)
    assert found.explained > 95


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(12, 40), st.integers(1, 4))
def test_parts_add_up(seed: int, n: int, stages: int) -> None:
    """The stages' parts and the constant are the mean residual, whatever the data."""
    residual = np.random.default_rng(seed + 1).normal(0.3, 0.2, n)
    found = fitted(residual, stage_sums(seed, n, stages))
    total = found.part_ms.sum() + found.constant_ms
    assert total == pytest.approx(found.residual_ms)
    assert found.residual_ms == pytest.approx(residual.mean())
    assert (found.low_ms <= found.high_ms).all()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_order_of_networks_does_not_matter(seed: int) -> None:
    """Networks in another order give the same parts."""
    rng = np.random.default_rng(seed)
    stages = stage_sums(seed, 20, 3)
    residual = rng.normal(0.3, 0.1, 20) + 0.2 * stages["stage1"]
    order = rng.permutation(20)
    one = fitted(residual, stages)
    two = fitted(residual[order], {name: t[order] for name, t in stages.items()})
    assert two.part_ms == pytest.approx(one.part_ms)
    assert two.explained == pytest.approx(one.explained)


def test_noise_is_not_explained() -> None:
    """A residual that no stage has a part in is hardly predicted for a network left out."""
    residual = np.random.default_rng(5).normal(0.3, 0.1, 40)
    found = fitted(residual, stage_sums(6, 40, 4))
    assert found.explained < 10
    assert found.constant_ms == pytest.approx(0.3, abs=0.1)


def test_stages_that_are_always_the_same_go_to_the_constant() -> None:
    """A stem that costs the same everywhere cannot be told from what a run costs."""
    stages = {"stem": np.full(20, 0.4), **stage_sums(0, 20, 2)}
    found = fitted(np.full(20, 0.2) + 0.1 * stages["stage0"], stages)
    assert found.stages == ("stage0", "stage1")
    assert found.same == ("stem",)


def test_units_do_not_matter() -> None:
    """The same latencies in microseconds give the same parts in microseconds."""
    stages = stage_sums(0, 20, 2)
    residual = 0.1 + 0.2 * stages["stage1"]
    small = fitted(residual, stages)
    large = fitted(1000 * residual, {name: 1000 * t for name, t in stages.items()})
    assert large.part_ms == pytest.approx(1000 * small.part_ms)


def test_few_networks_are_not_divided() -> None:
    """With fewer than three networks a stage it says how many are needed, and fits nothing."""
    stages = {name: list(t) for name, t in stage_sums(0, 11, 4).items()}
    said = attribute([0.1] * 11, stages)
    assert isinstance(said, str)
    assert f"at least {4 * FEWEST_PER_STAGE} networks" in said
    assert "11" in said


@pytest.mark.parametrize("stages", [{}, {"stem": [0.4] * 20}, {"a": []}])
def test_without_stages_it_says_so(stages: dict[str, list[float]]) -> None:
    """No stages, or only such as never differ: there is nothing to divide among."""
    said = attribute([0.1] * 20, stages)
    assert isinstance(said, str)
    assert "No stage" in said


def test_leave_one_out_is_what_it_says() -> None:
    """The share explained equals that of really leaving out each network in turn."""
    from latbench.reports import attribution

    stages = stage_sums(3, 15, 2)
    rng = np.random.default_rng(4)
    y = 0.1 + 0.1 * stages["stage0"] + rng.normal(0, 0.02, 15)
    X = np.stack(list(stages.values()), axis=1)
    penalty, error = attribution._least_error(X, y)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    left_out = []
    for row in range(15):
        rest = np.arange(15) != row
        A = np.column_stack([np.ones(14), Z[rest]])
        w = np.linalg.solve(A.T @ A + np.diag([0, penalty, penalty]), A.T @ y[rest])
        left_out.append((y[row] - np.array([1, *Z[row]]) @ w) ** 2)
    assert error == pytest.approx(np.mean(left_out))
