"""The probe: what it calls quiet, on a simulated clock."""

from collections.abc import Iterator

from latbench.timing import CoreProbe


class Stopwatch:
    """A clock on which each matrix product takes what ``products_ns`` says."""

    def __init__(self, products_ns: Iterator[int]) -> None:
        self._products_ns = products_ns
        self._now = 0
        self.reads = 0

    def __call__(self) -> int:
        self.reads += 1
        self._now += next(self._products_ns)
        return self._now


WARM = [0, 4000, 4000, 4000] * 1000
"""What the probe reads first: a thousand readings of three products each."""


def levels(values: list[int], then: int) -> Iterator[int]:
    """Yield ``values``, then always the same."""
    yield from values
    while True:
        yield then


def test_the_fast_level_is_found_where_it_is_rare() -> None:
    """Of a hundred readings two find the core fast; only such a reading is quiet."""
    readings = ([6000] * 4 * 98 + [4000] * 4 * 2) * 10
    probe = CoreProbe(0.1, Stopwatch(levels(readings, then=6000)))
    assert 4000 * 1.1 <= probe.limit_ns < 4000 * 1.11
    assert not probe.quiet()


def test_two_slow_products_of_three_are_forgiven() -> None:
    """What ran before has emptied the caches: the fastest of three products counts."""
    slow_first = [*WARM, 0, 9000, 9000, 4000]
    probe = CoreProbe(0.1, Stopwatch(levels(slow_first, then=9000)))
    assert probe.quiet()
    assert not probe.quiet()


def test_a_quiet_product_is_enough() -> None:
    """After it no further one is computed: looks are short where the core is quiet."""
    clock = Stopwatch(levels(WARM, then=4000))
    probe = CoreProbe(0.1, clock)
    before = clock.reads
    assert probe.quiet()
    assert clock.reads - before == 2


def test_waiting_ends_with_the_first_quiet_reading() -> None:
    """It takes the time until then, which is shorter than the longest."""
    waiting = [0, *[9000] * 9, *[4000] * 99]
    probe = CoreProbe(0.1, Stopwatch(levels([*WARM, *waiting], then=4000)))
    assert 9 * 9000 <= probe.wait(1_000_000) < 1_000_000


def test_waiting_gives_up_and_leaves_the_level_alone() -> None:
    """A core that stays slow ends it; its readings do not become what fast means."""
    probe = CoreProbe(0.1, Stopwatch(levels(WARM, then=9000)))
    before = probe.limit_ns
    assert probe.wait(10_000_000) == 10_000_000
    assert probe.limit_ns == before


def test_a_machine_that_multiplies_slowly_has_a_fast_level_too() -> None:
    """Whatever the product takes, most readings of a quiet machine are quiet."""
    probe = CoreProbe(0.1, Stopwatch(levels([], then=5_000_000)))
    assert all(probe.quiet() for _ in range(10))
    assert 5_000_000 * 1.1 <= probe.limit_ns < 5_000_000 * 1.12
