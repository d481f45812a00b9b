"""Levels of processes are told apart from the subjects, and shrink where the company is small."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.timing import Digest, Levelling, Protocol, levellings
from latbench.timing.levels import levelled

PROTOCOL = Protocol()


def a_sweep(
    rng: np.random.Generator,
    subjects: int,
    level: float = 0.02,
    error: float = 0.003,
    small: int = 0,
    group: int = 8,
    passes: int = 2,
) -> tuple[dict[tuple[str, str], float], dict[str, float], dict[str, float]]:
    """Return latencies as a sweep sees them, and the true logarithms of subjects and processes.

    The first ``small`` subjects take a fiftieth of the others' time and know no levels.
    """
    own = {f"s{place:03}": float(rng.normal(0.5, 0.1)) for place in range(subjects)}
    names = list(own)
    for name in names[:small]:
        own[name] -= math.log(50)
    seen, common = {}, {}
    for number in range(passes):
        shuffled = rng.permutation(subjects)
        for first in range(0, subjects, group):
            process = f"p{number}.{first}"
            common[process] = float(rng.normal(0, level))
            for place in shuffled[first : first + group]:
                name = names[place]
                felt = 0.0 if place < small else common[process]
                seen[name, process] = math.exp(own[name] + felt + rng.normal(0, error))
    return seen, own, common


def spread(told: dict[str, Levelling], seen: dict[tuple[str, str], float], first: str) -> float:
    """Return the standard deviation of a levelled subject between processes, pooled."""
    logs: dict[str, list[float]] = {}
    for (subject, process), value in seen.items():
        if subject.startswith(first):
            logs.setdefault(subject, []).append(
                math.log(value / told[subject].factors.get(process, 1.0))
            )
    return math.sqrt(np.mean([np.var(values, ddof=1) for values in logs.values()]))


def test_levels_are_found() -> None:
    """What the processes did is taken out, up to what all of them share."""
    seen, own, common = a_sweep(np.random.default_rng(1), subjects=160)
    told = levellings(seen, PROTOCOL)
    middle = np.mean(list(common.values()))
    errors = [
        math.log(told[subject].factors[process]) - (common[process] - middle)
        for subject, process in seen
    ]
    assert np.std(errors) < 0.0035
    assert set(told) == set(own)


def test_small_subjects_keep_what_is_theirs() -> None:
    """Subjects that the levels of the large ones do not touch are not moved by them."""
    seen, _, _ = a_sweep(np.random.default_rng(2), subjects=160, small=40)
    told = levellings(seen, PROTOCOL)
    small = [abs(math.log(one)) for s in list(told)[:40] for one in told[s].factors.values()]
    large = [abs(math.log(one)) for s in list(told)[40:] for one in told[s].factors.values()]
    assert np.mean(small) < 0.35 * np.mean(large)


def test_what_has_no_levels_is_left_as_it_is() -> None:
    """Where processes have nothing in common, next to nothing is taken for it."""
    seen, _, _ = a_sweep(np.random.default_rng(3), subjects=160, level=0.0, error=0.01)
    told = levellings(seen, PROTOCOL)
    moved = [math.log(one) for each in told.values() for one in each.factors.values()]
    assert np.std(moved) < 0.004


def test_a_wild_process_moves_no_other() -> None:
    """One process at half the speed changes the levels of the others by little."""
    seen, _, _ = a_sweep(np.random.default_rng(4), subjects=160)
    wild = next(iter(seen))[1]
    slowed = {pair: value * (2 if pair[1] == wild else 1) for pair, value in seen.items()}
    before, after = levellings(seen, PROTOCOL), levellings(slowed, PROTOCOL)
    for subject, process in seen:
        change = math.log(after[subject].factors[process] / before[subject].factors[process])
        if process == wild:
            assert change > 0.6
        else:
            assert abs(change) < 0.01


def test_doubt_is_the_size_of_the_error() -> None:
    """The mean level of a subject errs as much as its doubt says."""
    ratios = []
    for seed in range(20):
        seen, own, common = a_sweep(np.random.default_rng(seed), subjects=64, error=0.01)
        told = levellings(seen, PROTOCOL)
        middle = np.mean(list(common.values()))
        for subject in own:
            factors = told[subject].factors
            error = np.mean([math.log(factors[p]) - (common[p] - middle) for p in factors])
            ratios.append(error / told[subject].doubt)
    assert 0.8 < np.std(ratios) < 1.2


def test_one_process_tells_nothing() -> None:
    """Without a second process there is nothing to compare with."""
    told = levellings({("a", "p"): 1.0, ("b", "p"): 2.0}, PROTOCOL)
    assert told == {"a": Levelling(), "b": Levelling()}
    assert levellings({}, PROTOCOL) == {}


def test_a_subject_alone_keeps_its_mean() -> None:
    """Without company a difference is half level and half its own, and the mean stays."""
    told = levellings({("a", "p"): 1.0, ("a", "q"): 1.02}, PROTOCOL)["a"]
    first, second = (math.log(told.factors[name]) for name in ("p", "q"))
    assert first == pytest.approx(-second)
    assert 0 < second < 0.01
    assert told.doubt == pytest.approx(0.0, abs=1e-9)


@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 1000))
def test_the_unit_does_not_matter(scale: float, seed: int) -> None:
    """The same latencies in another unit have the same levels."""
    seen, _, _ = a_sweep(np.random.default_rng(seed), subjects=12, group=4)
    scaled = {pair: value * scale for pair, value in seen.items()}
    before, after = levellings(seen, PROTOCOL), levellings(scaled, PROTOCOL)
    for subject, process in seen:
        assert after[subject].factors[process] == pytest.approx(before[subject].factors[process])
        assert after[subject].doubt == pytest.approx(before[subject].doubt)


@given(seed=st.integers(0, 1000))
def test_order_does_not_matter(seed: int) -> None:
    """The levels are the same in whatever order the latencies come."""
    rng = np.random.default_rng(seed)
    seen, _, _ = a_sweep(rng, subjects=12, group=4)
    pairs = list(seen)
    shuffled = {pairs[place]: seen[pairs[place]] for place in rng.permutation(len(pairs))}
    before, after = levellings(seen, PROTOCOL), levellings(shuffled, PROTOCOL)
    for subject, process in seen:
        assert after[subject].factors[process] == pytest.approx(before[subject].factors[process])


def test_levelled_rounds_are_divided_by_their_level() -> None:
    """Values change by the factor of their process, and by nothing where it has none."""
    one = Digest((1.0, 1.1), 2, 2)
    told = levelled({"p": [one], "q": [one]}, Levelling({"p": 1.1}))
    assert told["p"][0].values_ms == pytest.approx((1 / 1.1, 1.0))
    assert told["q"] == [one]
    assert (told["p"][0].samples, told["p"][0].quiet) == (2, 2)
