import gc
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.timing.clock import HostClock, garbage_collection_off, inner_runs


def test_the_host_clock_knows_its_own_blur() -> None:
    """Both its smallest step and its own cost were measured."""
    clock = HostClock()
    assert clock.resolution_ns > 0
    assert clock.overhead_ns > 0


def test_the_host_clock_runs_as_often_as_asked() -> None:
    """``inner`` runs are timed together."""
    calls: list[int] = []
    elapsed_ns = HostClock().time(lambda: calls.append(1), 7)
    assert len(calls) == 7
    assert isinstance(elapsed_ns, int)
    assert elapsed_ns > 0


@given(resolution=st.floats(0.1, 1e4), overhead=st.floats(0.1, 1e4), estimate=st.floats(1.0, 1e9))
def test_inner_runs_are_the_fewest_that_hide_the_clock(
    resolution: float, overhead: float, estimate: float
) -> None:
    """A sample lasts a thousand times the clock's blur, and one run fewer would not."""
    clock = SimpleNamespace(
        resolution_ns=resolution, overhead_ns=overhead, time=lambda run_once, inner: 0
    )
    n = inner_runs(clock, estimate)
    needed_ns = 1000 * max(resolution, overhead)
    assert n * estimate >= needed_ns * (1 - 1e-9)
    assert n == 1 or (n - 1) * estimate < needed_ns * (1 + 1e-9)


@pytest.mark.parametrize("was_on", [True, False])
def test_garbage_collection_is_restored_after_an_error(was_on: bool) -> None:
    """It is off inside and afterwards as it was before, even if the work raises."""
    before = gc.isenabled()
    (gc.enable if was_on else gc.disable)()
    try:
        with pytest.raises(MemoryError):
            _fail_without_garbage_collection()
        assert gc.isenabled() is was_on
    finally:
        (gc.enable if before else gc.disable)()


def _fail_without_garbage_collection() -> None:
    with garbage_collection_off():
        assert not gc.isenabled()
        raise MemoryError
