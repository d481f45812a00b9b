"""The lookup table: sums by hand, holes, calibration, expectation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import latbench
from latbench.errors import MissingMeasurementsError, UnavailableError, UsageError
from latbench.spaces.space import SearchSpace
from latbench_predictors.lut import LUT

STEM = "conv-k3-s1-c1-16-relu6@1x32x32"
HEAD = "conv-k1-s1-c16-128-relu6+classifier-c128-10@16x32x32"
E3K3 = "mb-e3-k3-s1-c16-16-relu6@16x32x32"
E3K5 = "mb-e3-k5-s1-c16-16-relu6@16x32x32"
E6K3 = "mb-e6-k3-s1-c16-16-relu6@16x32x32"
E6K5 = "mb-e6-k5-s1-c16-16-relu6@16x32x32"
BLOCKS = {STEM: 1.0, HEAD: 2.0, E3K3: 10.0, E3K5: 20.0, E6K3: 40.0, E6K5: 80.0}


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """Two places of five options each, the last of them ``skip``; six blocks."""
    return latbench.space("digits-mobilenet", settings=[[16, 2, 1]])


@pytest.fixture(scope="module")
def cells() -> SearchSpace:
    return latbench.space("nasbench201", cells=1)


def everything(space: SearchSpace) -> np.ndarray:
    return np.indices(space.sizes).reshape(len(space.sizes), -1).T


@pytest.mark.parametrize(
    ("text", "total_ms"),
    [
        ("skip,skip", 1 + 2),
        ("mb3k3,skip", 1 + 10 + 2),
        ("skip,mb3k3", 1 + 10 + 2),
        ("mb3k5,mb3k5", 1 + 20 + 20 + 2),
        ("mb6k3,mb6k5", 1 + 40 + 80 + 2),
    ],
)
def test_sums_of_a_chain_by_hand(space: SearchSpace, text: str, total_ms: float) -> None:
    """Stem, head and each live block count as often as they run; no fit is needed."""
    assert LUT(space, BLOCKS).accumulated(space.encode(text)) == pytest.approx([total_ms])


def test_sums_of_a_cell_are_of_what_pruning_leaves(cells: SearchSpace) -> None:
    """A convolution that nothing feeds costs nothing; each of three cells runs the others."""
    block_ms = {block.key: 1.0 for block in cells.blocks}
    block_ms["relu-conv-k3-s1-c16-16@16x32x32"] = 100.0
    live = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|"
    dead = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    fixed = 4  # stem, two reductions, head
    lut = LUT(cells, block_ms)
    for text in (live, dead):
        total = fixed + (100 + 1) + 2 * (1 + 1)
        assert lut.accumulated(cells.encode(text)) == pytest.approx([total])


@pytest.mark.parametrize("name", ["mobilenet", "fbnet", "nasbench201"])
def test_sums_equal_path_times_latencies(name: str) -> None:
    """The lookup gives what the path's counts times the latencies give."""
    space = latbench.space(name)
    rng = np.random.default_rng(0)
    block_ms = {block.key: rng.uniform(0.1, 2) for block in space.blocks}
    X = space.sample(rng, 9000 if space.additive else 50)
    summed = space.path(X) @ np.array([block_ms[block.key] for block in space.blocks])
    np.testing.assert_allclose(LUT(space, block_ms).accumulated(X), summed, rtol=1e-12)


def test_a_hole_is_refused_and_never_zero(space: SearchSpace) -> None:
    """What needs a block without measurement is refused; what does not is answered."""
    lut = LUT(space, {key: ms for key, ms in BLOCKS.items() if key != E6K5})
    assert lut.missing() == [E6K5]
    assert lut.accumulated(space.encode("mb3k3,skip")) == pytest.approx([13.0])
    with pytest.raises(MissingMeasurementsError) as refused:
        lut.accumulated([space.encode("skip,skip"), space.encode("skip,mb6k5")])
    message = str(refused.value)
    assert (
        f"no latency of 1 of the 6 blocks of digits-mobilenet that are needed ({E6K5})" in message
    )
    assert "latbench profile --space digits-mobilenet" in message
    assert "--space-option 'settings=[[16,2,1]]' --blocks" in message
    assert "image_size" not in message


def test_many_holes_are_counted_and_the_first_named(cells: SearchSpace) -> None:
    """A long list of holes is cut short and counted."""
    lut = LUT(cells, {})
    x = cells.encode("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|")
    with pytest.raises(MissingMeasurementsError, match=r"of 10 of the 19 blocks .*, \.\.\.\)"):
        lut.accumulated(x)


def test_coverage_counts_blocks_as_often_as_they_run(space: SearchSpace) -> None:
    """Where a block is missing, coverage is the share of runs that were measured."""
    known = {key: ms for key, ms in BLOCKS.items() if key != E6K5}
    X = everything(space)
    X = X[(X != 3).all(axis=1)]
    lut = LUT(space, known).fit(X, LUT(space, known).accumulated(X))
    rows = [space.encode(text) for text in ("mb3k3,skip", "mb6k5,skip", "mb6k5,mb6k5")]
    assert lut.coverage_of(rows) == pytest.approx([1, 2 / 3, 2 / 4])
    with pytest.raises(MissingMeasurementsError, match=f"to 33.3 % .unknown: {E6K5}."):
        lut.predict(rows, strict=True)
    with pytest.raises(MissingMeasurementsError):
        lut.predict(rows)


