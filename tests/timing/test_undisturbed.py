import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.timing.undisturbed import Digest, Pool, undisturbed_ms, undisturbed_share

ROUNDS = st.lists(
    st.builds(
        lambda values, quiet: Digest.of(np.array(values), min(quiet, len(values))),
        st.lists(st.floats(0.1, 100), min_size=1, max_size=80),
        st.integers(0, 80),
    ),
    min_size=1,
    max_size=8,
)


def on_a_shared_host(
    rng: np.random.Generator, disturbed: float, rounds: int = 24, samples: int = 12
) -> list[Digest]:
    """Return rounds of 1 ms with 0.3 % of noise, of which a share takes 10 to 80 % longer.

    As where the probe looks, half of the disturbed runs are taken for quiet if few are disturbed.
    """
    found = []
    for _ in range(rounds):
        slowed = rng.random(samples) < disturbed
        times = np.exp(rng.normal(0, 0.003, samples)) * np.where(
            slowed, rng.uniform(1.1, 1.8, samples), 1.0
        )
        quiet = rng.binomial(samples, np.sqrt(1 - disturbed))
        found.append(Digest.of(times, quiet))
    return found


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=32))
def test_on_a_quiet_core_it_is_the_median(values: list[float]) -> None:
    """All runs are undisturbed, so all of them count."""
    found = undisturbed_ms([Digest.of(np.array(values), len(values))])
    assert found == pytest.approx(float(np.median(values)))


@given(ROUNDS)
def test_it_lies_among_the_faster_half(rounds: list[Digest]) -> None:
    """Whatever the probe says: not below the fastest run, not above the median of the rounds."""
    everything = [Digest(one.values_ms, one.samples, one.samples) for one in rounds]
    fastest = min(one.values_ms[0] for one in rounds)
    assert fastest <= undisturbed_ms(rounds) <= undisturbed_ms(everything) * (1 + 1e-12)


@given(ROUNDS, st.integers(-3, 3))
def test_it_has_the_unit_of_the_times(rounds: list[Digest], power: int) -> None:
    """Times in another unit give the same latency in that unit."""
    scale = 2.0**power
    scaled = [
        Digest(tuple(scale * value for value in one.values_ms), one.samples, one.quiet)
        for one in rounds
    ]
    assert undisturbed_ms(scaled) == pytest.approx(scale * undisturbed_ms(rounds))


@given(ROUNDS)
def test_every_mixture_lies_among_the_values_of_its_rounds(rounds: list[Digest]) -> None:
    """A mixture of one round alone has a latency of that round."""
    pool = Pool(rounds)
    for number, latency_ms in enumerate(pool.latencies_ms(np.eye(len(rounds), dtype=np.int64))):
        values_ms = rounds[number].values_ms
        assert values_ms[0] <= latency_ms <= values_ms[-1]


@pytest.mark.parametrize("disturbed", [0.0, 0.2, 0.5, 0.8])
def test_disturbed_runs_do_not_move_it(disturbed: float) -> None:
    """However many runs are slowed by 10 to 80 %, the undisturbed latency is found within 1 %."""
    rng = np.random.default_rng(1)
    found = [undisturbed_ms(on_a_shared_host(rng, disturbed)) for _ in range(40)]
    assert np.mean(found) == pytest.approx(1.0, abs=0.01)
    assert np.std(found) < 0.01
    if disturbed == 0.8:
        rounds = on_a_shared_host(rng, disturbed)
        assert np.median([value for one in rounds for value in one.values_ms]) > 1.2


def test_the_share_falls_faster_than_the_quiet_looks() -> None:
    """Eight looks in a row have to be quiet; at least a fifth of the runs counts as undisturbed."""
    assert undisturbed_share(np.array([1.0]))[0] == 1.0
    assert undisturbed_share(np.array([0.9]))[0] == pytest.approx(0.9**8)
    assert undisturbed_share(np.array([0.0, 0.4])).tolist() == [0.2, 0.2]
    rounds = [Digest(tuple(np.arange(1.0, 101.0)), 100, 40)]
    assert undisturbed_ms(rounds) == pytest.approx(10.5)


def test_a_share_that_is_known_better_counts() -> None:
    """The quiet samples of the rounds themselves then do not matter, in mixtures neither."""
    values = tuple(np.arange(1.0, 101.0))
    rounds = [Digest(values, 100, quiet) for quiet in (0, 60, 100)]
    assert undisturbed_ms(rounds, 1.0) == pytest.approx(50.5)
    each = Pool(rounds, 0.5 ** (1 / 8)).latencies_ms(np.eye(3, dtype=np.int64))
    assert each.tolist() == [each[0]] * 3
    assert each[0] == pytest.approx(25.5, abs=0.5)


def test_long_rounds_are_thinned_and_count_no_more_than_short_ones() -> None:
    """32 quantiles stand for 10,000 samples; a round of 12 has the same weight."""
    long = Digest.of(np.linspace(1.0, 2.0, 10_000), 10_000)
    assert len(long.values_ms) == 32
    assert undisturbed_ms([long]) == pytest.approx(1.5, rel=1e-3)
    short = Digest.of(np.full(12, 3.0), 12)
    assert undisturbed_ms([long, short, short]) == 3.0


def test_a_digest_survives_json() -> None:
    """Written as JSON and read back it is the same."""
    digest = Digest.of(np.array([3.0, 1.0, 2.0]), 2)
    assert Digest.from_dict(json.loads(json.dumps(digest.to_dict()))) == digest
    assert digest.values_ms == (1.0, 2.0, 3.0)
