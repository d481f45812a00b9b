import numpy as np
import pytest

from latbench.timing import Round, Samples
from latbench.timing.tail import effective_runs, least_runs, tail_quantile_ms


def rounds_of(samples_ms: np.ndarray, inner: int = 1) -> list[Round]:
    """Return one round for each row of milliseconds."""
    times_ns = np.round(samples_ms * 1e6 * inner).astype(np.int64)
    return [Round("p0", number, 0.0, inner, Samples(row)) for number, row in enumerate(times_ns)]


@pytest.mark.parametrize(("quantile", "runs"), [(0.9, 44), (0.99, 459), (0.999, 4603)])
def test_the_runs_a_quantile_needs(quantile: float, runs: int) -> None:
    """The figures of the timing reference."""
    assert least_runs(quantile) == runs


def test_independent_runs_count_about_once_each() -> None:
    """Without correlation, 12 rounds of 30 runs are worth most of their 360 runs."""
    rng = np.random.default_rng(0)
    worth = [effective_runs(rounds_of(rng.normal(1.0, 0.05, (12, 30)))) for _ in range(50)]
    assert np.median(worth) > 250


def test_runs_that_agree_within_a_round_count_once_a_round() -> None:
    """Runs that only vary from round to round are worth one run a round."""
    levels = np.linspace(1.0, 2.0, 12)[:, None]
    worth = effective_runs(rounds_of(np.repeat(levels, 30, axis=1)))
    assert worth == pytest.approx(12, rel=0.1)


def test_the_quantile_is_that_of_single_runs() -> None:
    """With enough independent runs, p90 is their 90th percentile."""
    samples = np.random.default_rng(0).exponential(1.0, (20, 100)) + 1.0
    assert tail_quantile_ms(rounds_of(samples), 0.9) == pytest.approx(
        np.quantile(samples, 0.9), rel=1e-5
    )


def test_too_few_independent_runs_give_no_quantile() -> None:
    """360 runs in 12 rounds that differ are worth 12: too few for p90."""
    levels = np.linspace(1.0, 2.0, 12)[:, None]
    assert tail_quantile_ms(rounds_of(np.repeat(levels, 30, axis=1)), 0.9) is None


def test_samples_of_several_runs_give_no_quantile() -> None:
    """A mean of four runs hides their tail."""
    samples = np.random.default_rng(0).normal(1.0, 0.05, (20, 100))
    assert tail_quantile_ms(rounds_of(samples), 0.9) is not None
    assert tail_quantile_ms(rounds_of(samples, inner=4), 0.9) is None