def test_without_any_block_there_is_no_lut(space: SearchSpace) -> None:
    """A store without block latencies ends in the command that measures them."""
    with pytest.raises(MissingMeasurementsError, match=r"latbench profile .* --blocks"):
        LUT.for_table(space, None)
    with pytest.raises(MissingMeasurementsError, match=r"latbench profile .* --blocks"):
        LUT.for_table(space, {})


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({**BLOCKS, "mb-e3-k3": 1.0}, "has no block 'mb-e3-k3'"),
        ({**BLOCKS, STEM: 0.0}, r"has 0\.0 ms"),
        ({**BLOCKS, STEM: float("nan")}, "has nan ms"),
    ],
)
def test_bad_tables_are_refused(space: SearchSpace, blocks: dict[str, float], message: str) -> None:
    """A table of another space, or with a latency of zero, is refused."""
    with pytest.raises(UsageError, match=message):
        LUT(space, blocks).accumulated(space.encode("skip,skip"))


@settings(max_examples=30, deadline=None)
@given(intercept_ms=st.floats(-2, 20), slope=st.floats(0.3, 3), seed=st.integers(0, 100))
def test_calibration_recovers_a_line(
    space: SearchSpace, intercept_ms: float, slope: float, seed: int
) -> None:
    """Latencies that are a line in the sums are predicted to rounding."""
    rng = np.random.default_rng(seed)
    X = space.sample(rng, 40)
    total = LUT(space, {**BLOCKS, STEM: 10.0}).accumulated(X)
    lut = LUT(space, {**BLOCKS, STEM: 10.0}).fit(X, intercept_ms + slope * total)
    assert lut.line_ == pytest.approx((intercept_ms, slope), abs=1e-6, rel=1e-6)


def test_calibration_withstands_wrong_measurements(space: SearchSpace) -> None:
    """A tenth of the networks timed three times too slow moves predictions by little."""
    X = space.sample(np.random.default_rng(1), 200)
    lut = LUT(space, BLOCKS)
    true_ms = 2 + 0.8 * lut.accumulated(X)
    disturbed = true_ms.copy()
    disturbed[::10] *= 3
    off = np.abs(lut.fit(X, disturbed).predict(X) - true_ms) / true_ms
    assert off.max() < 0.05


def test_without_calibration_the_sum_is_predicted(space: SearchSpace) -> None:
    """``calibration="none"`` leaves the sum as it is, whatever was measured."""
    X = everything(space)
    lut = LUT(space, BLOCKS, calibration="none")
    total = lut.accumulated(X)
    np.testing.assert_array_equal(lut.fit(X, 1.3 * total).predict(X), total)
    # Each network was measured 30 % above its sum, and the interval says so.
    _, high = lut.predict_interval(X, 0.9)
    np.testing.assert_allclose(high, 1.3 * total)


def test_an_unknown_calibration_is_refused(space: SearchSpace) -> None:
    """A misspelt calibration is refused at fit, with those there are."""
    X = everything(space)
    lut = LUT.for_table(space, BLOCKS, calibration="afine")
    with pytest.raises(UsageError, match="'afine'; give one of neighbours, affine, none"):
        lut.fit(X, lut.accumulated(X))


def test_predictions_stop_at_a_tenth_of_the_fastest(space: SearchSpace) -> None:
    """Where the line falls below the floor, the floor is predicted and no sum is claimed."""
    X = everything(space)
    lut = LUT(space, BLOCKS)
    total = lut.accumulated(X)
    slow = total >= 60
    lut.fit(X[slow], total[slow] - 50)
    assert lut.line_ == pytest.approx((-50, 1))
    assert lut.predict(space.encode("skip,skip")) == pytest.approx([1.3])  # 63 - 50, a tenth
    with pytest.raises(UnavailableError, match="its floor"):
        lut.expected_ms({})


def test_a_cell_has_no_sum(cells: SearchSpace) -> None:
    """Where pruning couples the choices, no exact sum is offered."""
    lut = LUT(cells, {block.key: 1.0 for block in cells.blocks})
    X = cells.sample(np.random.default_rng(0), 30)
    lut.fit(X, lut.accumulated(X))
    with pytest.raises(UnavailableError, match="no sum over choices"):
        lut.expected_ms({})


def test_a_hole_is_the_reason_why_there_is_no_sum(space: SearchSpace) -> None:
    """Asking whether there is an exact mean names the block that is not there."""
    known = {key: ms for key, ms in BLOCKS.items() if key != E6K5}
    X = everything(space)
    X = X[(X != 3).all(axis=1)]
    lut = LUT(space, known).fit(X, LUT(space, known).accumulated(X))
    reason = lut.expected_ms_refusal()
    assert reason is not None
    assert f"that are needed ({E6K5})" in reason
    with pytest.raises(UnavailableError, match="latbench profile --space digits-mobilenet"):
        lut.expected_ms({})
