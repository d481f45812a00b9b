"""A simulated clock, so that no test waits and none depends on real time."""

from collections.abc import Callable

import pytest


class SimulatedClock:
    """Believes what a run returns: the milliseconds it says it took."""

    resolution_ns = 1.0
    overhead_ns = 100.0
    hidden = True

    def __init__(self) -> None:
        self.now_ns = 0

    def time(self, run_once: Callable[[], object], inner: int) -> int:
        elapsed_ns = 0
        for _ in range(inner):
            latency_ms = run_once()
            assert isinstance(latency_ms, float)
            elapsed_ns += round(latency_ms * 1e6)
        self.now_ns += elapsed_ns
        return elapsed_ns


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def now(clock: SimulatedClock) -> Callable[[], float]:
    """Seconds on the simulated clock."""
    return lambda: clock.now_ns / 1e9
